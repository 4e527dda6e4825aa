"""Progress of long work, on stderr.

A bar on a terminal, plain lines elsewhere, nothing when it is not wanted.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Literal


class Bar:
    """A bar of `total` steps (or of `unit="bytes"`) with a word of what is going on.

    >>> with Bar("training", total=2, shown=False) as bar:
    ...     bar.step("epoch 1")
    """

    def __init__(
        self,
        title: str,
        *,
        total: int,
        shown: bool = True,
        unit: Literal["steps", "bytes"] = "steps",
    ) -> None:
        self.title, self.total, self.shown, self.unit = title, total, shown, unit
        self.live = shown and sys.stderr.isatty()

    def __enter__(self) -> Bar:
        if self.live:
            from rich import progress
            from rich.console import Console

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=30),
                progress.DownloadColumn()
                if self.unit == "bytes"
                else progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[note]}"),
            )
            self._progress = progress.Progress(*columns, console=Console(stderr=True))
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
