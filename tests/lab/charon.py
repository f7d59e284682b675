"""strongSwan's daemon, charon, with ESP in user space: a process for each server and each client.

What it has compiled in, its pid file, lies in a /run of its own, so that any number of them run side by side. It is
given its orders over vici, its own control protocol, and says what it does in its process's log.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import vici

from tests.lab.errors import LabError, NotReadyError
from tests.lab.mounts import View
from tests.lab.names import Role
from tests.lab.vpn import Workshop

PROGRAM = "/usr/lib/ipsec/charon"
# kernel-libipsec comes before kernel-netlink: the first one that can do ESP does it.
PLUGINS = (
    "random nonce openssl gcm aes pem pkcs1 pkcs8 pkcs12 pkcs7 x509 pubkey constraints revocation kdf hmac sha1 sha2 "
    "kernel-libipsec kernel-netlink socket-default updown eap-identity eap-mschapv2 eap-tls"
)
_PATIENCE = 20.0  # seconds for the socket to appear and for each answer
_PAUSE = 0.01


class Charon:
    """One daemon, called `name`, in the namespace of `role`.

    `settings` are those of the section `charon` by their names, with a dot where a section begins.
    """

    def __init__(
        self, workshop: Workshop, name: str, role: Role, settings: Mapping[str, str | int] | None = None
    ) -> None:
        self._workshop = workshop
        self._role = role
        self._settings = settings or {}
        self._view = View(workshop.directory, name)
        self._socket = workshop.directory.sock / name
        self._earlier = 0
        self.name = name

    @property
    def log(self) -> str:
        """All that it has said since it was started last."""
        return self._workshop.processes.log(self.name)[self._earlier :]

    def start(self) -> None:
        """Start it; it takes orders after `wait_ready`. It knows nothing of its earlier lives."""
        self._earlier = len(self._workshop.processes.log(self.name))
        self._view.clear()
        self._socket.unlink(missing_ok=True)
        configuration = self._workshop.directory.conf / f"{self.name}.conf"
        configuration.write_text(self._configuration())
        argv = ["env", f"STRONGSWAN_CONF={configuration}", PROGRAM]
        self._workshop.processes.spawn(self.name, self._view.command(argv), self._workshop.spaces[self._role])

    def wait_ready(self) -> None:
        """Return when it takes orders. Raises LabError with what it said."""
        try:
            with self.session() as session:
                session.version()
        except (LabError, OSError) as error:
            raise LabError(f"{self.name}: {error}\n{self.log}") from error

    def stop(self) -> None:
        """Kill it: its device goes with it."""
        self._workshop.processes.kill(self.name)

    @contextmanager
    def session(self, patience: float = _PATIENCE) -> Iterator[vici.Session]:
        """A conversation, in which each answer may take `patience` seconds."""
        with self._connect() as connected:
            connected.settimeout(patience)
            yield vici.Session(connected)

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + _PATIENCE
        while True:
            connecting = socket.socket(socket.AF_UNIX)
            try:
                connecting.connect(str(self._socket))
            except (FileNotFoundError, ConnectionRefusedError) as error:  # it appears at bind(), before listen()
                connecting.close()
                if time.monotonic() > deadline or not self._workshop.processes.alive(self.name):
                    raise NotReadyError(f"{self.name} takes orders", _PATIENCE) from error
                time.sleep(_PAUSE)
            else:
                return connecting

    def _configuration(self) -> str:
        return _nested(
            {
                "load_modular": "no",
                "load": f"{PLUGINS} vici",
                "plugins.vici.socket": f"unix://{self._socket}",
                "retransmit_tries": 3,
                "retransmit_timeout": "1.0",
                "retransmit_base": "1.3",
                "filelog.log.path": "/dev/stdout",  # the section `stdout` would be written in blocks
                "filelog.log.flush_line": "yes",
                "filelog.log.default": 1,
                "filelog.log.time_format": "%T",
                "filelog.log.time_add_ms": "yes",
                **self._settings,
            }
        )


def _nested(settings: Mapping[str, str | int]) -> str:
    """A configuration file of strongSwan: a dot in a name begins a section, and all of it is in `charon`."""
    lines: list[str] = []
    for name, value in settings.items():
        *sections, key = ("charon", *name.split("."))
        lines.append(" { ".join([*sections, f"{key} = {value}"]) + "\n" + "}" * len(sections))
    return "\n".join([*lines, ""])
