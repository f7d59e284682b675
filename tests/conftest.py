"""Fixtures for all tests. Each room that brings some keeps them in a file of its own."""

pytest_plugins = ["tests.lab.fixtures"]
