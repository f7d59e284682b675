"""The routes and rules of managed tunnels: each has a table of its own, which nothing else uses and nothing leaves.

rule 150   oif zone-a         → table of zone-a     sockets that are bound to the device
rule 150   from 10.10.20.6    → table of zone-a     answers of the kernel, whose sockets may be gone; and strict
                                                    reverse-path filtering, which asks this way
table of zone-a   192.168.100.30 dev zone-a src 10.10.20.6      what the forwards need, and no more
                  unreachable default                           whatever else: nowhere, and at once

plan      which rules and routes there should be, and in which order to get there · pure
wire      the same as rtnetlink's messages · pure
kernel    asks the kernel what there is of ours, and has it changed
slots     which tables are ours, when several gateways share a network namespace
roads     keeps the kernel as planned
"""
