"""Devices: found, made, renamed, given addresses. See `tools.Links` for the contract."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_interface
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP

from gateway.errors import LinkError
from gateway.model import IPAddress
from gateway.tunnels import path_filter
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.tools import IPInterface, Link
from gateway.tunnels.tun import make_tun

_WITHOUT_RENAME: Final = errno.EBUSY
"""What kernels before 6.2 say of a device that is up and should be renamed."""

_IFA_F_NODAD: Final = 0x02

_MARK: Final = "tunnel-gateway"
"""The alias of devices that a gateway has made: what else bears a tunnel's name is not to be touched."""


class KernelLinks:
    """The kernel's devices, as this process sees them. Does not own `netlink`."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    async def find(self, name: str) -> Link | None:
        """See `tools.Links`."""
        return await self._netlink.ask(f"look at the device {name}", lambda ipr: _find(ipr, name))

    async def holding(self, address: IPAddress) -> Link | None:
        """See `tools.Links`."""
        return await self._netlink.ask(f"look for the device with {address}", lambda ipr: _holding(ipr, address))

    async def make_tun(self, name: str) -> None:
        """See `tools.Links`."""
        await self._netlink.ask(f"make the tun device {name}", lambda ipr: _make_tun(ipr, name))

    async def make(self, name: str, kind: str, *, if_id: int | None = None, parent: int | None = None) -> None:
        """See `tools.Links`."""
        request = new_link(name, kind, if_id=if_id, parent=parent)
        await self._netlink.ask(f"make the {kind} device {name}", lambda ipr: _make(ipr, request))

    async def remove(self, name: str) -> None:
        """See `tools.Links`."""
        await self._netlink.ask(f"remove the device {name}", lambda ipr: _remove(ipr, name))

    async def rename(self, index: int, name: str) -> None:
        """See `tools.Links`."""
        await self._netlink.ask(f"rename device {index} to {name}", lambda ipr: _rename(ipr, index, name))

    async def configure(
        self, name: str, *, addresses: Sequence[IPInterface] | None = None, mtu: int | None = None
    ) -> None:
        """See `tools.Links`."""
        await self._netlink.ask(f"configure the device {name}", lambda ipr: _configure(ipr, name, addresses, mtu))

    async def filter_paths(self, name: str, number: int) -> int:
        """See `tools.Links`."""
        return await self._netlink.ask(f"filter what comes by {name}", lambda ipr: _filter_paths(ipr, name, number))


def foreign(link: Link) -> LinkError:
    """For a device that bears a tunnel's name, and is not ours."""
    kind = link.kind or "physical"
    return LinkError(
        f"a device called {link.name} exists and is a {kind} device that the gateway has not made: delete it, or give "
        "the tunnel another interface",
        errno.EEXIST,
    )


def new_link(name: str, kind: str, *, if_id: int | None, parent: int | None) -> dict[str, object]:
    """What RTM_NEWLINK says of a new device, in pyroute2's words: IFLA_XFRM_IF_ID and IFLA_XFRM_LINK for "xfrm"."""
    request: dict[str, object] = {"ifname": name, "kind": kind}
    if if_id is not None:
        request["xfrm_if_id"] = if_id
    if parent is not None:
        request["xfrm_link"] = parent
    return request


# ---------------------------------------------------------------- in the thread


def addresses_of_devices(ipr: IPRoute) -> list[tuple[IPAddress, str]]:
    """All addresses, each with the device that has it, but those of gateways' devices: they may be left over."""
    names = {
        message["index"]: message.get("IFLA_IFNAME")
        for message in ipr.get_links()
        if message.get("IFLA_IFALIAS") != _MARK
    }
    return [
        (ip_address(_own(message)), names[message["index"]]) for message in ipr.get_addr() if message["index"] in names
    ]


def _find(ipr: IPRoute, name: str) -> Link | None:
    try:
        (message,) = ipr.link("get", ifname=name)
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    return _link(ipr, message)


def _holding(ipr: IPRoute, address: IPAddress) -> Link | None:
    for message in ipr.get_addr():
        if ip_address(_own(message)) == address:
            try:
                (link,) = ipr.link("get", index=message["index"])
            except NetlinkError as error:
                if error.code == errno.ENODEV:  # it has just gone
                    continue
                raise
            return _link(ipr, link)
    return None


