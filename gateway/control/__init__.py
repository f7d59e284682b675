"""The controller, sole writer of tunnel state, and the watchers that feed it evidence."""
