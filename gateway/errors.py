"""Every error the gateway raises on purpose, in one tree.

GatewayError                    anything below; its text is fit for an operator
├── ConfigError                 the configuration cannot be used; carries every problem found (exit code 2)
├── ListenError                 one or more listen addresses cannot be bound (exit code 1)
├── KernelUnavailableError      netlink cannot be had: the watcher polls instead
├── ProgramMissingError         a program that a driver needs is not installed
├── LinkError                   the kernel refuses to make or change a device, route or rule, or to start a program
└── OperationError              what an operator asked for is not done
    ├── UnknownNameError        there is no such tunnel or forward
    └── RefusedError            it would do harm, or is under way already

What happens to a single connection (refused, timed out, reset) is no exception: it is a value
(`model.DialFailure`, `model.CloseReason`), counted and logged where it happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class GatewayError(Exception):
    """Base of all errors raised on purpose. `str(error)` says what, where, and what instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration file.

    `place` names the entry as its author knows it (`forward "hello"`, `[gateway]`), `key` the key in it (may be
    empty for the entry as a whole), `found` the value as written (masked if it is a secret), `expected` what
    is allowed instead. `line` is the line in the file where the entry starts, when known.
    """

    file: str
    place: str
    key: str
    found: str | None
    expected: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line is not None else self.file
        what = f"{self.place}: {self.key}" if self.key else self.place
        found = f": found {self.found}" if self.found is not None else ""
        return f"{where}: {what}{found}: {self.expected}"


class ConfigError(GatewayError):
    """The configuration cannot be used. `problems` holds all of them, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ListenError(GatewayError):
    """Listen addresses that cannot be bound: (place in the file, address, reason) each."""

    def __init__(self, failures: Sequence[tuple[str, str, str]]) -> None:
        self.failures = tuple(failures)
        super().__init__(
            "\n".join(f"{place}: cannot listen on {address}: {why}" for place, address, why in self.failures)
        )


class KernelUnavailableError(GatewayError):
    """Netlink cannot be opened here (a sandbox, a seccomp filter). The caller falls back to polling."""


class ProgramMissingError(GatewayError):
    """A program that a driver needs is not there: `program` is its name."""

    def __init__(self, program: str) -> None:
        self.program = program
        super().__init__(f"{program} is not installed, or not in PATH")


class LinkError(GatewayError):
    """The kernel refuses to make or change a device, a route or a rule, or to start a program.

    `number` is its errno, 0 for none.
    """

    def __init__(self, text: str, number: int = 0) -> None:
        self.number = number
        super().__init__(text)


class OperationError(GatewayError):
    """What an operator asked of the running gateway is not done, and nothing was changed."""


class UnknownNameError(OperationError):
    """There is no such tunnel or forward. The text names those that there are."""


class RefusedError(OperationError):
    """What was asked would do harm, or is under way already. The text says what stands in the way."""
