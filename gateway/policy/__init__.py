"""Pure decisions: no asyncio, sockets, clock or logging; `now` is an argument."""
