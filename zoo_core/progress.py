"""Progress of long work, on stderr.

A bar on a terminal and in a notebook, plain lines elsewhere, nothing when it is not wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from zoo_core.humanize import byte_size, readable_name
from zoo_core.pages.template import rendered
from zoo_core.terminal.lines import say
from zoo_core.terminal.notebook import Output, in_notebook

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task

INTERVAL = 0.2  # seconds between two drawings: one takes about 2 ms, and eyes want no more
BAR_WIDTH = 10
BAR_IN_A_CELL = Path(__file__).parent / "pages" / "bar.html"
COUNTED = {"bytes": len("999.9/999.9 MB")}  # the widest count, where it is not that of the total


def _on_a_terminal() -> bool:
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


class Bar:
    """A bar of `total` steps, pictures or bytes, with numbers of what is going on.

    `title` may be set at any time. Pictures have their speed shown, everything the time left.

    >>> with Bar("epoch 1/3", total=2, shown=False, unit="pictures") as bar:
    ...     bar.step(loss=0.71, accuracy=0.62)
    ...     bar.step(loss=0.52, accuracy=0.81)
    """

    def __init__(
        self,
        title: str,
        *,
        total: int,
        shown: bool = True,
        unit: Literal["steps", "pictures", "bytes"] = "steps",
    ) -> None:
        self.title, self.total, self.shown, self.unit = title, total, shown, unit
        self._output = Output() if shown and in_notebook() else None
        self.live = self._output is not None or (shown and _on_a_terminal())
        self._done, self._note, self._due = 0, "", 0.0
        self._fields: dict[str, Any] = {}

    def __enter__(self) -> Bar:
        if self.live:
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(
                *_columns(self.unit), console=Console(stderr=True), auto_refresh=False
            )
            if self._output is None:
                self._progress.start()
            self._task = self._progress.add_task(
                readable_name(self.title), total=self.total, details=""
            )
            self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self._draw()
            self._progress.stop()

    def step(self, note: str | None = None, count: int = 1, **fields: Any) -> None:
        """`count` steps further; `note` and `fields` stand behind the bar until others come.

        A field is a number, a tensor of one number, or a function that gives one. It is looked at
        only when the bar is drawn, a few times a second, so that nobody waits for a GPU. Where
        the line is too short, the last fields are left out.
        """
        if not self.live:
            return
        self._done += count
        if note is not None:
            self._note = note
        if fields:
            self._fields = fields
        if perf_counter() >= self._due:
            self._draw()

    def update_total(self, total: int) -> None:
        """There are `total` steps, as it turns out."""
        self.total = total
        if self.live:
            self._draw()

    def line(self, text: str) -> None:
        """A line that stays: above the bar on a terminal, as it is elsewhere."""
        if self.live and self._output is None:
            from rich.text import Text

            self._progress.console.print(Text(readable_name(text)))
        elif self.shown:
            say(text)

    def _draw(self) -> None:
        title = readable_name(self.title)
        self._progress.update(
            self._task,
            description=title,
            completed=self._done,
            total=self.total,
            details=self._details(len(title)),
        )
        if self._output is None:
            self._progress.refresh()
        else:
            self._draw_in_cell(self._output)
        self._due = perf_counter() + INTERVAL

    def _draw_in_cell(self, output: Output) -> None:
        if not self.total and not self._done:  # perhaps there is nothing to do
            return
        words = in_words(_columns(self.unit), self._progress.tasks[0])
        done = min(self._done, self.total)
        output.draw(
            rendered(BAR_IN_A_CELL, words=words, done=done, total=self.total), " ".join(words)
        )

    def _details(self, taken: int) -> str:
        """As many of the numbers as the line has room for, the first ones first."""
        fields = dict(self._fields)
        memory = fields.pop("memory", None)
        if self.unit == "pictures" and (speed := self._progress.tasks[0].speed):
            fields["pictures_per_second"] = speed
        if memory is not None:
            fields["memory"] = memory
        parts = [field_text(name, value) for name, value in fields.items()]
        if self._note:
            parts.append(self._note)
        parts = [readable_name(part) for part in parts]
        before = taken + BAR_WIDTH + COUNTED.get(self.unit, 1 + 2 * len(str(self.total)))
        return fitting(parts, self._progress.console.width - before - len("    00:00"))


def _columns(unit: str) -> list[ProgressColumn]:
    from rich import progress

    counted = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
    return [
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=BAR_WIDTH),
        counted,
        progress.TimeRemainingColumn(compact=True),
        progress.TextColumn("{task.fields[details]}", markup=False),
    ]


def in_words(columns: Sequence[ProgressColumn], task: Task) -> list[str]:
    """What the columns of a bar say, without the bar itself."""
    from rich.text import Text

    words = [column(task) for column in columns]
    return [word.plain for word in words if isinstance(word, Text) and word.plain]


def field_text(name: str, value: Any) -> str:
    """A field as it stands behind the bar.

    >>> field_text("loss", 0.1), field_text("val_accuracy", 0.9214), field_text("memory", 2e9)
    ('loss 0.100', 'val accuracy 92.1%', '2.0 GB')
    """
    number = float(value() if callable(value) else value)
    if name == "pictures_per_second":
        return f"{number:,.0f}/s"
    if name == "memory":
        return byte_size(number)
    words = name.replace("_", " ")
    return f"{words} {number:.1%}" if name.endswith("accuracy") else f"{words} {number:#.3g}"


def fitting(parts: Sequence[str], width: int) -> str:
    """The first parts that fit into `width` together; always some of the first.

    >>> fitting(["loss 0.100", "accuracy 91.2%", "2.0 GB"], 26)
    'loss 0.100 accuracy 91.2%'
    """
    line = ""
    for part in parts:
        longer = f"{line} {part}".strip()
        if len(longer) > width:
            return line or f"{part[: max(width - 1, 0)]}…"
        line = longer
    return line
