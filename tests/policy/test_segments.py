from __future__ import annotations

import pytest

from gateway.policy.segments import clamped, probed


@pytest.mark.parametrize(
    ("clamp", "lost", "after"),
    [
        (None, 1460, 1200),
        (None, 1201, 1200),
        (None, 1200, 536),
        (None, 1188, 536),  # a clamp of 1200 with timestamps in the header
        (None, 536, 536),
        (None, 100, 536),
        (1200, 1460, 1200),  # sessions from before the clamp
        (1200, 1448, 1200),
        (1200, 1200, 536),
        (1200, 1188, 536),
        (536, 1460, 536),
        (536, 1200, 536),
    ],
)
def test_clamped_below_what_vanished_and_never_wider(clamp: int | None, lost: int, after: int):
    assert clamped(clamp, lost) == after
    assert clamped(after, lost) == after, "said again, it says no more"


@pytest.mark.parametrize(("clamp", "failing"), [(None, 1200), (1200, 1200), (536, 536)])
def test_large_probes_clamp_and_lift(clamp: int | None, failing: int):
    assert probed(clamp, large_pass=False) == failing
    assert probed(clamp, large_pass=True) is None
