"""Aims: what is to be probed through each tunnel.

The probes that its operator configured; without any, a TCP connect to each target of the forwards that use it. A target
without a known address, or without a route through the tunnel, is no aim: nothing could be learnt from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address

from gateway.model import Aim, Endpoint, Path, ProbeKind, ProbePlan, ProbeSpec
from gateway.policy.check import is_large
from gateway.policy.state import State, TunnelState


def label_of(target: Endpoint) -> str:
    """The name of the probe of a forward's target."""
    return f"{ProbeKind.TCP}://{target}"


def probe_plans(before: State, state: State, paths: Mapping[str, Path]) -> Mapping[str, ProbePlan]:
    """What is to be probed in `state`, which followed on `before`; the old plans, identically, when nothing differs."""
    afresh = not state.plans or any(
        old is not new
        for old, new in (
            (before.addresses, state.addresses),
            (before.through, state.through),
            (before.lost, state.lost),
        )
    )
    if not afresh:
        plans = {name: _by(plan, paths.get(name)) for name, plan in state.plans.items()}
    else:
        plans = {name: _plan(state, tunnel, paths.get(name)) for name, tunnel in state.tunnels.items()}
    return state.plans if plans == state.plans else plans


def is_probed(plan: ProbePlan, *, has_targets: bool) -> bool:
    """Whether the tunnel is to show life by answers, not by the looks of its device.

    Where nothing that its operator configured can be asked now, looks must do: a probe's name that has no address must
    not make an outage. Where it is the targets themselves that cannot be asked, nobody could use the tunnel either.
    """
    if plan.settings.probes is None:
        return has_targets
    return not all(is_large(aim.spec) for aim in plan.aims)


def _by(plan: ProbePlan, path: Path | None) -> ProbePlan:
    return plan if plan.path == path else replace(plan, path=path)


def _plan(state: State, tunnel: TunnelState, path: Path | None) -> ProbePlan:
    settings = tunnel.spec.health
    specs = (
        ProbeSpec(label=label_of(target), kind=ProbeKind.TCP, host=target.host, port=target.port)
        for target in state.layout.targets.get(tunnel.spec.name, ())
    )
    targets = _aims(state, tunnel, specs)
    if settings.probes is None:
        return ProbePlan(path=path, settings=settings, aims=targets)
    asked = {spec.endpoint for spec in settings.probes}
    return ProbePlan(
        path=path,
        settings=settings,
        aims=_aims(state, tunnel, settings.probes),
        targets=tuple(aim for aim in targets if aim.spec.endpoint not in asked),
    )


def _aims(state: State, tunnel: TunnelState, specs: Iterable[ProbeSpec]) -> tuple[Aim, ...]:
    aims: list[Aim] = []
    for spec in specs:
        if tunnel.spec.name in state.lost.get(spec.host, ()):
            continue
        addresses = _addresses(state, tunnel, spec.host)
        if addresses:
            aims.append(Aim(spec=spec, addresses=addresses))
    return tuple(aims)


def _addresses(state: State, tunnel: TunnelState, host: str) -> tuple[str, ...]:
    """The addresses of `host` that the tunnel can dial; a host of a probe may be no forward's target."""
    own = state.through.get((tunnel.spec.name, host))
    known = own if own is not None else state.addresses.get(host) or _literal(host)
    source = tunnel.spec.source_address
    if source is None:
        return known
    return tuple(address for address in known if (":" in address) is (source.version == 6))  # noqa: PLR2004 - IPv6


def _literal(host: str) -> tuple[str, ...]:
    try:
        return (str(ip_address(host)),)
    except ValueError:
        return ()
