"""All peers, and those that the command line makes: variants of the gateway, and contenders by their command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from bench.peers.base import Job, Peer
from bench.peers.envoy import ENVOY
from bench.peers.gateway import gateway
from bench.peers.haproxy import PLAIN, SAME
from bench.peers.kernel import DIRECT, NAT
from bench.peers.nginx import NGINX
from bench.peers.socat import SOCAT

GATEWAY = "gateway"
GATEWAY_BUSY = "gateway-busy-poll"
BASELINE = PLAIN.name
BASELINE_SAME = SAME.name


def standard(options: Mapping[str, str]) -> list[Peer]:
    """The peers of every run, in the order in which tables show them. `options`: of the gateway's [gateway]."""
    with_options = "".join(f", {key} = {value}" for key, value in options.items())
    return [
        gateway(GATEWAY, f"the gateway, one worker, session log off{with_options}", options),
        gateway(
            GATEWAY_BUSY,
            f'the gateway with busy_poll = "50us"{with_options}',
            {**options, "busy_poll": "50us"},
            only=frozenset({"rtt"}),
        ),
        PLAIN,
        SAME,
        NGINX,
        ENVOY,
        SOCAT,
        NAT,
        DIRECT,
    ]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=2"]` as a mapping. Raises ValueError for one without "="."""
    for text in texts:
        if "=" not in text:
            raise ValueError(f"{text!r}: expected key=value")
    return {key.strip(): value.strip() for key, _, value in (text.partition("=") for text in texts)}


def variant(text: str, options: Mapping[str, str]) -> Peer:
    """`"no-reuse:reuse_upstreams=false,splice=false"`: the gateway once more, under its own name and options."""
    name, _, keys = text.partition(":")
    own = {**options, **pairs(keys.split(","))}
    return gateway(name, "the gateway with " + ", ".join(f"{key} = {value}" for key, value in own.items()), own)


def contender(text: str) -> Peer:
    """`"name=command {listen_port} {target_port}"`: any program that relays from one port of this host to another.

    `{listen}`, `{target}` (host:port) and `{device}` are filled in as well.
    """
    name, _, command = text.partition("=")

    def start(job: Job) -> Sequence[str]:
        filled = command.format(
            listen=job.listen,
            target=job.target,
            listen_port=job.listen_port,
            target_port=job.target_port,
            device=job.place.devices[0],
        )
        return shlex.split(filled)

    return Peer(name=name, what=command, version=lambda: "–", command=start)
