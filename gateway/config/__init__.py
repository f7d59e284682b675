"""From a TOML file to a frozen `Config`, or to every problem in it at once."""
