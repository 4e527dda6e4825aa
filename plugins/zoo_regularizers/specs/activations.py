"""Those that act on activations."""

from __future__ import annotations

from zoo_core.types import RegularizerSpec

SPECS: list[RegularizerSpec] = []
