"""Lines and progress bars for people, on stderr."""

from __future__ import annotations

from typing import Literal

from zoo_core.progress import Bar, put_line


class Console:
    """`shown`: whether anything is said; one of several processes speaks."""

    def __init__(self, shown: bool) -> None:
        self.shown = shown

    def say(self, text: str) -> None:
        """A line, where there is something to say."""
        if self.shown and text:
            put_line(text)

    def bar(
        self, title: str, total: int, unit: Literal["steps", "pictures", "bytes"] = "steps"
    ) -> Bar:
        """A progress bar over so many units."""
        return Bar(title, total=total, shown=self.shown, unit=unit)
