"""Logs: structlog set-up and the names of events."""
