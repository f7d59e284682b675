"""The benchmarks: the gateway beside its peers, interleaved in one run. `python -m bench --help` starts here.

Words of this package: a **peer** is whatever stands between client and target (the gateway, HAProxy, …, or nothing);
a **place** is a network to measure in (loopback, veth, two tunnels), made of namespaces; a **measure** is one
question (bulk, churn, …); a **sample** is one peer's answer to one measure in one place in one **round**; a
**figure** is a number of a sample; the **headline** of a measure is the figure that is compared; a **goal** is what
a headline is to reach.

The way through it: `plan` lists the samples in rotating order, `sampling` takes each one (`places` makes the
network, `peers` the configuration, `children` the pinned processes, `measures` asks, `accounting` reads the CPU and
memory from /proc), `results` keeps them, `summary` and `goals` judge them, `report` and `plots` show them.

`bench.vpn` is another bench with the same load and the same results: the gateway's cost beside its VPN clients'.
"""
