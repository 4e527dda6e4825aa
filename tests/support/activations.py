"""Entries of the activation cache, as a training makes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.training.cache import disk
from zoo_core.training.cache.sink import Sink


def values(count: int = 7, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, 2, generator=torch.Generator().manual_seed(count)).to(dtype)


def kept(key: str, tensor: Tensor, **facts: Any) -> None:
    """An entry of the cache, written in parts."""
    temporary = disk.temporary_entry()
    sink = Sink(temporary, len(tensor), tensor)
    for first in range(0, len(tensor), 3):
        sink.put(first, tensor[first : first + 3])
    sink.close()
    disk.finish(temporary, key, facts)
