"""The last gate before a log line: values under keys that name secrets are masked, however deep they sit.

Secrets are masked by type where they are configured; this is for the day that one is logged all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from structlog.typing import EventDict, WrappedLogger

MASK: Final = "***"

# The whole last word of a key decides: `private_key` is a secret, `keepalive` and `public_key` are none.
_SECRET: Final = re.compile(
    r"(?:^|[_.-])(?:pass(?:word|wd|phrase)?|secret|token|credentials?|authorization|cookie|psk"
    r"|(?<!public[_-])key|key[_-]material|tls[_-]auth|tls[_-]crypt|pkcs12)$",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def names_a_secret(key: str) -> bool:
    """Whether a value under `key` must not be shown."""
    return _SECRET.search(key) is not None


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: masks the secrets in `event`. None stays None, for it says that there is no secret."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _masked(key: object, value: object) -> object:
    if value is not None and isinstance(key, str) and names_a_secret(key):
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(inner, item) for inner, item in value.items()}
    if type(value) is list:
        return [_masked(None, item) for item in value]
    if type(value) is tuple:
        return tuple(_masked(None, item) for item in value)
    return value
