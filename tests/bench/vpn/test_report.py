from __future__ import annotations

from bench.results import PeerInfo, Run, Sample
from bench.vpn.report import markdown

RUN = Run(
    date="2026-01-02",
    machine={"machine": "2-core-vm", "processor": "Some Processor", "cores": "2", "kernel": "Linux 6.1"},
    settings={"rounds": "2", "pinned": "gateway on core 0"},
    peers={"gateway": PeerInfo(what="the gateway", version="1"), "ipsec": PeerInfo(what="IPsec", version="5.9")},
    samples=(
        *(
            Sample(
                place="ipsec",
                measure="bulk-up-1",
                peer=way,
                round=number,
                values={"rate": rate, "client_cpu": 8, "path_cpu": path, "foreign_share": 0.02, **more},
            )
            for number, way, rate, path, more in (
                (0, "gateway", 0.9, 10, {"gateway_cpu": 2, "gateway_share": 0.2}),
                (0, "direct", 1.0, 8, {}),
                (1, "direct", 2.0, 8, {}),
                (1, "gateway", 1.4, 12, {"gateway_cpu": 4, "gateway_share": 0.33}),
            )
        ),
        Sample(place="ipsec", measure="rtt", peer="gateway", round=0, values={"rate": 900, "p50_us": 80, "p99_us": 99}),
        Sample(place="wireguard", measure="rtt", peer="direct", round=1, error="it did not connect: no | yes"),
    ),
)


def section(title):
    """The lines of a section of the report."""
    return markdown(RUN).split(f"\n## {title}", 1)[1].split("\n## ", 1)[0].splitlines()


def test_it_says_what_it_ran_on():
    text = markdown(RUN)
    assert "Some Processor" in text
    assert "pinned gateway on core 0" in text
    assert "| ipsec | IPsec | 5.9 |" in text
    assert "other processes took 2.0% of a core" in text


def test_ratios_are_of_the_same_round():
    assert "| bulk to the target, 1 flow | 0.80 (0.70 – 0.90) | – |" in section("What is left of a tunnel's rate")
    assert "| bulk to the target, 1 flow | 1.38 (1.25 – 1.50) | – |" in section("CPU time of both")
    assert "| bulk to the target, 1 flow | 0.27 (0.20 – 0.33) | – |" in section("The gateway's part of the CPU time")


def test_each_way_has_its_figures():
    lines = section("ipsec: IPsec")
    assert any(line.startswith("| bulk to the target, 1 flow | direct | 1.50 (1.00 – 2.00) Gbit/s |") for line in lines)
    assert "| round trip of one byte | gateway | 80.0 (80.0 – 80.0) | 99.0 (99.0 – 99.0) | – |" in lines


def test_what_could_not_be_taken_is_said():
    assert "| wireguard | rtt | direct | 2 | it did not connect: no / yes |" in section(
        "Samples that could not be taken"
    )


def test_every_row_of_a_table_has_the_columns_of_its_head():
    width = 0
    for line in markdown(RUN).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        width = width or line.count("|")
        assert line.count("|") == width, line
