"""Entries of the activation cache, as a training makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.training.cache import disk
from zoo_core.training.cache.store import Gathering

A: dict[str, Any] = {"model": "lenet5", "boundary": "fc1"}


def values(count: int = 7, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, 2, generator=torch.Generator().manual_seed(count)).to(dtype)


def keys(numbers: int | Sequence[int]) -> list[bytes]:
    """Keys of pictures by number."""
    listed = range(numbers) if isinstance(numbers, int) else numbers
    return [number.to_bytes(16) for number in listed]


def kept(tensor: Tensor, facts: dict[str, Any] = A, numbers: Sequence[int] | None = None) -> Path:
    """An entry with these rows more, put in parts; returns its folder."""
    rows = Gathering(facts, len(tensor))
    named = keys(len(tensor) if numbers is None else numbers)
    for first in range(0, len(tensor), 3):
        part = range(first, min(first + 3, len(tensor)))
        rows.put(part, tensor[first : first + 3], [named[place] for place in part])
    rows.finish()
    return rows.path


def found(
    numbers: int | Sequence[int], facts: dict[str, Any] = A, say: Any = lambda text: None
) -> tuple[list[int], Any]:
    """Which pictures have no row, and the rows of the others."""
    named = keys(numbers)
    rows = Gathering(facts, len(named), say=say)
    rows.find(named)
    missing = rows.missing()
    if not rows.there.any():
        return missing, None
    there = rows.there.nonzero().flatten()
    whole = rows.rows.whole if hasattr(rows.rows, "whole") else rows.rows
    return missing, whole.index_select(0, there)


def whole(count: int = 7, facts: dict[str, Any] = A, say: Any = lambda text: None) -> Any:
    """All rows; None where some are missing."""
    missing, rows = found(count, facts, say)
    return None if missing else rows


def blocks() -> list[Path]:
    return [block for entry in disk.entries() for block in entry.blocks]
