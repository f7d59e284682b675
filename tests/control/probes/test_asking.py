from __future__ import annotations

import pytest

from gateway.control.probes.asking import HOW, ask
from gateway.model import Path, ProbeKind, ProbeOutcome
from tests.control.far import aim

NOWHERE = Path(tunnel="a", interface="gone", ifindex=4711)


def test_every_kind_can_be_asked():
    assert set(HOW) == set(ProbeKind)


@pytest.mark.parametrize("kind", ProbeKind)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_no_kind_leaves_by_another_way_when_its_device_is_gone(kind: ProbeKind, address: str):
    answer = await ask(aim(kind, "db.example.com", 53, addresses=(address,), name="db"), NOWHERE, 0.2)
    assert answer.outcome in {ProbeOutcome.FAILED, ProbeOutcome.LOCAL}
    assert answer.detail
    assert answer.sent_at <= answer.at
