"""What advise() answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.advice.questions import as_text
from zoo_core.advice.recipe import write_recipe
from zoo_core.humanize import byte_size, duration, readable_name, shortened
from zoo_core.pages.fragment import fragment, unless_it_fails
from zoo_core.pages.sections import Section, Table, Tile, page, save_page

_HEADER = ("way", "accuracy", "95%", "log-loss", "epochs", "time")
_PROBES = ("stage", "accuracy", "95%", "log-loss", "random weights")


@dataclass(frozen=True, repr=False)
class Advice:
    """What to do with a network for some pictures, and what that rests on.

    Of `model`, for the pictures of `data`. `rows`: the ways that were compared, the advised one
    first: `arm`, `accuracy` in [0, 1] on pictures held out, with its 95% interval `low` to `high`,
    log-loss `loss`, `seconds`, `epochs` and `bytes`, what a run would keep. `recipe`: for `zoo
    finetune --recipe`. `why`: two sentences. `similarity`: "near", "medium", "far" or "unknown".
    `probes`: a row for each boundary. `left`: ways that were not tried, and why. `notes`: what else
    to know. `command`: for the shell. `count`, `total`: how many pictures were looked at, and of
    how many. `spent`: the seconds that it took. `seconds`, `bytes`: expected of the training on all
    pictures; None where nothing was trained.

    >>> import tempfile, zoo_core as zoo
    >>> advice = zoo.advise("lenet5", "digits#test", budget="5s", progress=False)
    >>> advice.best == advice.rows[0], len(advice.sentences()) >= 2, advice.next()[0][:18]
    (True, True, 'Next: zoo finetune')
    >>> len(advice.table().rows) == len(advice.rows), len(advice.boundaries().rows) > 2
    (True, True)
    >>> folder = Path(tempfile.mkdtemp())
    >>> advice.save(folder / "advice.html").suffix, "<html" in advice.html()
    ('.html', True)
    >>> advice.save_recipe(folder / "recipe.toml").name
    'recipe.toml'
    """

    rows: list[dict[str, Any]]
    recipe: dict[str, Any]
    model: str
    data: str
    why: list[str]
    similarity: str
    probes: list[dict[str, Any]]
    left: list[str]
    notes: list[str]
    command: str
    count: int
    total: int
    spent: float
    seconds: float | None = None
    bytes: int | None = None

    @property
    def best(self) -> dict[str, Any]:
        """The row of what is advised."""
        return self.rows[0]

    def sentences(self) -> list[str]:
        """The answer in words."""
        best = self.best
        lines = [f"{best['arm'].capitalize()}: {best['accuracy']:.1%} expected ({_range(best)})."]
        if self.seconds is not None and self.bytes is not None:
            lines[0] += (f" That takes about {duration(max(self.seconds, 0.1))} on this machine, "
                         f"and keeps {byte_size(self.bytes)}.")  # fmt: skip
        lines += [*self.why, *self.notes]
        if self.count < self.total:
            lines.append(f"{self.count:,} of {self.total:,} pictures were looked at.")
        return lines

    def table(self) -> Table:
        """The rows as text."""
        cells = [
            [row["arm"], f"{row['accuracy']:.1%}", _range(row), f"{row['loss']:.3f}",
             str(row["epochs"]), duration(row["seconds"]) if row["seconds"] else "-"]
            for row in self.rows
        ]  # fmt: skip
        return Table(_HEADER, cells, ("accuracy", "log-loss", "epochs", "time"))

    def boundaries(self) -> Table:
        """What a solved head does on what enters each stage, as text."""
        cells = [
            [row["stage"], f"{row['accuracy']:.1%}", _range(row), f"{row['loss']:.3f}",
             f"{row['random']:.1%}"]
            for row in self.probes
        ]  # fmt: skip
        return Table(_PROBES, cells, ("accuracy", "log-loss", "random weights"))

    def __str__(self) -> str:
        return as_text([*self.sentences(), *self.next()], self.table())

    def next(self) -> list[str]:
        """The command that does it, as a line."""
        return [f"Next: {self.command}"] if self.command else []

    def __repr__(self) -> str:
        what = f"{shortened(self.model, 80)} on {shortened(self.data, 80)}"
        best = f"{shortened(self.best['arm'], 80)}, {self.best['accuracy']:.1%} expected"
        return readable_name(f"<Advice for {what}: {best}>")

    @unless_it_fails
    def _repr_html_(self) -> str:
        return fragment([*self.sentences(), *self.next()], self.table())

    def html(self) -> str:
        """One page, complete in itself."""
        best = self.best
        tiles = [
            Tile("do", best["arm"]),
            Tile("accuracy", f"{best['accuracy']:.1%}", f"95% interval {_range(best)}"),
            Tile("similar", self.similarity),
        ]
        if self.seconds is not None:
            tiles.append(Tile("time", duration(max(self.seconds, 0.1)), "on this machine"))
        left = f" Not tried: {'; '.join(self.left)}." if self.left else ""
        tried = self.seconds is not None
        title = "What was tried" if tried else "What the features tell"
        sections = [
            Section(title, (_TRIED if tried else _UNTRIED) + left, table=self.table()),
            Section("Where the classes can be told apart", _WHERE, table=self.boundaries()),
            Section("Next", commands=[self.command] if self.command else []),
        ]
        return page(f"How to train {self.model} on {self.data}", self.sentences(), sections, tiles)

    def save(self, path: str | Path) -> Path:
        """Write that page to the file `path`, and return it. Raises ZooError where it cannot be."""
        return save_page(self.html(), path)

    def save_recipe(self, path: str | Path) -> Path:
        """Write the recipe to the file `path` for `zoo finetune --recipe`. Raises RecipeError."""
        return write_recipe(self.recipe, Path(path).expanduser())


_TRIED = (
    "Each way was trained with some of the pictures, and judged by others. Advised is what is "
    "usually right, unless another way is, after long trainings, right more often by three "
    "standard errors."
)
_UNTRIED = "Nothing was trained: a head on frozen features, each picture judged by the others."
_WHERE = (
    "A linear head on what enters each stage of the frozen network, each picture judged by the "
    "head that the others give; and the same for a network with random weights."
)


def _range(row: dict[str, Any]) -> str:
    return f"{row['low']:.1%} to {row['high']:.1%}"
