"""HAProxy, one thread, splicing where it helps: as it comes ("plain"), and with the gateway's options ("same").

"Same" binds its upstream sockets to the tunnel's interface, sets TCP_USER_TIMEOUT and keepalive as the gateway
does, limits connections and checks an allow-list. For the failover it gets what it has for it: checks each second
(3 to fall, 2 to rise, as the gateway's probes), a backup server, redispatch, and sessions ended when a server falls.

`maxpipes` is no handicap: it is ten times what 50 flows need, and its default (a quarter of `maxconn`) would reserve
more descriptors than some machines allow.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from bench.peers.base import (
    ALLOW,
    CONNECT_TIMEOUT,
    IDLE_TIMEOUT,
    KEEPALIVE_COUNT,
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    MAX_CONNECTIONS,
    USER_TIMEOUT,
    Job,
    Peer,
    first_line,
)

_BASE = f"""\
global
    nbthread 1
    maxconn {MAX_CONNECTIONS}
    maxpipes 1000

defaults
    mode tcp
    option splice-auto
    timeout connect {CONNECT_TIMEOUT}s
    timeout client {IDLE_TIMEOUT}s
    timeout server {IDLE_TIMEOUT}s
"""

_SAME = f"""\
    option clitcpka
    option srvtcpka
    clitcpka-idle {KEEPALIVE_IDLE}s
    clitcpka-intvl {KEEPALIVE_INTERVAL}s
    clitcpka-cnt {KEEPALIVE_COUNT}
    srvtcpka-idle {KEEPALIVE_IDLE}s
    srvtcpka-intvl {KEEPALIVE_INTERVAL}s
    srvtcpka-cnt {KEEPALIVE_COUNT}
"""


def plain(job: Job) -> str:
    """The configuration with HAProxy's default socket options."""
    return (
        _BASE
        + f"""
frontend clients
    bind {job.listen}
    maxconn {MAX_CONNECTIONS}
    default_backend targets

backend targets
    server target {job.target}
"""
    )


def same(job: Job) -> str:
    """The configuration with the gateway's socket options."""
    servers = []
    for number, device in enumerate(job.place.devices):
        server = f"server target-{number} {job.target} source 0.0.0.0 interface {device} tcp-ut {USER_TIMEOUT}s"
        if len(job.place.devices) > 1:
            server += " check inter 1s fall 3 rise 2 on-marked-down shutdown-sessions"
        servers.append(server + (" backup" if number else ""))
    return (
        _BASE
        + _SAME
        + f"""
frontend clients
    bind {job.listen}
    maxconn {MAX_CONNECTIONS}
    acl allowed src {" ".join(ALLOW)}
    tcp-request connection reject if !allowed
    default_backend targets

backend targets
    option redispatch 1
    """
        + "\n    ".join(servers)
        + "\n"
    )


def _missing() -> str | None:
    return None if shutil.which("haproxy") else "haproxy is not installed"


def _version() -> str:
    return first_line(["haproxy", "-v"]).split(" - ")[0]


def _run_plain(job: Job) -> Sequence[str]:
    return ["haproxy", "-db", "-f", job.write("haproxy.cfg", plain(job))]


def _run_same(job: Job) -> Sequence[str]:
    return ["haproxy", "-db", "-f", job.write("haproxy.cfg", same(job))]


PLAIN = Peer(
    name="haproxy",
    what="HAProxy, splice-auto, one thread, its default socket options",
    version=_version,
    command=_run_plain,
    without=frozenset({"failover"}),
    missing=_missing,
)
SAME = Peer(
    name="haproxy-same",
    what="HAProxy with the gateway's socket options, limits and allow-list",
    version=_version,
    command=_run_same,
    missing=_missing,
)
