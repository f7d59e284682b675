from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import load
from gateway.config.tunnel_tables import TUNNEL_MODELS
from gateway.errors import ConfigError
from gateway.model import (
    AdminSpec,
    Config,
    Endpoint,
    Failback,
    ForwardPolicy,
    ForwardSpec,
    GatewaySpec,
    HealthSettings,
    KeepAlive,
    ListenAddress,
    PortMap,
    ProbeKind,
    ProbeSpec,
    ProxyProtocol,
    ReadyWhen,
    SessionLog,
    TunnelDownAction,
    TunnelKind,
    TunnelSpec,
    WhenDown,
)
from tests.config.surroundings import settle

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
INVALID = sorted(path.stem for path in (HERE / "invalid").glob("*.toml"))
EXAMPLES = [Path("config/forwards.toml"), *sorted(Path("config/examples").glob("*.toml"))]


def interface(name: str, device: str, **rest: Any) -> TunnelSpec:
    return TunnelSpec(name=name, kind=TunnelKind.INTERFACE, interface=device, **rest)


def ports(listen: ListenAddress, target: Endpoint, count: int = 1) -> tuple[PortMap, ...]:
    return tuple(
        PortMap(listen=ListenAddress(listen.host, listen.port + i), target=Endpoint(target.host, target.port + i))
        for i in range(count)
    )


EIGHTY = Endpoint("10.0.0.1", 80)
GREETING = ProbeSpec(label="tcp://10.0.0.1:80", kind=ProbeKind.TCP, host="10.0.0.1", port=80)

# ---------------------------------------------------------------- files that are right

