"""The gateway: TCP port forwarding through redundant VPN tunnels.

Words, used everywhere in this code (docs/glossary.md has them all):

forward    a rule: listen address → target
client     the accepted side of a session; upstream is the side dialled through a tunnel
tunnel     a VPN path that shows as a network interface
session    client + upstream pair; each of its two directions is a pump
evidence   any fact that speaks for or against a tunnel
health     UNKNOWN / UP / DOWN, decided by `policy`, written by the controller alone

Imports go one way: cli → app → {admin, control, tunnels, dataplane} → {config, policy, observe} → model, errors.
"""

__version__ = "0.1.0"
