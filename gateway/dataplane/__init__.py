"""The relay: listeners, dials, pumps. Driven only by the messages in `messages.py`."""
