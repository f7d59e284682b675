"""What all answers of /api/v1 have in common: JSON, what is read of a request, and how no is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from http import HTTPStatus

from aiohttp import web

from gateway.admin.documents import ErrorDocument
from gateway.admin.names import unknown
from gateway.config import durations
from gateway.errors import OperationError, RefusedError, UnknownNameError


class BadRequestError(Exception):
    """What was asked cannot be understood; the text says what can."""


async def answered(document: Awaitable[Mapping[str, object]]) -> web.Response:
    """`document` as JSON, or why there is none."""
    try:
        return web.json_response(await document)
    except (BadRequestError, OperationError) as exc:
        return refusal(exc)


def refusal(why: BadRequestError | OperationError) -> web.Response:
    """The answer to who asks for what there is not, or not now."""
    match why:
        case BadRequestError():
            status = HTTPStatus.BAD_REQUEST
        case UnknownNameError():
            status = HTTPStatus.NOT_FOUND
        case RefusedError():
            status = HTTPStatus.CONFLICT
        case _:
            status = HTTPStatus.SERVICE_UNAVAILABLE
    return error(str(why), status)


def error(text: str, status: HTTPStatus) -> web.Response:
    """An answer that says no, in JSON."""
    document: ErrorDocument = {"error": text}
    return web.json_response(document, status=status)


async def unknown_name(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """The error that names those that there are. In a thread: to compare with ten thousand takes a while."""
    return UnknownNameError(await asyncio.to_thread(unknown, kind, name, known))


async def value_of(request: web.Request, *, key: str | None) -> object:
    """The value of the only key that the request's JSON object may have; None if it has none, or there is no body.

    Raises BadRequestError.
    """
    raw = await request.read()
    if not raw.strip():
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise BadRequestError("the body is no JSON") from exc
    if not isinstance(body, dict):
        raise BadRequestError("the body is no JSON object")
    extra = next((each for each in body if each != key), None)
    if extra is not None:
        allowed = "none is known here" if key is None else f'only "{key}" is'
        raise BadRequestError(f"the key {json.dumps(extra)} is unknown: {allowed}")
    return None if key is None else body.get(key)


def seconds_of(value: object, key: str, *, at_most: float) -> float | None:
    """The seconds of a duration as configuration files have them; None for none. Raises BadRequestError."""
    if value is None:
        return None
    try:
        seconds = durations.parse(value)
    except ValueError as exc:
        raise BadRequestError(f'"{key}": {exc}') from exc
    if seconds > at_most:
        raise BadRequestError(f'"{key}": at most {durations.render(at_most)}')
    return seconds
