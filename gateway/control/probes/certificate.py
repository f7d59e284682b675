"""TLS as probes speak it: they ask whether a server answers, not whether it can be trusted.

So no certificate is verified, and its end is reported instead. `cryptography` is loaded when the first certificate is
seen: most gateways probe by TCP alone, and need not hold it in memory.
"""

from __future__ import annotations

import ssl
from functools import cache


@cache
def unverified() -> ssl.SSLContext:
    """The one context of all probes. Makes no use of the system's store."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def expiry_of(session: object) -> float | None:
    """When the certificate that the other side showed in `session` expires, Unix time.

    `session` is what a transport gives for `ssl_object`; None when it is none, or its certificate cannot be read.
    """
    if not isinstance(session, ssl.SSLObject):
        return None
    encoded = session.getpeercert(binary_form=True)
    if encoded is None:
        return None
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - see above

    try:
        return load_der_x509_certificate(encoded).not_valid_after_utc.timestamp()
    except ValueError:  # it can be spoken to, and what it shows is no certificate by the book
        return None
