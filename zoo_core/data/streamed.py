"""Pictures that are not stored here: read in the order of training, and forgotten again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from torch import Tensor

from zoo_core.data.pictures import Pictures
from zoo_core.data.row_groups import RowGroups
from zoo_core.errors import DataError

DOWNLOAD = "Leave stream=true out, and it is stored on this machine."


class Streamed(Pictures):
    """Pictures in row groups. `pair(row)`: the encoded picture of a row, decoded, and its class.

    Which class a picture has is known when it is read. So nothing that asks for the classes of all,
    or for pictures here and there, can be done with them; that raises DataError.
    """

    streamed = True

    def __init__(
        self,
        name: str,
        rows: RowGroups,
        pair: Callable[[dict[str, Any], int], tuple[Any, int]],
        classes: Sequence[str],
        numbers: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name, self._picture, (), classes)
        self.rows, self.pair = rows, pair
        self.numbers = list(range(len(classes))) if numbers is None else list(numbers)
        self._latest: tuple[int, Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_latest": None}

    def _picture(self, index: int) -> Any:
        picture, number = self.pair(self.rows.row(index), index)
        self._latest = index, self.numbers[number]
        return picture

    def target(self, index: int) -> int:
        """The class of the picture that was read last."""
        if self._latest is None or self._latest[0] != index:
            self._picture(index)
        assert self._latest is not None
        number: int = self._latest[1]
        return number

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._picture(index), self.target(index)

    @property
    def has_digests(self) -> bool:
        """None is taken: it would mean reading all of them once more."""
        return False

    def refuse_ids(self) -> None:
        """Its classes have names."""

    def renamed(self, classes: Sequence[str]) -> Streamed:
        assert self.classes is not None
        self._refuse_twins(classes)
        places = [classes.index(name) for name in self.classes]
        numbers = [places[number] for number in self.numbers]
        return Streamed(self.name, self.rows, self.pair, classes, numbers)

    def class_counts(self) -> list[int]:
        self._refuse("how many pictures each class has is not known")

    def target_tensor(self) -> Tensor:
        self._refuse("the classes of all pictures are not known")

    def subset(self, indices: Sequence[int]) -> Pictures:
        self._refuse("no part of it can be taken")

    def _refuse(self, why: str) -> NoReturn:
        raise DataError(f"{self.name} is read as a stream: {why}.", hint=DOWNLOAD)
