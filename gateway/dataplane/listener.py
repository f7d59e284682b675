"""A listener: the bound socket of one port map, and what becomes of each client that comes to it.

A listener may be shut, and opened again: clients are refused meanwhile. Its socket stays bound, since a port that
nobody holds is one that the kernel may give to any connection that leaves this machine.
"""

from __future__ import annotations

import errno
import socket
from _socket import socket as Socket  # noqa: N812
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Protocol, final

from gateway.dataplane import sockopt
from gateway.dataplane.ledger import ForwardEntry
from gateway.dataplane.plan import Attempt, Plan
from gateway.errors import ListenError
from gateway.model import ConnectResult, ForwardSpec, ListenAddress, PortMap

_BACKLOG: Final = 65_535  # the kernel takes the smaller of this and net.core.somaxconn
_CLIENTS_A_TURN: Final = 128
_MOST_WAITING: Final = 4096
_STREAM: Final = int(socket.SOCK_STREAM)

Accept = Callable[[], tuple[int, tuple[str, int]]]
"""`socket.accept` less the getsockname and ioctl that Python's own adds to each client."""

# accept(2): errors of the one connection, which is gone; "treat them like EAGAIN by retrying".
_CLIENT_GONE: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.EPERM,  # a firewall rule
        errno.EINTR,
    }
)


class Host(Protocol):
    """What a listener needs of the engine."""

    sessions: int
    max_sessions: int

    @property
    def is_paused(self) -> bool:
        """Whether nobody is to be accepted for the moment."""

    waiting: int
    """Clients that wait in all listeners together: each holds a descriptor."""
    backlogged: dict[Listener, None]
    """Listeners whose `accept` is to be called in the next turn, whatever epoll says."""

    def plan_for(self, listener: Listener) -> Plan:
        """The plan of the present routing table."""

    def admit(self, plan: Plan, attempt: Attempt, client: Socket, fd: int, address: tuple[str, int]) -> None:
        """Take `client` and start dialling."""

    def hold(self, plan: Plan, client: Socket, fd: int, address: tuple[str, int]) -> None:
        """Take `client`, for whom there is nothing to dial: it waits where it may, else it is reset."""

    def turn_away(self, plan: Plan, client: Socket, address: tuple[str, int], result: ConnectResult) -> None:
        """Take `client` and reset it."""

    def pause_accepting(self, why: str) -> None:
        """Accept nobody for a moment."""


