"""nginx as the company's web server: pages, a large file, uploads by PUT, and its own count of connections."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import program, run
from tests.e2e.servers.process import accepts, server
from tests.lab.processes import mortal

PAGE = "Hello from the private network\n"
LARGE_BYTES = 96 << 20

_CONFIGURATION = """
{user}
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    default_type text/plain;
    sendfile on;
    client_max_body_size 0;
    client_body_temp_path {directory}/temporary;
    proxy_temp_path {directory}/temporary;
    fastcgi_temp_path {directory}/temporary;
    uwsgi_temp_path {directory}/temporary;
    scgi_temp_path {directory}/temporary;
    server {{
        listen 127.0.0.1:{port};
        root {directory}/pages;
        keepalive_requests 1000;
        location /uploads/ {{ dav_methods PUT; create_full_put_path on; }}
        location = /status {{ stub_status; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx. `large_hash` is the SHA-256 of /large, `LARGE_BYTES` long."""

    port: int
    pages: Path
    large_hash: str

    def uploaded(self, name: str) -> str:
        """The SHA-256 of what was put at /uploads/NAME."""
        return sha256(self.pages / "uploads" / name)

    def accepted(self) -> int:
        """Connections that it has accepted so far, the one that asks included. It is asked directly."""
        words = run("curl", "--silent", "--fail", f"http://127.0.0.1:{self.port}/status").split()
        return int(words[words.index("requests") + 1])  # "server accepts handled requests\n 3 3 5"


@contextmanager
def nginx(directory: Path, port: int) -> Iterator[Nginx]:
    """nginx on `port` of 127.0.0.1, with everything it needs in `directory`."""
    binary = program("nginx")
    pages = directory / "pages"
    pages.mkdir()
    (pages / "page").write_text(PAGE)
    (pages / "small").write_bytes(os.urandom(256))
    (pages / "large").write_bytes(os.urandom(LARGE_BYTES))
    configuration = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # its worker reads what the tests wrote
    configuration.write_text(_CONFIGURATION.format(directory=directory, port=port, user=user))
    argv = mortal([binary, "-p", str(directory), "-c", str(configuration), "-e", "stderr"])
    with server(argv, directory / "nginx.log", ready=lambda: accepts(port)):
        yield Nginx(port, pages, sha256(pages / "large"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
