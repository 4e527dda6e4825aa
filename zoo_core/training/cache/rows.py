"""Rows by position: in memory, or mapped from the blocks that hold them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class MappedRows:
    """Rows (n, …) that lie in blocks on disk, and are read when they are asked for."""

    device = torch.device("cpu")

    def __init__(self, count: int) -> None:
        self.blocks: list[Tensor] = []
        self.block_of = torch.full((count,), -1)
        self.row_of = torch.zeros(count, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.block_of)

    def put(self, positions: Sequence[int], block: Tensor, rows: Sequence[int]) -> None:
        """Say that the rows at `positions` are those at `rows` of a block."""
        places = torch.tensor(positions)
        self.block_of[places], self.row_of[places] = len(self.blocks), torch.tensor(rows)
        self.blocks.append(block)

    def index_select(self, dim: int, places: Tensor) -> Tensor:
        """As of a tensor, along the first dimension.

        >>> rows = MappedRows(3)
        >>> rows.put([2, 0], torch.tensor([[4.0], [5.0]]), [0, 1])
        >>> rows.put([1], torch.tensor([[6.0]]), [0])
        >>> rows.index_select(0, torch.tensor([0, 1, 2, 2])).flatten().tolist()
        [5.0, 6.0, 4.0, 4.0]
        """
        blocks, rows = self.block_of[places], self.row_of[places]
        found = self.blocks[0].new_empty(len(places), *self.blocks[0].shape[1:])
        for number in blocks.unique().tolist():
            here = blocks == number
            found[here] = self.blocks[number][rows[here]]
        return found


class MemoryRows:
    """The same in one tensor."""

    def __init__(self, count: int, like: Tensor) -> None:
        self.whole = like.new_empty(count, *like.shape[1:])

    def put(self, positions: Sequence[int], block: Tensor, rows: Sequence[int]) -> None:
        self.whole[torch.tensor(positions)] = block[torch.tensor(rows)]
