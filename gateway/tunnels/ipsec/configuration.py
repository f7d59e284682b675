"""What charon is told to connect with: the exact orders, in vici's words (swanctl.conf(5) has the same). Pure.

charon keeps what it is given in memory only. It makes one attempt, and does not connect again by itself: whether and
when is for the gateway to decide. After two seconds of silence it asks (DPD), whatever the server's own interval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.model import Endpoint, IpsecAuth, IpsecSpec
from gateway.tunnels.ipsec.credentials import Credentials
from gateway.tunnels.ipsec.orders import Message, Value

IKE: Final = "gateway"
CHILD: Final = "networks"

DPD_DELAY: Final = 2.0
"""Seconds of silence after which the server is asked whether it is there."""

_SECRET_ID: Final = "account"  # noqa: S105 - its name in charon
_EVERYTHING: Final = "0.0.0.0/0"
_NOT_ESP: Final = re.compile(r"(prf|modp|ecp|curve|x25519|x448|ke\d_|noesn|esn)")


class Order(NamedTuple):
    """A command of vici, and its message."""

    command: str
    message: Message


def orders(spec: IpsecSpec, server: Endpoint, credentials: Credentials, *, if_id: int | None) -> Iterator[Order]:
    """Everything that charon needs to know before it is told to connect.

    `if_id` binds policies to the XFRM interface of that number, for kernel ESP.
    """
    for authority in credentials.authorities:
        yield Order("load-cert", {"type": "X509", "flag": "CA", "data": authority})
    for certificate in credentials.chain:
        yield Order("load-cert", {"type": "X509", "flag": "NONE", "data": certificate})
    if credentials.key is not None:
        yield Order("load-key", {"type": "any", "data": credentials.key.reveal()})
    if spec.auth is IpsecAuth.MSCHAPV2 and spec.password is not None:
        # Without an owner it is whoever's: this daemon has but one account, and how it is spelled is the server's.
        yield Order("load-shared", {"id": _SECRET_ID, "type": "EAP", "data": spec.password.reveal()})
    yield Order("load-conn", {IKE: _connection(spec, server, credentials, if_id)})


def initiation(within: float) -> Message:
    """The order to connect, given `within` seconds."""
    return {"ike": IKE, "child": CHILD, "timeout": int(within * 1000), "loglevel": 0}


def _connection(spec: IpsecSpec, server: Endpoint, credentials: Credentials, if_id: int | None) -> Message:
    proposals = {"proposals": list(spec.proposals)} if spec.proposals else {}
    return {
        "version": 2,
        "remote_addrs": [server.host],
        "remote_port": server.port,
        "vips": ["0.0.0.0", *(["::"] if _wants_ipv6(spec) else [])],  # noqa: S104 - any address, please
        "encap": "yes",  # ESP in UDP even without NAT: it passes firewalls, and is all that user space can do
        "fragmentation": "yes",
        "mobike": "no",
        "unique": "never",  # no INITIAL_CONTACT: it would end other gateways' connections with the same account
        "dpd_delay": f"{DPD_DELAY:g}s",
        "keyingtries": 1,
        "send_cert": "always",
        **proposals,
        "local": _local(spec, credentials),
        "remote": {
            "auth": "pubkey",
            "id": spec.remote_id or server.host,
            "cacerts": list(credentials.authorities),
        },
        "children": {CHILD: _child(spec, if_id)},
    }


def _local(spec: IpsecSpec, credentials: Credentials) -> Message:
    """Left out, `id` is the certificate's subject, and so is the EAP identity."""
    identity: dict[str, Value] = {} if spec.local_id is None else {"id": spec.local_id}
    certificates: dict[str, Value] = {} if credentials.certificate is None else {"certs": [credentials.certificate]}
    match spec.auth:
        case IpsecAuth.MSCHAPV2:
            account = spec.eap_identity or spec.username or ""
            return {"auth": "eap-mschapv2", "id": spec.local_id or account, "eap_id": account}
        case IpsecAuth.TLS:
            eap: dict[str, Value] = {} if spec.eap_identity is None else {"eap_id": spec.eap_identity}
            return {"auth": "eap-tls", **identity, **eap, **certificates}
        case IpsecAuth.PUBKEY:
            return {"auth": "pubkey", **identity, **certificates}


def _child(spec: IpsecSpec, if_id: int | None) -> Message:
    """Without `remote_networks` everything is asked for: the server narrows that down to what is behind it."""
    networks = [str(network) for network in spec.remote_networks] or [_EVERYTHING]
    proposals: dict[str, Value] = {"esp_proposals": _esp(spec.proposals)} if spec.proposals else {}
    bound: dict[str, Value] = {} if if_id is None else {"if_id_in": if_id, "if_id_out": if_id}
    return {
        "mode": "tunnel",
        "remote_ts": networks,
        "start_action": "none",
        "dpd_action": "clear",
        "close_action": "none",
        **proposals,
        **bound,
    }


def _esp(proposals: tuple[str, ...]) -> list[str]:
    """ESP proposals after those for IKE: their ciphers without key exchange, and then strongSwan's own."""
    ciphers = ["-".join(part for part in each.split("-") if not _NOT_ESP.match(part)) for each in proposals]
    return list(dict.fromkeys([*(cipher for cipher in ciphers if cipher), "default"]))


def _wants_ipv6(spec: IpsecSpec) -> bool:
    return any(network.version == 6 for network in spec.remote_networks)  # noqa: PLR2004 - IPv6
