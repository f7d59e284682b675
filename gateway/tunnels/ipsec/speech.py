"""What charon says: its lines taken apart, graded, and rid of those that only tell that time passes. Pure.

A line is `THREAD[GROUP] text`. charon has levels of detail, none of severity, so severity is read from the words.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.model import LineLevel
from gateway.tunnels.ipsec.reasons import tells_a_failure

READY: Final = re.compile(r"spawning \d+ worker threads")
"""It has its pid file and its sockets, and takes orders."""

DEVICE: Final = re.compile(r"created TUN device: (\S+)")
"""Which device is its own."""

HELD: Final = re.compile(r"charon already running")
"""Another charon has its pid file, and it ends."""

NO_KERNEL_ESP: Final = re.compile(
    r"unable to install .*IPsec|feature CUSTOM:kernel-ipsec in critical plugin 'kernel-netlink' failed"
)
"""The kernel has XFRM interfaces, and not what belongs to them: ESP, or its ciphers."""

_LINE: Final = re.compile(r"\d+\[([A-Z]{3})\](?: <[^>]*>)? ?(.*)")
_UNNAMED: Final = "charon"  # what says a line without a group: the program itself, the linker
_DETAILS: Final = frozenset({"lib", "job", "dmn", "enc", "knl", "asn"})

# A dead peer is asked for every two seconds: five lines each time would push everything else out of the log book.
_NOISE: Final = re.compile(
    r"sending packet: |received packet: |sending DPD request|sending keep alive"
    r"|(?:generating|parsed) INFORMATIONAL (?:request|response) \d+ \[ \]"
    r"|flags changed for |checking certificate status|certificate status is not available"
)
# What charon makes of what is done to it: its device renamed, its rule taken away, others started beside it, its end.
_EXPECTED: Final = re.compile(
    r"received netlink error: No such|unable to get interface index|unable to create IPv. routing table rule"
    r"|charon already running|destroying IKE_SA in state CONNECTING"
)
_TROUBLE: Final = re.compile(r"retransmit|received netlink error|unable to|failed")


class Said(NamedTuple):
    """One line: who in charon says it (`ike`, `cfg`, `knl`…), and what."""

    component: str
    text: str

    @property
    def level(self) -> LineLevel | None:
        """How serious it is; None where it is not worth a line."""
        if _NOISE.match(self.text) or not self.text:
            return None
        if tells_a_failure(self.text):
            return LineLevel.ERROR
        if _EXPECTED.match(self.text):
            return LineLevel.DEBUG
        if _TROUBLE.search(self.text):
            return LineLevel.WARNING
        return LineLevel.DEBUG if self.component in _DETAILS else LineLevel.INFO


def heard(line: str) -> Said:
    """A line of charon's log as it came."""
    found = _LINE.fullmatch(line)
    return Said(_UNNAMED, line.strip()) if found is None else Said(found[1].lower(), found[2])
