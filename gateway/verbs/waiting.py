"""Waiting until a VPN client is connected: `gateway connect --wait`."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.admin.documents import ConnectionDocument, DriverDocument
from gateway.verbs.asking import Asking
from gateway.verbs.clients import CONNECTED, STOPPED, standing, why_not
from gateway.verbs.errors import VerbError

_EVERY: Final = 0.2  # seconds between looks


async def until_connected(asking: Asking, began: ConnectionDocument, seconds: float) -> str:
    """Wait until the client that has `began` to connect is connected; where it stands then.

    Raises VerbError with the reason when `seconds` are over, or as soon as there is no attempt left before that.
    """
    loop = asyncio.get_running_loop()
    name, first = began["name"], began["driver"]
    end, driver = loop.time() + seconds, first
    while driver["state"] != CONNECTED:
        left = end - loop.time()
        if left <= 0 or is_over(first, driver, left):
            raise VerbError(f"{name} is not connected: {why_not(driver)}")
        await asyncio.sleep(min(_EVERY, left))
        now = (await asking.tunnel(name))["driver"]
        if now is None:
            raise VerbError(f"{name} has no VPN client any more: its configuration has changed")
        driver = now
    return standing(name, driver)


def is_over(first: DriverDocument, now: DriverDocument, left: float) -> bool:
    """Whether nothing more will be tried in the `left` seconds. `first` is how it stood when it was asked to connect.

    What is as it was then tells of an attempt before it, not of the one that was asked for.
    """
    if (first["state"], first["attempts"], first["failure"]) == (now["state"], now["attempts"], now["failure"]):
        return False
    retry = now["retry_in_seconds"]
    return now["state"] == STOPPED or (now["failure"] is not None and retry is not None and retry > left)
