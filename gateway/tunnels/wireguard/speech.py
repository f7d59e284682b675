"""What wireguard-go says: its lines taken apart, graded, and rid of those that only tell that time passes. Pure.

    DEBUG: (zone-d) 2024/01/31 12:00:00 peer(abcd…wxyz) - Sending handshake initiation

It knows two levels, of which the lower one has everything that matters. Anybody can have it say some of these lines as
often as he likes, by sending it rubbish; and it says others for each packet that it cannot send.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.model import LineLevel

READY: Final = "UAPI listener started"
"""Its socket is there, and it is its own."""

_LINE: Final = re.compile(r"(DEBUG|ERROR): \([^)]*\) [\d/]{10} [\d:]{8} (?:(peer\(\S+\)) - )?(.*)")
_NOISE: Final = re.compile(r"Routine: |Sending keepalive packet|Receiving keepalive packet|UAPI: ")
_INITIATION: Final = "Sending handshake initiation"
_NOT_SENT: Final = re.compile(r"Failed to send [a-z ]+:(?: .*:)? (.*)")
_TROUBLE: Final = re.compile(
    r"Handshake did not complete|Retrying handshake|Removing all keys|Failed to |Received invalid"
    r"|.* disallowed source address"
)
_MILESTONE: Final = re.compile(
    r"Starting wireguard-go|Interface state was|Received handshake|Device closed|Shutting down"
)


class Said(NamedTuple):
    """One line. `failed` is its own grade; the peer is left out of the text, since there is only one."""

    failed: bool
    text: str

    @property
    def level(self) -> LineLevel | None:
        """How serious it is; None where it is not worth a line."""
        if not self.text or _NOISE.match(self.text):
            return None
        if self.failed:
            return LineLevel.ERROR
        if _TROUBLE.match(self.text):
            return LineLevel.WARNING
        return LineLevel.INFO if _MILESTONE.match(self.text) else LineLevel.DEBUG

    @property
    def initiates(self) -> bool:
        """Whether it says that a handshake is tried: 5 s after the one before at the earliest.

        That one got no answer it says only where nothing else, data or a keepalive, has it tried again first.
        """
        return self.text == _INITIATION

    @property
    def not_sent(self) -> str | None:
        """Why the kernel did not take a packet for the peer; None: it does not say so."""
        found = _NOT_SENT.fullmatch(self.text)
        return None if found is None else found[1]


def heard(line: str) -> Said:
    """A line as it came. One that is not of the usual form is the Go runtime's, which speaks when it dies."""
    found = _LINE.fullmatch(line)
    return Said(failed=True, text=line.strip()) if found is None else Said(failed=found[1] == "ERROR", text=found[3])
