"""Throughput through each kind of VPN, and the gateway's own cost beside the VPN's. `python -m bench.vpn --help`.

The question is what an operator pays who puts the gateway in front of a VPN client: how much of the CPU time is the
gateway's and how much the client's, and how much of the tunnel's throughput is left. Everything is real: a VPN server
at a site of the test lab, the client that the gateway starts for one `[[tunnel]]`, and the load of the other bench.

        cloud                                              site a            corp
        load ──lo── gateway ──SO_BINDTODEVICE── tunnel ═══ VPN server ─────── target        the way GATEWAY
        load ───────────────── SO_BINDTODEVICE── tunnel ═══ VPN server ─────── target       the way DIRECT

Further words of this package: a **kind** is a VPN with its client, its server and its cipher; a **load** is one
question; a **way** is through the gateway or past it, inside the very same tunnel; a **sitting** is one kind's tunnel,
brought up once, with every load asked both ways. In a sample, `place` is the kind and `peer` the way.
"""
