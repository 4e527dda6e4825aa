"""Progress of long work, on stderr: a bar on a terminal, plain lines elsewhere, nothing when it is
not wanted.
"""

from __future__ import annotations

import sys
from types import TracebackType


class Bar:
    """A bar of `total` steps with a word of what is going on.

    >>> with Bar("training", total=2, shown=False) as bar:
    ...     bar.step("epoch 1")
    """

    def __init__(self, title: str, *, total: int, shown: bool = True) -> None:
        self.title, self.total, self.shown = title, total, shown
        self.live = shown and sys.stderr.isatty()

    def __enter__(self) -> Bar:
        if self.live:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._progress.start()
            self._task = self._progress.add_task(self.title, total=self.total, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self._progress.stop()

    def step(self, note: str | None = None, count: int = 1) -> None:
        """One step further; `note` stands behind the bar."""
        if self.live:
            shown = {} if note is None else {"note": note}
            self._progress.update(self._task, advance=count, **shown)  # type: ignore[arg-type]

    def line(self, text: str) -> None:
        """A line that stays: above the bar on a terminal, as it is elsewhere."""
        if self.live:
            self._progress.console.print(text, highlight=False, markup=False)
        elif self.shown:
            print(text, file=sys.stderr, flush=True)
