"""Those that act on batches."""

from __future__ import annotations

from zoo_core.types import RegularizerSpec

SPECS: list[RegularizerSpec] = []
