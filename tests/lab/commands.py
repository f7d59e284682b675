"""Running the tools that the lab is made with. Every command ends, or is ended, within a deadline."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from tests.lab.errors import CommandError

_DEADLINE = 15.0  # seconds; each of these takes milliseconds

# A user's PATH may lack the directories that Debian keeps these tools in, even root's.
ENVIRONMENT = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}


def run(argv: Sequence[str], *, text: str | None = None) -> str:
    """Run `argv` with `text` as its input, and return its standard output. Raises CommandError if it fails."""
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, check=False, timeout=_DEADLINE, env=ENVIRONMENT
    )
    if done.returncode != 0:
        raise CommandError(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout
