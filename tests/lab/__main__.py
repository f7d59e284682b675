"""The lab for a human: `python -m tests.lab up | down | status | check | fault ... | heal | restart ... | exec ...`.

    up [KIND ...]          build a lab: one kind of VPN (openvpn by default) is for the sites a and b, several are for
                           a, b and c in this order; `none` for the network and the company's servers only
    down                   take down all labs made by `up`; leftovers of dead owners too
    status, check          what runs; whether each tunnel answers
    fault NAME WORD ...    inject a failure; `fault` alone lists them. heal: undo all of them
    restart PROCESS        kill a process and start it again
    exec ROLE COMMAND ...  run a command in a namespace: cloud, wan, site-a, site-b, site-c, corp

Orders go to the lab that was made last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tests.lab import keeper, state
from tests.lab.errors import LabError
from tests.lab.faults import Faults
from tests.lab.names import Role, namespace_name
from tests.lab.netns import Namespace
from tests.lab.state import LabDirectory


def _newest() -> LabDirectory:
    labs = keeper.kept()
    if not labs:
        raise LabError("there is no lab; `up` makes one")
    return labs[-1]


def _down() -> str:
    labs = keeper.kept()
    for each in labs:
        keeper.stop(each)
    return "\n".join(f"{name} is down" for name in [*(each.name for each in labs), *state.sweep()])


def _execute(role: Role, command: Sequence[str]) -> NoReturn:
    """Become `command` in the namespace of `role`."""
    argv = Namespace(namespace_name(_newest().name, role)).command(command)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted


def main(words: Sequence[str]) -> str:
    """Carry out one command line; what there is to say about it. Raises LabError."""
    match words:
        case ["up", "none"]:
            return keeper.start()
        case ["up", *kinds]:
            return keeper.start(*(kinds or ["openvpn"]))
        case ["down"]:
            return _down()
        case ["fault"]:
            return "\n".join(f"{name} {arguments}" for name, arguments in Faults.names().items())
        case ["exec", role, *command] if role in list(Role) and command:
            _execute(Role(role), command)
        case [("status" | "check" | "fault" | "heal" | "restart"), *_]:
            return keeper.ask(_newest(), words)
        case _:
            return (__doc__ or "").strip()


if __name__ == "__main__":
    try:
        sys.stdout.write(main(sys.argv[1:]) + "\n")
    except LabError as error:
        sys.exit(f"lab: {error}")
