"""The OpenVPN server that a customer was told to set up, its file as it was printed: `openvpn.conf`.

Users log in with an account of the system, by PAM's service `login`. The account is real, and the system's own files do
not know it: the server sees copies of /etc/passwd and /etc/shadow with one line more.

It pushes compression, which a current client refuses unless it is told `allow-compression`, and it pushes no routes.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from tests.lab.authority import SERVER, Authority
from tests.lab.commands import run
from tests.lab.mounts import View
from tests.lab.pki import Account
from tests.lab.samples.masquerade import restore, translate
from tests.lab.servers.openvpn import OpenVpnAccess
from tests.lab.topology import Site
from tests.lab.vpn import Workshop
from tests.lab.waiting import wait_until

USER = "myuser"
CLIENTS = "10.10.20.0/24"
_PRINTED = Path(__file__).with_name("openvpn.conf")
_TABLE = "sample_openvpn"
_READY = "Initialization Sequence Completed"
_START = 5.0  # seconds


class OpenVpnSample:
    """A `server.Server`. The company sees its clients as `site.lan`."""

    def __init__(self, workshop: Workshop, site: Site) -> None:
        self._workshop = workshop
        self._site = site
        self._space = workshop.spaces[site.role]
        self.name = f"openvpn-sample-{site}"
        self._directory = workshop.directory.conf / self.name
        self._directory.mkdir(exist_ok=True)
        self._passwd, self._shadow = self._directory / "passwd", self._directory / "shadow"
        self._view = View(
            workshop.directory,
            self.name,
            {Path("/etc/passwd"): self._passwd, Path("/etc/shadow"): self._shadow},
        )
        authority = Authority(self._directory, "ca", organisation="sample")
        authority.issue("server", "server", SERVER, ["server"])
        run(
            [
                *("openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "dh_param:ffdhe2048"),
                *("-out", str(self._directory / "dh2048.pem")),
            ]
        )
        self.access = OpenVpnAccess(
            host=site.far,
            port=1194,
            ca=authority.ca,
            name="server",
            account=self._account(),
            options=("allow-compression asym",),
        )

    def start(self) -> None:
        translate(self._space, _TABLE, CLIENTS)
        self._view.clear()
        argv = ["openvpn", "--cd", str(self._directory), "--config", str(_PRINTED)]
        self._heard = self._workshop.processes.log(self.name).count(_READY)
        # The plug-in starts a process of its own, and may leave it behind.
        self._workshop.processes.spawn(self.name, self._view.family(argv), self._space)

    def wait_ready(self) -> None:
        wait_until(
            lambda: self._workshop.processes.log(self.name).count(_READY) > self._heard,
            within=_START,
            what=f"{self.name} listens",
            detail=lambda: self._workshop.processes.log(self.name),
        )

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_ready()

    def stop(self) -> None:
        self._workshop.processes.kill(self.name)
        restore(self._space, _TABLE)

    def _account(self) -> Account:
        password = secrets.token_urlsafe(18)
        digest = run(["openssl", "passwd", "-6", "-stdin"], text=password).strip()
        for copy, line in (
            (self._passwd, f"{USER}:x:4711:4711::/nonexistent:/usr/sbin/nologin\n"),
            (self._shadow, f"{USER}:{digest}:20000:0:99999:7:::\n"),
        ):
            shutil.copy(Path("/etc", copy.name), copy)
            with copy.open("a") as file:
                file.write(line)
        return Account.write(self._directory, USER, password)
