"""Tables in pieces, read when a row of them is asked for, and kept as long as rows near it are.

So a table larger than memory and disk is read in order, by whoever knows which rows come next.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch


class RowGroups:
    """Rows by index, out of groups of them. `sizes`: how many rows each group has.

    `read(group)`: a table of pyarrow with the rows of a group. What is kept are the groups that
    were used last, as long as they have `most` rows together; the last one always.

    >>> import pyarrow
    >>> tables = [pyarrow.table({"n": [0, 1]}), pyarrow.table({"n": [10, 11, 12]})]
    >>> groups = RowGroups([2, 3], tables.__getitem__)
    >>> len(groups), groups.row(1), groups.row(4)
    (5, {'n': 1}, {'n': 12})
    """

    def __init__(self, sizes: Sequence[int], read: Callable[[int], Any]) -> None:
        self.sizes = torch.tensor(list(sizes), dtype=torch.int64)
        self.ends = torch.tensor(list(accumulate(sizes)), dtype=torch.int64)
        self.read, self.most = read, 0
        self.kept: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"kept": OrderedDict()}

    def row(self, index: int) -> dict[str, Any]:
        """The row at an index, as plain Python."""
        group = int(torch.searchsorted(self.ends, index, right=True))
        place = index - int(self.ends[group] - self.sizes[group])
        row: dict[str, Any] = self._table(group).slice(place, 1).to_pylist()[0]
        return row

    def _table(self, group: int) -> Any:
        if group in self.kept:
            self.kept.move_to_end(group)
            return self.kept[group]
        rows = int(self.sizes[group]) + sum(int(self.sizes[each]) for each in self.kept)
        while self.kept and rows > self.most:  # before reading, so that both are never there
            gone, _ = self.kept.popitem(last=False)
            rows -= int(self.sizes[gone])
        self.kept[group] = self.read(group)
        return self.kept[group]
