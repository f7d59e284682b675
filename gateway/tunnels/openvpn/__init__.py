"""OpenVPN 2.6 as a client: one process a connection, over a device that outlives it.

configuration   what the process is told, on its standard input · pure
speech          the lines that it prints · pure
management      its management interface, as lines · pure
reasons         why a connection failed, from what it said · pure
client          the process, and the conversation with it
"""
