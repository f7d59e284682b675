"""The strongSwan server that a customer was told to set up, its file as it was printed: `ipsec.conf`.

That is the configuration of the old days, read by a starter that runs the daemon. Its places in /etc are compiled in,
so the server sees others there. Two things are the lab's: the address, and that ESP is done in user space.

The certificates are RSA of 4,096 bits, as printed: making them takes a second or two.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from string import Template

from tests.lab.authority import CLIENT, IKE_INTERMEDIATE, SERVER, Authority, rsa_4096
from tests.lab.charon import PLUGINS
from tests.lab.mounts import View
from tests.lab.pki import Account
from tests.lab.samples.masquerade import IPSEC_MSS, restore, translate
from tests.lab.servers.ipsec import PORT, Auth, IpsecAccess
from tests.lab.topology import Site
from tests.lab.vpn import Workshop
from tests.lab.waiting import wait_until

USER = "myuser"
CLIENTS = "10.10.10.0/24"
_PRINTED = Template(Path(__file__).with_name("ipsec.conf").read_text())
_RIGHTAUTH = {Auth.MSCHAPV2: "eap-mschapv2", Auth.TLS: "eap-tls"}
_DAEMON = f"""charon {{
  load_modular = no
  load = {PLUGINS} stroke
  filelog {{ log {{ path = /dev/stdout
    flush_line = yes
    default = 1
  }} }}
}}
"""
_TABLE = "sample_ipsec"
_READY = "added configuration 'ikev2-vpn'"
_START = 5.0  # seconds


class IpsecSample:
    """A `server.Server`. `auth` is MSCHAPV2 or TLS; raises KeyError for another. The company sees `site.lan`."""

    def __init__(self, workshop: Workshop, site: Site, *, auth: Auth = Auth.MSCHAPV2) -> None:
        self._workshop = workshop
        self._site = site
        self._space = workshop.spaces[site.role]
        self.name = f"ipsec-sample-{site}"
        directory = workshop.directory.conf / f"{self.name}-{auth}"
        for each in ("ipsec.d/cacerts", "ipsec.d/certs", "ipsec.d/private"):
            (directory / each).mkdir(parents=True, exist_ok=True)
        self._view = View(
            workshop.directory,
            self.name,
            {
                Path("/etc", each): directory / each
                for each in ("ipsec.conf", "ipsec.secrets", "ipsec.d", "strongswan.conf")
            },
        )
        authority = Authority(directory, "ca", organisation=None, new_key=rsa_4096)
        server = authority.issue("server", site.far, (*SERVER, IKE_INTERMEDIATE), [site.far])
        for source, copy in (
            (authority.ca, "cacerts/ca-cert.pem"),
            (server.certificate, "certs/server-cert.pem"),
            (server.key, "private/server-key.pem"),
        ):
            shutil.copy(source, directory / "ipsec.d" / copy)
        account = Account.write(directory, USER, secrets.token_urlsafe(18))
        secret = f': RSA "server-key.pem"\n{account.user} : EAP "{account.password}"\n'
        (directory / "ipsec.secrets").write_text(secret)
        (directory / "ipsec.conf").write_text(_PRINTED.substitute(address=site.far, rightauth=_RIGHTAUTH[auth]))
        (directory / "strongswan.conf").write_text(_DAEMON)
        identity = authority.issue("client", "client", CLIENT, []) if auth is Auth.TLS else None
        self.access = IpsecAccess(
            host=site.far,
            port=PORT,
            auth=auth,
            ca=authority.ca,
            name=site.far,
            account=account if auth is Auth.MSCHAPV2 else None,
            identity=identity,
            bundle=None if identity is None else authority.bundle(identity, secrets.token_urlsafe(18)),
        )

    def start(self) -> None:
        translate(self._space, _TABLE, CLIENTS, mss=IPSEC_MSS)
        self._view.clear()
        self._heard = self._workshop.processes.log(self.name).count(_READY)
        # The starter dies alone when it is killed, and leaves the daemon behind.
        argv = self._view.family(["ipsec", "start", "--nofork"])
        self._workshop.processes.spawn(self.name, argv, self._space)

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