def _link(ipr: IPRoute, message: Any) -> Link:
    info = message.get("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get("IFLA_IFNAME"),
        kind="" if info is None else info.get("IFLA_INFO_KIND") or "",
        mtu=message.get("IFLA_MTU") or 0,
        up=bool(message["flags"] & IFF_UP),
        addresses=tuple(_addresses(ipr, message["index"])),
        ours=message.get("IFLA_IFALIAS") == _MARK,
    )


def _spare(ipr: IPRoute, name: str) -> None:
    """Raise LinkError for a device that is there and not ours."""
    found = _find(ipr, name)
    if found is not None and not found.ours:
        raise foreign(found)


def _make_tun(ipr: IPRoute, name: str) -> None:
    """In one go, whatever becomes of who asked: a device without the mark is somebody else's."""
    _spare(ipr, name)
    make_tun(name)
    _mark(ipr, name)


def _make(ipr: IPRoute, request: dict[str, object]) -> None:
    name = str(request["ifname"])
    _spare(ipr, name)
    ipr.link("add", **request)
    _mark(ipr, name)


def _mark(ipr: IPRoute, name: str) -> None:
    ipr.link("set", index=_index(ipr, name), ifalias=_MARK)


def _addresses(ipr: IPRoute, index: int) -> Iterator[IPInterface]:
    """The addresses of a device, those that the kernel gives by itself left out."""
    for message in ipr.get_addr(index=index):
        if message["index"] != index:
            continue
        own = ip_interface(f"{_own(message)}/{message['prefixlen']}")
        if not (own.version == 6 and own.ip.is_link_local):  # noqa: PLR2004 - the protocol's name
            yield own


def _own(message: Any) -> str:
    """The device's own end; IFA_ADDRESS alone would be the peer's on a point-to-point device."""
    own: str = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
    return own


def _index(ipr: IPRoute, name: str) -> int:
    (message,) = ipr.link("get", ifname=name)
    index: int = message["index"]
    return index


def _remove(ipr: IPRoute, name: str) -> None:
    try:
        ipr.link("del", index=_index(ipr, name))
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise


def _rename(ipr: IPRoute, index: int, name: str) -> None:
    (message,) = ipr.link("get", index=index)
    if message.get("IFLA_IFNAME") == name:
        return
    try:
        ipr.link("set", index=index, ifname=name)
    except NetlinkError as error:
        if error.code == errno.EEXIST and (found := _find(ipr, name)) is not None:
            raise foreign(found) from error
        if error.code != _WITHOUT_RENAME:
            raise
        kept = [each for each in _addresses(ipr, index) if each.version == 6]  # noqa: PLR2004 - as above
        ipr.link("set", index=index, state="down")
        try:
            ipr.link("set", index=index, ifname=name)
        finally:
            ipr.link("set", index=index, state="up")
            for each in kept:  # IPv6 addresses do not survive that, IPv4 ones do
                _add(ipr, index, each)


def _configure(ipr: IPRoute, name: str, addresses: Sequence[IPInterface] | None, mtu: int | None) -> None:
    index = _index(ipr, name)
    if mtu is not None:
        ipr.link("set", index=index, mtu=mtu)
    if addresses is not None:
        for each in set(_addresses(ipr, index)) - set(addresses):
            _delete(ipr, index, each)
        have = set(_addresses(ipr, index))  # a deleted address may have taken others of its network with it
        for each in addresses:
            if each not in have:
                _add(ipr, index, each)
    ipr.link("set", index=index, state="up")


def _filter_paths(ipr: IPRoute, name: str, number: int) -> int:
    index = _index(ipr, name)
    before = path_filter.get(ipr, index)
    path_filter.put(index, number)
    return before


def _add(ipr: IPRoute, index: int, address: IPInterface) -> None:
    flags = {} if address.version == 4 else {"flags": _IFA_F_NODAD}  # noqa: PLR2004 - nobody else can have it
    try:
        ipr.addr("replace", **_words(index, address), **flags)
    except NetlinkError as error:
        if error.code == errno.EACCES:  # not for want of a capability, which is EPERM
            raise LinkError(
                f"cannot give a device the address {address}: IPv6 is disabled on it (net.ipv6.conf.*.disable_ipv6)",
                error.code,
            ) from error
        raise


def _delete(ipr: IPRoute, index: int, address: IPInterface) -> None:
    try:
        ipr.addr("del", **_words(index, address))
    except NetlinkError as error:
        if error.code != errno.EADDRNOTAVAIL:  # it went with another one
            raise


def _words(index: int, address: IPInterface) -> dict[str, object]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - as above
    return {"index": index, "address": str(address.ip), "prefixlen": address.network.prefixlen, "family": family}
