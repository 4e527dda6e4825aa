"""Fixtures of all tests. Every test runs against a Hub on loopback, or none."""

from hub.sealing import seal

seal()  # before anything, the plugins below too, imports huggingface_hub

pytest_plugins = ["hub.fixtures", "model_fixtures"]
