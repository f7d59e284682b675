"""The far end of a tunnel: a namespace of its own at the other side of a veth pair, whose firewall plays the faults.

Its thread lives in it. A socket belongs for ever to the namespace it was opened in, so targets are opened by that
thread and used from the test's loop. To be made inside a namespace (`tests.control.namespace`).
"""

from __future__ import annotations

import ctypes
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from gateway.model import Path
from tests.control.namespace import await_carrier, ip
from tests.dataplane.rig import Rig, Target

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
TARGET = "10.20.0.1"


class FarEnd:
    """`tun-a` here leads there, where `TARGET` is. As by any tunnel, segments go one by one: the firewall sees each."""

    def __init__(self) -> None:
        self._inside = ThreadPoolExecutor(1)
        thread = self._inside.submit(self._enter).result()
        ip(
            f"link add tun-a type veth peer name tun-b netns {thread}",
            "addr add 10.20.0.2/24 dev tun-a",
            "link set tun-a gso_max_segs 1 up",
        )
        self._inside.submit(
            ip, "link set lo up", f"addr add {TARGET}/24 dev tun-b", "link set tun-b gso_max_segs 1 up"
        ).result()
        await_carrier("tun-a")
        self._inside.submit(await_carrier, "tun-b").result()

    @staticmethod
    def _enter() -> int:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        return threading.get_native_id()

    def path(self, rig: Rig) -> Path:
        return rig.path("tun-a", interface="tun-a", ifindex=_libc.if_nametoindex(b"tun-a"))

    def target(self, rig: Rig) -> Target:
        return self._inside.submit(rig.target, TARGET).result()

    def firewall(self, *rules: str) -> None:
        """From now on, of all that arrives and all that leaves there, what `rules` (nft) say is dropped."""
        dropped = "".join(f"{rule} drop\n" for rule in rules)
        chains = "".join(
            f"chain {hook} {{\ntype filter hook {hook} priority 0\n{dropped}}}\n" for hook in ("input", "output")
        )
        script = f"flush ruleset\ntable inet faults {{\n{chains}}}\n"
        self._inside.submit(subprocess.run, ["nft", "-f", "-"], input=script, text=True, check=True).result()

    def black_hole(self) -> None:
        self.firewall("meta l4proto tcp")

    def swallow_larger_than(self, size: int) -> None:
        """A path-MTU black hole: too large, and nobody says so."""
        self.firewall(f"meta length > {size}")

    def close(self) -> None:
        self._inside.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
