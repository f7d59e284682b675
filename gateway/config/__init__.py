"""From a TOML file to a frozen `Config`, or to every problem in it at once."""

from gateway.config.file_schema import schema
from gateway.config.loading import load

__all__ = ["load", "schema"]
