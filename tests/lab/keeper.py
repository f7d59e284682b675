"""A lab that stays while a human works with it: a process of its own owns it, and takes orders over a Unix socket.

One order a connection: its words as a JSON list, a line; the answer is a JSON object with `ok` and `text`.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from tests.lab import state
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.state import LabDirectory

_CONTROL = "control"
_GONE = 10.0  # seconds for a lab to be taken down


def start(*kinds: str) -> str:
    """Start a keeper with a new lab of these kinds, as `Lab` takes them; its name, once it is up. Raises LabError."""
    argv = [sys.executable, "-m", f"{__package__}.keeper", *kinds]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdout is not None
        first = keeper.stdout.readline()
        if not first.startswith("up "):
            raise LabError(first + keeper.stdout.read())
        keeper.returncode = 0  # it lives on; nobody here will wait for it
    return first.split()[1]


def kept() -> list[LabDirectory]:
    """The labs that keepers hold, newest last."""
    return [each for each in state.living() if (each.sock / _CONTROL).exists()]


def ask(directory: LabDirectory, words: Sequence[str]) -> str:
    """Give an order to the keeper of a lab, and return its answer. Raises LabError with what it says instead."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(directory.sock / _CONTROL))
        asking.sendall(json.dumps(list(words)).encode() + b"\n")
        answer = json.loads(asking.makefile().readline())
    if not answer["ok"]:
        raise LabError(answer["text"])
    return str(answer["text"])


def stop(directory: LabDirectory) -> None:
    """Make the keeper take its lab down, and wait until it has. Raises LabError."""
    owner = directory.owner
    owner.signal(signal.SIGTERM)
    if not owner.wait(_GONE):
        raise LabError(f"the keeper of {directory.name} (process {owner.pid}) does not end")


def obey(lab: Lab, words: Sequence[str]) -> str:
    """Carry out one order: status, fault NAME WORDS, heal, restart PROCESS, or check."""
    match words:
        case ["status"]:
            return _status(lab)
        case ["fault", name, *arguments]:
            lab.faults.by_name(name, *arguments).inject()
            return f"injected: {', '.join(lab.faults.active)}"
        case ["heal"]:
            lab.heal()
            return "as good as new"
        case ["restart", process]:
            lab.restart(process)
            return f"{process} restarted"
        case ["check"]:
            return "\n".join(f"site {site}: {'answers' if lab.answers(site) else 'silent'}" for site in lab.vpns)
        case _:
            raise LabError(f"no such order: {' '.join(words)}")


def _status(lab: Lab) -> str:
    lines = [f"lab {lab.directory.name}", f"faults: {', '.join(lab.faults.active) or 'none'}"]
    for name in lab.processes.names():
        identity = lab.processes.id(name)
        lines.append(f"{name:22} {'dead' if identity is None else identity.pid}")
    lines.append(lab.cloud.run(["ip", "-br", "address"]))
    return "\n".join(lines)


def _keep(kinds: Sequence[str]) -> NoReturn:
    with Lab(*kinds) as lab, socket.socket(socket.AF_UNIX) as control:
        control.bind(str(lab.directory.sock / _CONTROL))
        control.listen()
        sys.stdout.write(f"up {lab.directory.name}\n")
        sys.stdout.flush()
        while True:
            connection, _ = control.accept()
            with connection:
                try:
                    answer = {"ok": True, "text": obey(lab, json.loads(connection.makefile().readline()))}
                except LabError as error:
                    answer = {"ok": False, "text": str(error)}
                connection.sendall(json.dumps(answer).encode() + b"\n")


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    _keep(sys.argv[1:])
