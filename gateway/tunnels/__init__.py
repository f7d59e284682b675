"""Drivers: what brings a tunnel up, one a file, behind one small protocol."""
