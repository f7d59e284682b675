"""Every module can be imported first: no cycle hides behind the order in which others import it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gateway
from tests.running import DEADLINE, REPOSITORY

_PACKAGE = Path(gateway.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in _PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)

_EACH_IN_A_FORK = """
import importlib, os, sys
# What is not ours, once for all:
import asyncio, sqlite3
import pydantic, rich.table, structlog, typer, uvloop, aiohttp.web, prometheus_client, dns.message, vici
import cryptography.x509, cryptography.hazmat.primitives.serialization.pkcs12
import pyroute2, pyroute2.netlink.generic.wireguard

sys.pycache_prefix, *modules = sys.argv[1:]  # nobody compiles what another has
sys.dont_write_bytecode = False

def fails(name):
    if (child := os.fork()) == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {error!r}", flush=True)
            os._exit(1)
        # Whoever imports a module imports its package before: these go on from here, if that has not done it already.
        inside = [each for each in modules if each.rpartition(".")[0] == name]
        os._exit(any([fails(each) for each in inside if each not in sys.modules or each in packages]))
    return os.waitpid(child, 0)[1] != 0

packages = {each.rpartition(".")[0] for each in modules}
sys.exit(fails("gateway"))
"""


def test_every_module_can_be_imported_first(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", _EACH_IN_A_FORK, str(tmp_path), *MODULES],
        capture_output=True,
        text=True,
        timeout=5 * DEADLINE,
        check=False,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
