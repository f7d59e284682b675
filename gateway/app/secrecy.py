"""Core files: none. What a process knows is in them, passwords and keys of VPN accounts among it."""

from __future__ import annotations

import resource


def forbid_core_files() -> None:
    """Let neither this process nor its children leave a core file (RLIMIT_CORE 0, setrlimit(2)); they cannot undo it.

    PR_SET_DUMPABLE would do the same for this process alone, and give its /proc files to root: then a gateway that is
    not root could not be looked at by its own user. Programs that cores are piped to are told the limit (core(5), %c).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
