"""Lines and progress bars for people, on stderr; for a service, records of its log."""

from __future__ import annotations

from typing import Literal

from zoo_core.progress import Bar
from zoo_core.terminal.lines import logger, say

log = logger(__name__)


class Console:
    """`shown`: whether anything is said; one of several processes speaks.

    `logged`: whether what nobody is shown is recorded, under `zoo_core` (INFO): it is one of both.
    """

    def __init__(self, shown: bool, *, logged: bool = False) -> None:
        self.shown, self.logged = shown, logged and not shown

    def say(self, text: str) -> None:
        """A line, where there is something to say."""
        if self.shown and text:
            say(text)

    def record(self, text: str) -> None:
        """What a service sees of a training: where it begins, each epoch, and how it ended."""
        if self.logged:
            log.info("%s", text)

    def bar(
        self, title: str, total: int, unit: Literal["steps", "pictures", "bytes"] = "steps"
    ) -> Bar:
        """A progress bar over so many units."""
        return Bar(title, total=total, shown=self.shown, unit=unit)
