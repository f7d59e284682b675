"""OpenVPN 2.6 as a client: one process a connection, over a device that outlives it.

configuration   what the process is told, on its standard input · pure
speech          the lines that it prints · pure
management      its management interface, as lines · pure
rules           what its telling lines mean to an operator: a table · pure
reasons         why a connection failed, from all that it said · pure
meeting         the socket on which it comes to take orders
conversation    what it is told there, and when it is over
client          the process, its device, and the addresses of its server
"""
