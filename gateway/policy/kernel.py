"""What one reading of a device means for the tunnel that shows as it: the hard causes, decided in one place.

Some causes are a state and last as long as it does (no device, link down, no carrier, no usable address). Others are a
change (another device under the same name, a primary address that went): sockets from before are dead, a new one works.
Those are said once, of the step from one reading to the next.
"""

from __future__ import annotations

from gateway.model import Cause, IPAddress, LinkFacts


def judge(previous: LinkFacts | None, current: LinkFacts | None, *, source: IPAddress | None) -> Cause | None:
    """The hard cause that `current` is for its tunnel, given the reading before it; None when the device is good.

    `previous=None` is the first reading, or no device then: nothing has changed. `source` is the tunnel's configured
    source address. The worst cause is named: a device that is gone has lost its address, too.
    """
    if current is None:
        return Cause.DEVICE_GONE
    if previous is not None and previous.index != current.index:
        return Cause.DEVICE_REPLACED
    if not current.up:
        return Cause.LINK_DOWN
    if not current.carrier:
        return Cause.CARRIER_LOST
    if _address_gone(previous, current, source):
        return Cause.ADDRESS_GONE
    return None


def sockets_died(previous: LinkFacts | None, current: LinkFacts | None, *, source: IPAddress | None) -> bool:
    """Whether sockets from before `current` can never work again, whatever the named cause is: not even in a while."""
    if current is None or (previous is not None and previous.index != current.index):
        return True
    return _address_gone(previous, current, source)


def _address_gone(previous: LinkFacts | None, current: LinkFacts, source: IPAddress | None) -> bool:
    if not current.addresses or (source is not None and str(source) not in current.addresses):
        return True
    return previous is not None and not _primaries(previous.addresses) <= set(current.addresses)


def _primaries(addresses: tuple[str, ...]) -> set[str]:
    """The first address of each family: the one the kernel gives to sockets that ask for none."""
    first: dict[bool, str] = {}
    for address in addresses:
        first.setdefault(":" in address, address)
    return set(first.values())
