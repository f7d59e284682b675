"""WireGuard tunnels that are too alike."""

from gateway.config.twins import twins
from gateway.model import IpsecSpec, Secret, TunnelKind, TunnelSpec, WireguardSpec


def tunnel(name, vpn):
    return TunnelSpec(name=name, kind=TunnelKind.WIREGUARD, interface=name, vpn=vpn)


def wireguard(name, private="one", peer="server", *addresses):
    return tunnel(name, WireguardSpec(private_key=Secret(private), peer_public_key=peer, addresses=addresses))


def test_one_key_towards_one_peer():
    (found,) = twins([wireguard("a"), wireguard("b")])
    assert (found.tunnel, found.key) == ("b", "private_key")
    assert "tunnel a has the same" in found.text


def test_the_same_key_towards_others_is_nothing():
    assert list(twins([wireguard("a"), wireguard("b", "one", "other server"), wireguard("c", "two")])) == []


def test_one_address_in_two_tunnels_whatever_its_prefix():
    (found,) = twins(
        [wireguard("a", "one", "x", "10.0.0.2/32", "10.0.0.3/24"), wireguard("b", "two", "y", "10.0.0.3/32")]
    )
    assert (found.tunnel, found.key) == ("b", "addresses")
    assert found.text.startswith("10.0.0.3 is an address of tunnel a as well")


def test_other_kinds_and_tunnels_without_a_key_are_left_alone():
    bare = WireguardSpec(peer_public_key="server")
    assert list(twins([tunnel("a", None), tunnel("b", IpsecSpec()), tunnel("c", bare), tunnel("d", bare)])) == []