VALID: dict[str, Config] = {
    "smallest": Config(
        path="smallest.toml",
        gateway=GatewaySpec(),
        admin=AdminSpec(),
        tunnels=(interface("a", "tun-a"),),
        forwards=(
            ForwardSpec(
                name="hello", ports=ports(ListenAddress(None, 33000), Endpoint("db.example.com", 5432)), tunnels=("a",)
            ),
        ),
    ),
    "everything": Config(
        path="everything.toml",
        gateway=GatewaySpec(
            environment="production",
            drain_timeout=30,
            drain_delay=5,
            max_connections=1000,
            session_log=SessionLog.FAILURES,
            splice=False,
            reuse_upstreams=False,
            busy_poll=0.00005,
        ),
        admin=AdminSpec(
            listen=None, socket="control.sock", ready=ReadyWhen.ALL, book="/srv/book", book_days=7, book_lines=500
        ),
        tunnels=(
            interface(
                "zone-a",
                "tun-a",
                source_address=IPv4Address("10.10.20.6"),
                mss=1360,
                failback_delay=0,
                weight=3,
                slow_start=30,
                dns=(Endpoint("10.0.0.53", 53), Endpoint("10.0.0.54", 5353), Endpoint("2001:db8::53", 53)),
                health=HealthSettings(
                    interval=2,
                    timeout=0.5,
                    rise=3,
                    fall=4,
                    suspect_after=0.2,
                    fast_interval=0.1,
                    down_after=2.5,
                    stall_after=10,
                    reliability=2,
                    failure_latency=0.3,
                    recovery_latency=0.25,
                    failure_loss=0.2,
                    recovery_loss=0.125,
                    probes=(
                        ProbeSpec(
                            label="tcp://192.168.100.30:8080", kind=ProbeKind.TCP, host="192.168.100.30", port=8080
                        ),
                        ProbeSpec(
                            label="tls://Directory.example.com:636",
                            kind=ProbeKind.TLS,
                            host="directory.example.com",
                            port=636,
                        ),
                        ProbeSpec(
                            label="http://192.168.100.31/health?full=1#status=204",
                            kind=ProbeKind.HTTP,
                            host="192.168.100.31",
                            port=80,
                            path="/health?full=1",
                            status=(204, 204),
                        ),
                        ProbeSpec(
                            label="https://[2001:db8::31]:8443#status=200-299",
                            kind=ProbeKind.HTTPS,
                            host="2001:db8::31",
                            port=8443,
                            status=(200, 299),
                        ),
                        ProbeSpec(label="icmp://10.10.20.1", kind=ProbeKind.ICMP, host="10.10.20.1"),
                        ProbeSpec(
                            label="icmp://10.10.20.1#size=1400", kind=ProbeKind.ICMP, host="10.10.20.1", size=1400
                        ),
                        ProbeSpec(
                            label="dns://10.0.0.53/_ldap.Example.com",
                            kind=ProbeKind.DNS,
                            host="10.0.0.53",
                            port=53,
                            name="_ldap.example.com",
                        ),
                    ),
                ),
            ),
        ),
        forwards=(
            ForwardSpec(
                name="hello",
                ports=ports(ListenAddress("::1", 33000), Endpoint("192.168.100.30", 8080)),
                tunnels=("zone-a",),
                policy=ForwardPolicy.BALANCE,
                on_tunnel_down=TunnelDownAction.GRACE,
                grace=90,
                allow=(
                    IPv4Network("10.0.0.0/8"),
                    IPv4Network("192.168.1.1/32"),
                    IPv4Network("172.16.0.0/12"),
                    IPv6Network("2001:db8::/32"),
                ),
                proxy_protocol=ProxyProtocol.V2,
                max_connections=5,
                connect_timeout=0.25,
                idle_timeout=2 * 86_400,
                half_close_timeout=60,
                keepalive=KeepAlive(idle=60, interval=5, count=4),
                tcp_user_timeout=80,
                when_down=WhenDown.RESET,
                hold_timeout=5,
                hold_max=10,
                hedge_after=0.1,
                failback=Failback.MANUAL,
                failback_rate=2.5,
            ),
        ),
        warnings=(
            (
                'everything.toml:54: forward "hello": hedge_after: comes to nothing: a second dial takes another '
                "tunnel, and there is only one"
            ),
        ),
    ),
    "halves": Config(
        path="halves.toml",
        gateway=GatewaySpec(),
        admin=AdminSpec(),
        tunnels=(
            interface(
                "a",
                "tun-a",
                rank=0,
                weight=2,
                dns=(Endpoint("10.0.0.53", 53),),
                health=HealthSettings(
                    timeout=2,
                    down_after=3,
                    reliability=2,
                    failure_latency=0.2,
                    recovery_latency=0.16,
                    failure_loss=0.001,
                    recovery_loss=0.0008,
                    probes=(GREETING, replace(GREETING, label="tcp://10.0.0.1:81", port=81)),
                ),
            ),
            interface(
                "b",
                "tun-b",
                rank=1,
                weight=2,
                health=HealthSettings(
                    timeout=2,
                    down_after=3,
                    failure_latency=0.2,
                    recovery_latency=0.2,
                    failure_loss=0.5,
                    recovery_loss=0.4,
                    probes=(),
                ),
            ),
        ),
        forwards=(
            ForwardSpec(
                name="refuses",
                ports=ports(ListenAddress(None, 33000), EIGHTY),
                tunnels=("a", "b"),
                when_down=WhenDown.REFUSE,
                hedge_after=0.3,
                failback_rate=5,
            ),
            ForwardSpec(name="waits", ports=ports(ListenAddress(None, 33001), EIGHTY), tunnels=("b",), hold_timeout=10),
        ),
    ),
    "order": Config(
        path="order.toml",
        gateway=GatewaySpec(),
        admin=AdminSpec(),
        tunnels=(
            interface("none-first", "tun0", rank=2),
            interface("second", "tun1", rank=1),
            interface("none-last", "tun2", rank=3),
            interface("first", "tun3", rank=0),
        ),
        forwards=(
            ForwardSpec(
                name="all",
                ports=ports(ListenAddress(None, 33000), EIGHTY),
                tunnels=("first", "second", "none-first", "none-last"),
            ),
            ForwardSpec(
                name="own-order", ports=ports(ListenAddress(None, 33001), EIGHTY), tunnels=("none-last", "first")
            ),
        ),
    ),
    "defaults": Config(
        path="defaults.toml",
        gateway=GatewaySpec(),
        admin=AdminSpec(),
        tunnels=(
            interface("a", "tun-a", rank=0, mss=1360, health=HealthSettings(rise=5, interval=2)),
            interface("b", "tun-b", rank=1, mss=1200, health=HealthSettings(rise=5, interval=3)),
        ),
        forwards=(
            ForwardSpec(
                name="takes",
                ports=ports(ListenAddress(None, 33000), EIGHTY),
                tunnels=("a",),
                policy=ForwardPolicy.BALANCE,
                max_connections=10,
            ),
            ForwardSpec(
                name="keeps",
                ports=ports(ListenAddress(None, 33001), EIGHTY),
                tunnels=("b", "a"),
                max_connections=10,
            ),
        ),
    ),
    "ranges": Config(
        path="ranges.toml",
        gateway=GatewaySpec(),
        admin=AdminSpec(),
        tunnels=(interface("a", "tun-a"),),
        forwards=(
            ForwardSpec(name="range", ports=ports(ListenAddress("0.0.0.0", 33000), EIGHTY, 3), tunnels=("a",)),
            ForwardSpec(
                name="same-ports-v6",
                ports=ports(ListenAddress("::", 33000), Endpoint("2001:db8::1", 80), 3),
                tunnels=("a",),
            ),
            ForwardSpec(name="beside-admin", ports=ports(ListenAddress("127.0.0.2", 9099), EIGHTY), tunnels=("a",)),
            ForwardSpec(
                name="same-port-other-address", ports=ports(ListenAddress("127.0.0.3", 9099), EIGHTY), tunnels=("a",)
            ),
        ),
    ),
}