@final  # as `session.Pump`
class Listener:
    """Serves one listen address for as long as the routing table has it, whatever forward it belongs to.

    `is_open`: clients can connect. A listener that is shut still has its plan, for the sessions that came by it.
    """

    __slots__ = ("_host", "_spec", "_waiting", "family", "forward", "generation", "is_open", "plan", "ports", "socket")

    def __init__(self, host: Host, sock: Socket, forward: ForwardEntry, ports: PortMap, *, is_open: bool) -> None:
        """Takes ownership of `sock`, which `bind_all` made for this forward."""
        self._host = host
        self._spec = forward.spec
        self.forward = forward
        self.ports = ports
        self.plan: Plan | None = None
        self.generation = -1
        self.is_open = is_open
        self.socket = sock
        self.family = int(sock.family)
        self._waiting: deque[tuple[int, tuple[str, int]]] = deque()

    def serve(self, forward: ForwardEntry, ports: PortMap) -> None:
        """Take later clients for `forward`, whose specification may be a new one; `ports` has the same address."""
        self.forward = forward
        self.ports = ports
        self.plan = None
        if self._spec is not forward.spec:
            if self._spec.keepalive != forward.spec.keepalive:
                sockopt.set_keepalive(self.socket, forward.spec.keepalive)
            self._spec = forward.spec

    def accept(self) -> None:  # noqa: C901, PLR0912 - hot: a call costs on each client
        """Accept who is there, a bounded number, and send each on its way.

        In a burst, accepting is far quicker than dialling, and a queue of the kernel's that overflows costs a client
        a second: so whoever is still in it then is taken in, and waits here for the next turns.
        """
        host, forward, waiting = self._host, self.forward, self._waiting
        accept: Accept = self.socket._accept  # type: ignore[attr-defined]  # noqa: SLF001 - accept4 and no more
        plan = host.plan_for(self)
        family, allowed, attempts = self.family, forward.allowed, plan.attempts()
        room = host.max_sessions - host.sessions
        for _ in range(min(_CLIENTS_A_TURN, room)):
            if waiting:
                fd, address = waiting.popleft()
                host.waiting -= 1
            else:
                try:
                    fd, address = accept()
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno in _CLIENT_GONE:
                        continue
                    self._out_of_capacity(error)
                    return
            client = Socket(family, _STREAM, 0, fd)
            if allowed is not None and not allowed(address[0]):
                host.turn_away(plan, client, address, ConnectResult.DENIED)
            elif forward.active >= forward.limit:
                host.turn_away(plan, client, address, ConnectResult.LIMITED)
            elif attempts:
                host.admit(plan, attempts[0], client, fd, address)
                if plan.balance:
                    attempts = plan.attempts()
            else:
                host.hold(plan, client, fd, address)
        room = host.max_sessions - host.sessions
        if room <= 0:
            host.pause_accepting("max_connections")
        else:
            self._take_in(accept, min(_MOST_WAITING, room) - host.waiting)
        if waiting and not host.is_paused:
            host.backlogged[self] = None

    @property
    def is_backlogged(self) -> bool:
        """Whether clients wait here, of whom epoll says nothing any more."""
        return bool(self._waiting)

    def open(self) -> None:
        """Let clients connect. Raises OSError when somebody else listens there by now."""
        self.socket.listen(_BACKLOG)
        self.is_open = True

    def shut(self) -> None:
        """Let no client connect (ECONNREFUSED). Clients that wait are reset, here as in the kernel's queue."""
        self._reset_waiting()
        if self.is_open:
            self.is_open = False
            self.socket.shutdown(socket.SHUT_RD)  # of a listener it means just that; the port stays bound

    def close(self) -> None:
        """Shut, and give the address back."""
        self._reset_waiting()
        self.is_open = False
        self.socket.close()

    def _reset_waiting(self) -> None:
        for fd, _ in self._waiting:
            sockopt.close_with_reset(Socket(self.family, _STREAM, 0, fd))
        self._host.waiting -= len(self._waiting)
        self._waiting.clear()

    def _take_in(self, accept: Accept, most: int) -> None:
        """Accept at most `most` clients and let them wait."""
        for _ in range(most):
            try:
                self._waiting.append(accept())
                self._host.waiting += 1
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _CLIENT_GONE:
                    self._out_of_capacity(error)
                    return

    def _out_of_capacity(self, error: OSError) -> None:
        """EMFILE, ENFILE, ENOBUFS, ENOMEM, or something unheard of: trying again at once would burn the processor."""
        self._host.pause_accepting(errno.errorcode.get(error.errno or 0, str(error.errno)))


def bind_all(
    forwards: Mapping[ListenAddress, ForwardSpec], *, shut: AbstractSet[ListenAddress] = frozenset()
) -> dict[ListenAddress, Socket]:
    """A listening socket for each address, only a bound one for those that are to be `shut`.

    All or none: raises ListenError with every failure, and nothing is open.
    """
    opened: dict[ListenAddress, Socket] = {}
    failures: list[tuple[str, str, str]] = []
    for listen, forward in forwards.items():
        try:
            opened[listen] = bind(listen, forward)
            if listen not in shut:
                opened[listen].listen(_BACKLOG)
        except OSError as error:
            failures.append((f'forward "{forward.name}"', str(listen), error.strerror or str(error)))
    if failures:
        for sock in opened.values():
            sock.close()
        raise ListenError(sorted(failures))
    return opened


def bind(listen: ListenAddress, forward: ForwardSpec) -> Socket:
    """A socket bound to `listen` with the options of `forward`, now the caller's. Raises OSError.

    Without a host it takes IPv4 and IPv6 in one socket; where the kernel has no IPv6, IPv4.
    """
    try:
        return _bind(listen, forward)
    except OSError as error:
        if listen.host is not None or error.errno != errno.EAFNOSUPPORT:
            raise
        return _bind(ListenAddress("0.0.0.0", listen.port), forward)  # noqa: S104 - what the operator asked for


def _bind(listen: ListenAddress, forward: ForwardSpec) -> Socket:
    host = "::" if listen.host is None else listen.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = Socket(family, _STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        sockopt.prepare_listener(sock, forward)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listen.host is not None)
        sock.bind((host, listen.port))
    except OSError:
        sock.close()
        raise
    return sock
