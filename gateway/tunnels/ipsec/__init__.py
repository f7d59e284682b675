"""IPsec with IKEv2: strongSwan's daemon, charon, one a tunnel, given its orders over vici.

    client         what is kept from connection to connection: who does ESP, and a device if it is the kernel
    connection     one connection, from the attempt to its end
    charon         the daemon: started, ready, stopped, and nothing of it left
    settings       its configuration file
    pid_file       the one file that it insists on, and shares with every other charon
    rules          the one routing rule that it insists on
    orders         a conversation over vici, off the event loop's thread
    configuration  what it is told to connect with
    credentials    what it proves itself with, and believes the server by
    standing       what it says of its connections
    speech         the lines of its log
    reasons        from those lines to why an attempt failed

Encryption is the kernel's where it has XFRM interfaces, else user space's (kernel-libipsec). **The kernel's is covered
by tests of the exact messages only: it is unproven on a running kernel.**
"""
