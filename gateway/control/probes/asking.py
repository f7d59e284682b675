"""Which file asks which kind of probe."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.control.probes import dns, http, icmp, tcp, tls
from gateway.control.probes.answer import Answer, Ask
from gateway.model import Aim, Path, ProbeKind

HOW: Final[Mapping[ProbeKind, Ask]] = MappingProxyType(
    {
        ProbeKind.TCP: tcp.ask,
        ProbeKind.TLS: tls.ask,
        ProbeKind.HTTP: http.ask,
        ProbeKind.HTTPS: http.ask,
        ProbeKind.ICMP: icmp.ask,
        ProbeKind.DNS: dns.ask,
    }
)


async def ask(aim: Aim, path: Path, seconds: float) -> Answer:
    """Ask as the kind of `aim` wants it. As `answer.Ask` says."""
    return await HOW[aim.spec.kind](aim, path, seconds)
