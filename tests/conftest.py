"""Fixtures of all tests. Every test runs against a Hub on loopback, or none."""

import os

from hub.sealing import seal

# Tensors here are small and processes many: more threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
seal()  # before anything, the plugins below too, imports huggingface_hub

pytest_plugins = ["hub.fixtures", "support.browser", "support.model_fixtures"]
