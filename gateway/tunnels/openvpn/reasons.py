"""Why an OpenVPN connection failed: from what the process says to a reason that an operator understands. Pure.

Of all that was said, the rule nearest to the top of the table in `rules` gives the reason. What a line means may depend
on what came before:

- A server that refuses a certificate drops the client without a word, over UDP at least.
- While the connection is up, packets that cannot be sent do not end it: silence does.
- An account that was accepted before is not wrong: what the server no longer knows is a token that it gave for it.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.model import FailureReason, OpenVpnSpec
from gateway.tunnels.openvpn.management import Asked
from gateway.tunnels.openvpn.rules import (
    AFTER_PROOF,
    IN_TROUBLE,
    LATE,
    LET_IN_BEFORE,
    NO_ANSWER,
    NOT_SENT,
    ONE_TIME_CODE,
    OUTDATED_SHOWN,
    REFUSED,
    RULES,
    SILENT,
    Then,
)

_DROPPED: Final = re.compile(f"{re.escape(SILENT)}|TLS key negotiation failed|Connection reset, restarting")
_NOT_SENT: Final = re.compile(NOT_SENT)
_PROVED: Final = "VERIFY OK: depth=0"
_OUTDATED: Final = "WARNING: Your certificate has expired!"
_ANSWERED: Final = "TLS: Initial packet from"
_LET_IN: Final = "Peer Connection Initiated"


class Diagnosis:
    """What has been heard of one connection. `reason` and `detail` are the best that can be said so far.

    `is_over`: the process would go on in vain.
    """

    def __init__(self, spec: OpenVpnSpec) -> None:
        self._spec = spec
        self._rank = len(RULES)
        self.reason: FailureReason | None = None
        self.detail = ""
        self.is_over = False
        self._up = False
        self._trouble = ""  # why packets could not be sent just now
        self._answered = False  # the server has said something
        self._outdated = False
        self._unanswered = False  # the server has proved itself, and does not say what it thinks of us

    def hear(self, text: str) -> None:
        """Take one line into account."""
        text = self._while_up(text) if self._up else self._on_the_way(text)
        for rank, rule in enumerate(RULES[: self._rank]):
            if (found := rule.pattern.search(text)) is not None:
                self._rank, self.reason, self.detail = rank, rule.reason, rule.words(found, self._spec)
                self.is_over |= rule.then is Then.END
                if self.reason is FailureReason.WRONG_PASSWORD and self._spec.username is None:
                    self.reason = FailureReason.CERTIFICATE_NOT_TRUSTED
                return

    def refused(self, why: str) -> None:
        """The server has refused the account; `why` are its own words."""
        self.hear(f"{REFUSED}{f',{why}' if why else ''}")

    def unanswered(self, question: Asked) -> None:
        """It has asked for what it cannot be given, and nothing more will come of it."""
        self._rank, self.is_over = 0, True
        self.reason = FailureReason.CONFIGURATION
        if question.challenge:
            self.reason, self.detail = FailureReason.NO_COMMON_METHOD, ONE_TIME_CODE
        elif question.is_login:
            self.detail = "the server wants an account: see username and password"
        elif question.is_key:
            self.detail = "the private key is encrypted: give it without a passphrase"
        else:
            self.detail = f'OpenVPN asks for "{question.what}", and nobody is there to give it'

    def late(self) -> None:
        """It is not connected, and had time enough."""
        self.hear(LATE)
        self.is_over = True

    def connected(self) -> None:
        """The connection is up: what was said on the way there is no reason for its end."""
        self._rank, self.reason, self.detail, self.is_over = len(RULES), None, "", False
        self._up = True

    # ---------------------------------------------------------------- what it means that a line comes now

    def _on_the_way(self, text: str) -> str:
        """`text` before the connection is up."""
        if text.startswith(_OUTDATED):
            self._outdated = True
        elif text.startswith(_ANSWERED):
            self._answered = True
        elif text.startswith(_PROVED):
            self._unanswered = True
        elif _LET_IN in text:
            self._unanswered = False
        elif SILENT in text and not self._answered:
            return NO_ANSWER
        elif self._unanswered and _DROPPED.search(text) is not None:
            if self._outdated:
                return f"{OUTDATED_SHOWN}{text}"
            if self._spec.certificate is not None or self._spec.profile is not None:
                return f"{AFTER_PROOF}{text}"
        return text

    def _while_up(self, text: str) -> str:
        """`text` of a connection that is up."""
        if (found := _NOT_SENT.search(text)) is not None:
            self._trouble = found["why"]
            return ""
        trouble, self._trouble = self._trouble, ""
        if trouble and SILENT in text:
            return f"{IN_TROUBLE}{trouble}: {text}"
        return f"{LET_IN_BEFORE}{text}" if text.startswith(REFUSED) else text
