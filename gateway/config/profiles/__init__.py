"""VPN clients' own configuration files (`profile = "client.ovpn"`, `"wg0.conf"`), read, judged and taken apart."""
