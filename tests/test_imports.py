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
import pydantic, rich.table, structlog, typer, uvloop, aiohttp.web, prometheus_client, pyroute2.netlink  # once, for all
failed = []
for name in sys.argv[1:]:
    if (child := os.fork()) == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {error!r}", flush=True)
            os._exit(1)
        os._exit(0)
    failed += [name] * (os.waitpid(child, 0)[1] != 0)
sys.exit(len(failed) > 0)
"""


def test_every_module_can_be_imported_first():
    done = subprocess.run(
        [sys.executable, "-c", _EACH_IN_A_FORK, *MODULES],
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
