from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import resource, subprocess, sys
from gateway.app.secrecy import forbid_core_files
resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
forbid_core_files()
child = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
subprocess.run([sys.executable, "-c", child], check=True)
"""


def test_neither_the_gateway_nor_its_children_leave_a_core_file():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(0, 0)", "(0, 0)"]
