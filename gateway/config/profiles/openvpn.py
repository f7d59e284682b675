"""An .ovpn file becomes one text that holds everything, and what the gateway itself has to know of it.

Whatever the file says about routes, devices, logs, waiting and trying again is left out: that is the gateway's. Files
that it names are put inline. What might run a program, or hand the client to somebody else, is refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from gateway.config.endpoints import parse_address
from gateway.config.profiles import statements
from gateway.config.profiles.options import Fate, check_passed, verdict
from gateway.config.profiles.remarks import Remarks
from gateway.config.profiles.remotes import Remotes, Scope, parse_port, parse_transport
from gateway.config.profiles.statements import Statement, Unreadable
from gateway.config.wording import shown
from gateway.model import Compression, Endpoint, IPAddress, Secret, Transport

_INLINE: Final = "[inline]"  # how older profiles say that a block follows
_DIRECTIONS: Final = frozenset({"0", "1"})
_FOR_THE_SERVER: Final = re.compile(r"UV_[A-Za-z0-9_]+", re.ASCII)  # what push-peer-info tells it
_FOR_THE_LOADER: Final = re.compile(r"(LD|GCONV|OPENSSL|MALLOC|GLIBC|BASH|PYTHON|PERL5)_?.*|PATH|IFS|ENV", re.ASCII)
_MODERN: Final = "AES-256-GCM:AES-128-GCM:?CHACHA20-POLY1305"
_CIPHER: Final = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_WHOLE_FILE: Final = frozenset({Fate.PASSED, Fate.FILE, Fate.SECRET_FILE})
_PROVES: Final = frozenset({"ca", "pkcs12", "peer-fingerprint"})
_LOGS_IN: Final = frozenset({"cert", "key", "pkcs12"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVpnProfile:
    """What an .ovpn file comes to.

    `text` has neither servers nor transport, and no word of a login or of compression being allowed. `blocks` are the
    inline files in it, by option. `login`: the server wants account and password, either of which may be missing here.
    `secret_files` are paths as the profile has them; `secret`: the profile itself holds one.
    """

    text: Secret
    servers: tuple[Endpoint, ...]
    transport: Transport
    login: bool
    username: str | None
    password: Secret | None
    allow_compression: Compression | None
    dns: tuple[IPAddress, ...]
    blocks: Mapping[str, str] = field(repr=False)
    secret_files: tuple[str, ...]
    secret: bool


def read(text: str, remarks: Remarks, read_file: Callable[[str], bytes], given: Collection[str] = ()) -> OpenVpnProfile:
    """Judge a profile. What is wrong with it goes to `remarks`; what is right is in the result all the same.

    `read_file` takes a path as it stands in the profile, and raises ValueError that says why it cannot be read.
    `given`: what stands beside the profile (`servers`, `username`, `password`), and so need not be in it.
    """
    reading = _Reading(remarks, read_file)
    for statement in statements.read(text):
        reading.take(statement, reading.top)
    profile = reading.result()
    if not profile.login and "username" not in given and profile.blocks.keys().isdisjoint(_LOGS_IN):
        remarks.problem(None, "auth-user-pass", "needed, or else cert and key: nobody could log in")
    if not profile.servers and "servers" not in given:
        remarks.problem(None, "remote", "needed, or else the key servers of the tunnel")
    for key, found in (("username", profile.username), ("password", profile.password)):
        if profile.login and found is None and key not in given:
            remarks.problem(None, "auth-user-pass", f"needs the key {key} of the tunnel")
    return profile


class _Reading:
    """A profile while it is read, statement by statement."""

    def __init__(self, remarks: Remarks, read_file: Callable[[str], bytes]) -> None:
        self.top = Scope()
        self._remarks = remarks
        self._read_file = read_file
        self._remotes = Remotes()
        self._kept: list[Statement] = []
        self._blocks: dict[str, str] = {}
        self._optional: set[str] = set()
        self._dns: list[IPAddress] = []
        self._secret_files: list[str] = []
        self._secret = False
        self._login = False
        self._username: str | None = None
        self._password: Secret | None = None
        self._compression: Compression | None = None
        self._understood: Mapping[str, Callable[[Statement, Scope], None]] = {
            "allow-compression": self._allow_compression,
            "auth-user-pass": self._account,
            "connection": self._connection,
            "dev": self._device,
            "dev-type": self._device,
            "dhcp-option": self._dhcp_option,
            "ignore-unknown-option": self._ignore,
            "port": self._port,
            "proto": self._proto,
            "remote": self._remote,
            "rport": self._port,
            "script-security": self._script_security,
            "setenv": self._setenv,
        }

    def take(self, statement: Statement | Unreadable, scope: Scope) -> None:
        """Judge one statement."""
        if isinstance(statement, Unreadable):
            self._remarks.problem(statement.line, "cannot be read", statement.why)
            return
        try:
            self._judge(statement, scope)
        except ValueError as error:
            self._remarks.problem(statement.line, statement.shown, str(error))

    def result(self) -> OpenVpnProfile:
        """All of it. What is missing, or does not go together, goes to the remarks."""
        transport, servers = self._remotes.servers(self.top, self._remarks)
        present = self._blocks.keys() | {statement.name for statement in self._kept}
        if present.isdisjoint(_PROVES):
            self._remarks.problem(None, "ca", "needed: the server proves itself by a certificate")
        for one, other in (("cert", "key"), ("key", "cert")):
            if one in present and other not in present:
                self._remarks.problem(None, other, f"needed beside {one}")
        blocks = (Statement(line=0, name=name, inline=body) for name, body in self._blocks.items())
        return OpenVpnProfile(
            text=Secret("".join(f"{part.render()}\n" for part in (*self._kept, *self._offered(), *blocks))),
            servers=servers,
            transport=transport,
            login=self._login,
            username=self._username,
            password=self._password,
            allow_compression=self._compression,
            dns=tuple(self._dns),
            blocks=self._blocks,
            secret_files=tuple(self._secret_files),
            secret=self._secret,
        )

    def _judge(self, statement: Statement, scope: Scope) -> None:
        """Do with a statement as is its fate. Raises ValueError where that is to be refused."""
        fate, why = verdict(statement.name)
        if scope.outer is not None and fate in _WHOLE_FILE:
            raise ValueError("inside <connection> only remote, port and proto are understood")
        match fate:
            case Fate.PASSED:
                check_passed(statement)
                self._kept.append(statement)
            case Fate.FILE | Fate.SECRET_FILE:
                self._inline(statement, secret=fate is Fate.SECRET_FILE)
            case Fate.UNDERSTOOD:
                self._understood[statement.name](statement, scope)
            case Fate.SAME:
                pass
            case Fate.OTHERWISE:
                self._remarks.warning(statement.line, statement.name, why)
            case Fate.UNKNOWN if statement.name in self._optional:
                self._remarks.warning(statement.line, statement.shown, "left out: it is not known here")
            case Fate.UNKNOWN if statement.name != statement.shown:
                raise ValueError("is no option; is it a piece of a file that lost its tags?")
            case Fate.REFUSED | Fate.UNKNOWN:
                raise ValueError(why)
            case _:
                assert_never(fate)

    def _offered(self) -> list[Statement]:
        """A cipher that stands alone is offered as well: to a current OpenVPN `cipher` itself is no offer."""
        given = {one.name: one.arguments for one in self._kept}
        name = "".join(given.get("cipher", ())[:1])
        if not _CIPHER.fullmatch(name) or not given.keys().isdisjoint({"data-ciphers", "ncp-ciphers"}):
            return []
        return [Statement(line=0, name="data-ciphers", arguments=(f"{_MODERN}:?{name}",))]

    # ------------------------------------------------------------ files

    def _inline(self, statement: Statement, *, secret: bool) -> None:
        """An option with a file, which stands in the profile or is read."""
        name, arguments = statement.name, statement.arguments
        if statement.inline is not None:
            self._secret |= secret
            self._blocks[name] = statement.inline
            return
        path, *more = (*arguments, "")
        if not path:
            raise ValueError("it names no file")
        if name == "peer-fingerprint":  # a fingerprint, not a file
            self._kept.append(statement)
            return
        if name == "crl-verify" and "dir" in more:
            raise ValueError("a directory of lists is not taken: name one file")
        if name == "tls-auth" and more[0] in _DIRECTIONS:
            self._kept.append(replace(statement, name="key-direction", arguments=(more[0],)))
        if path != _INLINE:
            self._blocks[name] = self._content(name, path)
            if secret:
                self._secret_files.append(path)

    def _content(self, name: str, path: str) -> str:
        """The text of a file, as it can stand between tags. Raises ValueError."""
        content = self._read_file(path)
        if name == "pkcs12":
            return base64.encodebytes(content).decode()
        text = _decoded(content, path)
        if f"</{name}>" in text:
            raise ValueError(f"the file {shown(path)} holds </{name}>: is it a profile?")
        return text

    # ------------------------------------------------------------ what the gateway itself does

    def _connection(self, statement: Statement, scope: Scope) -> None:
        if statement.inline is None or scope.outer is not None:
            raise ValueError("is a block of the file itself")
        inner = Scope(outer=scope)
        for part in statements.read(statement.inline):
            self.take(replace(part, line=statement.line + part.line), inner)

    def _account(self, statement: Statement, _: Scope) -> None:
        self._login = True
        text = statement.inline
        if text is not None:
            self._secret = True
        elif statement.arguments and statement.arguments[0] != _INLINE:
            path = statement.arguments[0]
            text = _decoded(self._read_file(path), path)
            self._secret_files.append(path)
        if text is not None:
            username, password, *_rest = (*text.splitlines(), "", "")
            self._username = username or None
            self._password = Secret(password) if password else None

    def _remote(self, statement: Statement, scope: Scope) -> None:
        self._remotes.add(statement.line, statement.arguments, scope)

    def _port(self, statement: Statement, scope: Scope) -> None:
        scope.port = parse_port(_one(statement))

    def _proto(self, statement: Statement, scope: Scope) -> None:
        scope.transport = parse_transport(_one(statement))

    def _device(self, statement: Statement, _: Scope) -> None:
        device = _one(statement)
        if not device.startswith("tun"):
            raise ValueError("refused: only tun: there is nobody for Ethernet frames at this end")
        if device != "tun":
            self._remarks.warning(statement.line, statement.name, "left out: the device bears the tunnel's name")

    def _script_security(self, statement: Statement, _: Scope) -> None:
        if _one(statement) not in {"0", "1"}:
            raise ValueError("refused: above 1 it lets the client run programs")

    def _allow_compression(self, statement: Statement, _: Scope) -> None:
        try:
            self._compression = Compression(_one(statement))
        except ValueError:
            raise ValueError(f"must be {', '.join(Compression)}") from None

    def _dhcp_option(self, statement: Statement, _: Scope) -> None:
        match statement.arguments:
            case ("DNS" | "DNS6", server):
                self._dns.append(parse_address(server))
            case _:
                self._remarks.warning(statement.line, statement.name, "left out: only DNS means anything here")

    def _ignore(self, statement: Statement, _: Scope) -> None:
        self._optional.update(name.removeprefix("--") for name in statement.arguments)

    def _setenv(self, statement: Statement, scope: Scope) -> None:
        match statement.arguments:
            case ("opt", name, *rest) if name.removeprefix("--") != "setenv":  # an option for those who know it
                name = name.removeprefix("--")
                self._optional.add(name)
                self.take(replace(statement, name=name, arguments=tuple(rest)), scope)
            case (name, *_rest) if _FOR_THE_SERVER.fullmatch(name):
                self._kept.append(statement)
            case (name, *_rest) if _FOR_THE_LOADER.fullmatch(name):
                raise ValueError("refused: it changes how programs are loaded and run")
            case _:
                why = "left out: it sets a variable for programs, of which there are none"
                self._remarks.warning(statement.line, statement.name, why)


def _one(statement: Statement) -> str:
    """The only argument. Raises ValueError where there are more, or none."""
    if len(statement.arguments) != 1:
        raise ValueError("must have one argument")
    return statement.arguments[0]


def _decoded(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        # `from None`: the original error carries the bytes, and thereby the secret
        raise ValueError(f"the file {shown(path)} is not UTF-8 text") from None
