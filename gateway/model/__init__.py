"""The frozen values that the rooms of the gateway hand to one another, and the enums they are made of.

Nothing here does anything: no I/O, no clock. Durations are seconds (float), sizes are bytes (int), moments are
`time.monotonic()` seconds unless a name ends in `_at_unix`. What the configuration file says becomes a `Config`;
what `policy` decides becomes a `RoutingTable`; what the data plane counted becomes `Stats`.

    names ◀── fates, settings, facts ◀── decisions ◀── views
"""

from gateway.model.decisions import NO_CHOICE, Aim, Choice, Failover, Path, ProbePlan, Return, RoutingTable, Transition
from gateway.model.facts import KernelSnapshot, LinkFacts, Vitals
from gateway.model.fates import CloseReason, ConnectResult, DialFailure, HedgeResult, HoldResult
from gateway.model.names import (
    AdminState,
    Cause,
    Doubt,
    Endpoint,
    Failback,
    ForwardPolicy,
    Health,
    IPAddress,
    IPNetwork,
    ListenAddress,
    ProbeKind,
    ProbeOutcome,
    ProxyProtocol,
    ReadyWhen,
    SessionLog,
    TunnelDownAction,
    TunnelKind,
    WhenDown,
)
from gateway.model.settings import (
    AdminSpec,
    Config,
    ForwardSpec,
    GatewaySpec,
    HealthSettings,
    KeepAlive,
    PortMap,
    ProbeSpec,
    TunnelSpec,
)
from gateway.model.views import ControlView, DrilledForward, DrillReport, Durations, ForwardView, ProbeView, TunnelView

__all__ = [
    "NO_CHOICE",
    "AdminSpec",
    "AdminState",
    "Aim",
    "Cause",
    "Choice",
    "CloseReason",
    "Config",
    "ConnectResult",
    "ControlView",
    "DialFailure",
    "Doubt",
    "DrillReport",
    "DrilledForward",
    "Durations",
    "Endpoint",
    "Failback",
    "Failover",
    "ForwardPolicy",
    "ForwardSpec",
    "ForwardView",
    "GatewaySpec",
    "Health",
    "HealthSettings",
    "HedgeResult",
    "HoldResult",
    "IPAddress",
    "IPNetwork",
    "KeepAlive",
    "KernelSnapshot",
    "LinkFacts",
    "ListenAddress",
    "Path",
    "PortMap",
    "ProbeKind",
    "ProbeOutcome",
    "ProbePlan",
    "ProbeSpec",
    "ProbeView",
    "ProxyProtocol",
    "ReadyWhen",
    "Return",
    "RoutingTable",
    "SessionLog",
    "Transition",
    "TunnelDownAction",
    "TunnelKind",
    "TunnelSpec",
    "TunnelView",
    "Vitals",
    "WhenDown",
]