def test_every_valid_file_has_its_expected_values():
    assert {path.stem for path in (HERE / "valid").glob("*.toml")} == VALID.keys()


@pytest.mark.parametrize("name", VALID)
def test_valid_file(name, monkeypatch):
    monkeypatch.chdir(HERE / "valid")
    assert load(f"{name}.toml", icmp_possible=lambda: True) == VALID[name]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_valid_and_needs_no_warning(path, tmp_path, monkeypatch):
    config = load(settle(REPOSITORY / path, tmp_path, monkeypatch), icmp_possible=lambda: True)
    assert config.warnings == ()


def test_every_kind_of_tunnel_has_its_example():
    kinds = re.findall(
        r'^kind *= *"(\w+)"', "".join((REPOSITORY / path).read_text() for path in EXAMPLES), re.MULTILINE
    )
    assert set(kinds) == set(TunnelKind)


def test_what_the_full_reference_says_of_managed_tunnels_can_be_said():
    text = (REPOSITORY / "config/examples/full-reference.toml").read_text()
    blocks = re.findall(r"^# \[\[tunnel\]\]\n((?:# .*\n)+)", text, re.MULTILINE)
    entries = [tomllib.loads(re.sub(r"^# ", "", block, flags=re.MULTILINE)) for block in blocks]
    assert [entry["kind"] for entry in entries] == ["openvpn", "ipsec", "wireguard"]
    for entry in entries:
        TUNNEL_MODELS[TunnelKind(entry["kind"])].model_validate(entry)


def test_full_reference_states_the_defaults():
    config = load(REPOSITORY / "config/examples/full-reference.toml")
    assert config.gateway == GatewaySpec()
    assert config.admin == AdminSpec()
    assert [tunnel.health for tunnel in config.tunnels] == [HealthSettings(), HealthSettings()]
    forward = config.forwards[0]
    assert forward == ForwardSpec(name="hello", ports=forward.ports, tunnels=("zone-a", "zone-b"))


# ---------------------------------------------------------------- files that are wrong


@pytest.mark.parametrize("name", INVALID)
def test_invalid_file_gets_exactly_its_message(name, monkeypatch):
    monkeypatch.chdir(HERE / "invalid")
    # What this very machine may send is not the file's fault: the tests of `icmp` ask it.
    with pytest.raises(ConfigError) as caught:
        load(f"{name}.toml", icmp_possible=lambda: name != "icmp-forbidden")
    assert f"{caught.value}\n" == Path(f"{name}.txt").read_text()
    assert "not for the eyes" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: the file: cannot be read: No such file or directory"):
        load(tmp_path / "none.toml")


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="the file: cannot be read: Is a directory"):
        load(tmp_path)


def test_a_path_with_a_nul_is_no_path():
    with pytest.raises(ConfigError, match="the file: cannot be read"):
        load("a\0b")


