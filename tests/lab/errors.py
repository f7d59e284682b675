"""What can go wrong in the lab itself, in one tree. None of it is ever a finding about the gateway.

LabError
├── CommandError      a tool (ip, nft, openssl, ...) said no; carries what it said
├── NotReadyError     something awaited did not happen within its deadline
└── MissingError      this machine cannot host a lab; names all that is missing
"""

from __future__ import annotations

from collections.abc import Sequence


class LabError(Exception):
    """Base of all errors of the lab."""


class CommandError(LabError):
    """`argv` ended with `status` and said `output`."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        self.status = status
        self.output = output
        super().__init__(f"{' '.join(argv)}: exit status {status}: {output.strip()}")


class NotReadyError(LabError):
    """`what` was awaited for `within` seconds in vain. `detail` is the evidence, a log's end for instance."""

    def __init__(self, what: str, within: float, detail: str = "") -> None:
        super().__init__(f"not within {within} s: {what}" + (f"\n{detail}" if detail else ""))


class MissingError(LabError):
    """A lab needs what this machine does not have."""

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__("the lab needs " + ", ".join(missing))
