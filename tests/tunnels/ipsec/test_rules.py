from __future__ import annotations

import pytest

from gateway.tunnels.ipsec import rules
from gateway.tunnels.ipsec.settings import TABLE
from tests.tunnels.inside import inside

pytestmark = pytest.mark.lab

_CHARON_S = f"from all fwmark {TABLE:#x} lookup {TABLE}"


async def test_charon_s_rules_go_and_others_of_its_table_stay(empty_lab):
    cloud = empty_lab.cloud

    def listed(family):
        return cloud.run(["ip", family, "rule"])

    for family in ("-4", "-6"):
        cloud.run(["ip", family, "rule", "add", "priority", str(TABLE), "fwmark", str(TABLE), "table", str(TABLE)])
        cloud.run(["ip", family, "rule", "add", "priority", "160", "from", "all", "lookup", str(TABLE)])
    try:
        assert _CHARON_S in listed("-4")
        with inside(cloud):
            await rules.remove()
            await rules.remove()  # of what is not there
        for family in ("-4", "-6"):
            assert _CHARON_S not in listed(family)
            assert f"160:\tfrom all lookup {TABLE}" in listed(family)
    finally:
        for family in ("-4", "-6"):
            cloud.run(["ip", family, "rule", "del", "priority", "160"])