def test_text_that_is_not_utf_8_is_named_by_its_line(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[gateway]\nenvironment = 'd\xe9mo'\n")
    with pytest.raises(ConfigError, match=r"latin\.toml:2: the file: must be UTF-8 text"):
        load(path)


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (HERE / "valid/smallest.toml").read_bytes())
    assert load(path).forwards[0].name == "hello"


def test_nesting_without_end(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(f"x = {'[' * 100_000}")
    with pytest.raises(ConfigError, match="TOML syntax: nested too deeply"):
        load(path)


def test_a_number_of_thousands_of_digits(tmp_path):
    path = tmp_path / "huge.toml"
    path.write_text(f"[gateway]\nmax_connections = 0x{'f' * 9_000}\nsession_log = 0x{'f' * 9_000}\n")
    with pytest.raises(ConfigError, match="session_log: found a huge number"):
        load(path)


# ---------------------------------------------------------------- whatever the file says


KEYS = st.sampled_from(
    [
        "name",
        "kind",
        "interface",
        "listen",
        "target",
        "tunnels",
        "allow",
        "health",
        "probes",
        "mss",
        "defaults",
        "forward",
        "tunnel",
        "gateway",
        "admin",
        "socket",
        "password",
        "servers",
        "priority",
        "",
        "a b",
        "\x1b[",
        "file",
        "env",
        "dns",
        "weight",
        "timeout",
        "failure_loss",
        "recovery_loss",
        "reliability",
        "hedge_after",
        "hold_timeout",
        "when_down",
        "failback_rate",
    ]
)
SCALARS = (
    st.sampled_from(
        [
            "interface",
            "openvpn",
            "33000",
            "icmp://10.0.0.1",
            "tcp://a:1",
            "20%",
            "refuse",
            "1-2",
            "10.0.0.1:80",
            "[::]:1-9",
            "5s",
            "a",
            "",
            "\x1b[0m",
            "off",
        ]
    )
    | st.integers(-(10**30), 10**30)
    | st.booleans()
    | st.floats()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)
ENTRIES = st.lists(st.dictionaries(KEYS, VALUES, max_size=6) | VALUES, max_size=3)
DOCUMENTS = st.fixed_dictionaries({}, optional={"tunnel": ENTRIES, "forward": ENTRIES, "defaults": VALUES}) | (
    st.dictionaries(KEYS, VALUES, max_size=5)
)


def toml(value: Any) -> str:
    match value:
        case dict():
            return f"{{ {', '.join(f'{toml(key)} = {toml(inner)}' for key, inner in value.items())} }}"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case bool():
            return str(value).lower()
        case str():
            escaped = "".join(f"\\u{ord(char):04x}" if char < " " else char for char in value)
            return f'"{escaped}"'
        case _:
            return str(value)


@given(DOCUMENTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_any_document_loads_or_is_a_config_error_that_can_be_printed(tmp_path, document):
    path = tmp_path / "any.toml"
    path.write_text("".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items()))
    try:
        problems = load(path).warnings
    except ConfigError as error:
        problems = tuple(map(str, error.problems))
    assert all(map(str.isprintable, problems))


def test_ten_thousand_forwards_load_in_under_three_seconds_of_processor_time(tmp_path):
    path = tmp_path / "many.toml"
    entries = (
        f'[[forward]]\nname = "f{i}"\nlisten = "127.0.{i // 250}.{i % 250}:{20_000 + i}"\ntarget = "10.0.0.1:80"\n'
        f'tunnels = ["a"]\nallow = ["10.0.0.0/8"]\nidle_timeout = "1h"\n'
        for i in range(10_000)
    )
    path.write_text('[[tunnel]]\nname = "a"\nkind = "interface"\ninterface = "lo"\n' + "".join(entries))
    # A process of its own: coverage or a debugger in this one would be measured as well.
    script = (
        "import sys, time; from gateway.config import load; start = time.process_time(); "
        "print(len(load(sys.argv[1]).forwards), time.process_time() - start)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, path], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    count, seconds = run.stdout.split()
    assert count == "10000"
    assert float(seconds) < 3  # on a machine that is shared: 1.6 to 2.1 s
