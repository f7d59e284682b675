"""WireGuard: the kernel's own device where there is one, else `wireguard-go`, one process a device.

    client      one connection after the other over one device
    connection  one of them: shaken hands, watched, lost
    device      what a device is told and tells, whoever makes it
    kernel      the kernel's device, told everything over generic netlink
    messages    those messages
    netlink     a conversation over generic netlink, off the event loop's thread
    userspace   wireguard-go: started, ready, stopped, told everything over its socket
    uapi        what is said on that socket
    speech      the lines of its log
    vitals      whether the peer is alive: WireGuard has no connection that could end
    resolving   where the server is, of that what a route leads to

WireGuard answers only those who know its keys: a wrong key, another's server and no server at all look the same.

**The kernel's device is covered by tests of the exact messages only: it is unproven on a running kernel.**
"""
