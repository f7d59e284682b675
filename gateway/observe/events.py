"""The names of the gateway's log events: `noun.verb`, the verb in the past where something has happened.

This list is for those who search logs and write alerts on them; names are kept once published. What libraries log
(aiohttp, asyncio) has free text as its event and a `logger` key.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""The form of an event's name."""


class Event(StrEnum):
    """Every event, with the keys it carries beside `timestamp`, `level`, `environment`."""

    # ---- the gateway's life

    GATEWAY_STARTING = "gateway.starting"
    """version, config (path), forwards, tunnels (how many), max_sessions."""

    GATEWAY_STARTED = "gateway.started"
    """listeners: every listen address is open, clients are served."""

    GATEWAY_DRAINING = "gateway.draining"
    """sessions, timeout and delay (seconds): readiness fails from here on, no new sessions."""

    GATEWAY_DRAIN_TIMED_OUT = "gateway.drain_timed_out"
    """sessions: so many are reset because the drain's deadline has passed."""

    GATEWAY_KILLED = "gateway.killed"
    """signal: a second one, so the drain ends at once."""

    GATEWAY_STOPPED = "gateway.stopped"
    """sessions_reset."""

    GATEWAY_FAILED = "gateway.failed"
    """error: why the gateway cannot start."""

    CONFIG_WARNED = "config.warned"
    """warning: legal in the configuration, but worth a look."""

    CONFIG_RELOAD_REFUSED = "config.reload_refused"
    """reason: SIGHUP came, and the configuration was not read again."""

    # ---- tunnels and forwards

    TUNNEL_TRANSITION = "tunnel.transition"
    """tunnel, old, new, cause, evidence, age (seconds since the first of it), sessions_aborted. A warning when DOWN."""

    TARGET_TRANSITION = "target.transition"
    """tunnel, target, old, new, cause, evidence, age: of one target behind one tunnel; the first UP is not said."""

    FORWARD_FAILOVER = "forward.failover"
    """from_tunnel, to_tunnel, cause, forwards (how many made this move), names (the first of them)."""

    FORWARD_FAILBACK = "forward.failback"
    """from_tunnel, to_tunnel, forwards (how many returned), names (the first of them)."""

    TUNNEL_CONNECTING = "tunnel.connecting"
    """tunnel, server, attempt (how many since it was last connected)."""

    TUNNEL_CONNECTED = "tunnel.connected"
    """tunnel, server, interface, addresses: its VPN client is connected, and the routes are there."""

    TUNNEL_DISCONNECTED = "tunnel.disconnected"
    """tunnel, lasted (seconds), and unless somebody asked for it: server, reason, detail. A warning then."""

    TUNNEL_ATTEMPT_FAILED = "tunnel.attempt_failed"
    """tunnel, server, reason, detail: the VPN client could not connect; it tries again by itself."""

    TUNNEL_AUTH_FAILED = "tunnel.auth_failed"
    """tunnel, server, reason, detail: the server refused the account; it is tried again slowly. An error."""

    TUNNEL_ADMIN = "tunnel.admin"
    """tunnel, admin (what the operator wants of it), by, timeout (seconds, of a drain)."""

    TUNNEL_DRILLED = "tunnel.drilled"
    """tunnel, seconds, by: taken out on purpose."""

    TUNNEL_RESTORED = "tunnel.restored"
    """tunnel, by, early (why, if before its time): the drill is over."""

    FAILBACK_ASKED = "failback.asked"
    """name (a tunnel or a forward), by, forwards (how many moved)."""

    SESSIONS_ABORTED = "sessions.aborted"
    """tunnel, sessions: reset later than the tunnel's transition, as `on_tunnel_down` says."""

    # ---- connections

    SESSION_FINISHED = "session.finished"
    """client, forward, tunnel, target, to_target and to_client (bytes), duration (seconds), reason, result."""

    SESSION_FAILED = "session.failed"
    """forward, exception: a defect of the gateway cost one session."""

    DIAL_FAILED = "dial.failed"
    """tunnel, forward, target, reason, count: at most once a second for each tunnel and reason."""

    ACCEPT_PAUSED = "accept.paused"
    """reason, seconds, sessions, count: the limit of sessions is reached, or descriptors or memory; once a second."""

    LISTENER_FAILED = "listener.failed"
    """forward, listen, error: a listener that was shut cannot be opened again; tried every second, said once."""

    LISTENER_OPENED = "listener.opened"
    """forward, listen: a listener that had failed is open again."""

    # ---- routes

    ROUTES_CLEANED = "routes.cleaned"
    """entries: rules and routes that a gateway had left behind which was killed."""

    TUNNEL_RECONNECTING = "tunnel.reconnecting"
    """tunnel, why: its VPN client says that it is connected, and is not believed any more."""

    TUNNEL_GIVEN_UP = "tunnel.given_up"
    """tunnels: their VPN clients did not take leave in time, at the end; what they had started is killed."""

    ROUTES_UNAVAILABLE = "routes.unavailable"
    """error, tunnels: without what guards their routes none of these will connect."""

    ROUTES_REFUSED = "routes.refused"
    """tunnel, error: the kernel does not take a rule or route; tried again, said once."""

    ROUTES_RESTORED = "routes.restored"
    """tunnel, entries: so many rules and routes that somebody else had removed are there again."""

    ROUTES_AMBIGUOUS = "routes.ambiguous"
    """tunnels, address: both have this address, so the kernel cannot tell whose its own answers are."""

    # ---- the kernel and the resolver

    NETLINK_OPENED = "netlink.opened"
    """part: kernel events arrive."""

    NETLINK_REOPENED = "netlink.reopened"
    """part, error: kernel events arrive again."""

    NETLINK_UNAVAILABLE = "netlink.unavailable"
    """part, error, and what happens instead: the kernel is polled."""

    NETLINK_OVERFLOW = "netlink.overflow"
    """dropped (messages, since the start): events were lost, so everything was read again."""

    NAME_RESOLVED = "name.resolved"
    """host, addresses."""

    NAME_FAILED = "name.failed"
    """host, error, kept: the addresses that stay in use meanwhile."""

    # ---- probes

    PROBE_PREVENTED = "probe.prevented"
    """tunnel, probe, error, count: trouble of our own kept probes from being sent; once a minute for each."""

    PATH_ASYMMETRIC = "path.asymmetric"
    """tunnel, arrived_on (another tunnel), address, check: answers to the one come back by the other; once for each."""

    PATH_WATCH_UNAVAILABLE = "path.watch_unavailable"
    """error: asymmetric paths will not be noticed (debug)."""

    COUNTERS_UNAVAILABLE = "counters.unavailable"
    """error: packets of devices cannot be counted, so a stall will not be noticed."""

    # ---- the admin side and the log itself

    ADMIN_STARTED = "admin.started"
    """listen: the address on which /healthz, /readyz and /metrics answer."""

    ADMIN_STOPPED = "admin.stopped"
    """listen."""

    CONTROL_STARTED = "control.started"
    """path: the Unix socket on which operators are answered."""

    CONTROL_STOPPED = "control.stopped"
    """path."""

    CONTROL_UNAVAILABLE = "control.unavailable"
    """path, reason: the default socket cannot be had, so the verbs find nobody."""

    CONTROL_REFUSED = "control.refused"
    """uid, pid: somebody who is neither root nor the gateway's own user asked."""

    LOG_DROPPED = "log.dropped"
    """lines: so many were not written, because nobody read the log fast enough."""

    LOG_UNFORMATTABLE = "log.unformattable"
    """logger, message, exception: a library logged something that could not be made a line."""

    # ---- VPN clients and the book

    VPN_LINE = "vpn.line"
    """tunnel, component, text: one line that a VPN client said, at its own level, secrets scrubbed."""

    CERTIFICATE_EXPIRING = "certificate.expiring"
    """tunnel, certificate ("ca" or "client"), subject, expires, days (left): within 30 days; once a day, a warning."""

    CERTIFICATE_EXPIRED = "certificate.expired"
    """tunnel, certificate, subject, expires: the tunnel cannot connect with it any more; once a day, an error."""

    BOOK_IN_MEMORY = "book.in_memory"
    """path, reason: the book cannot be kept on disk, so it ends with the process."""

    BOOK_DAMAGED = "book.damaged"
    """path, aside, reason: the book's file is broken; it was set aside, and another was begun."""

    BOOK_UNWRITABLE = "book.unwritable"
    """path, reason, count: the disk does not take what is to be kept; once a minute."""

    BOOK_DROPPED = "book.dropped"
    """entries: so many are in no book, because more came than could be written; once a minute."""
