"""Trackers, which the numbers of a training go to, too: TensorBoard, Weights & Biases, MLflow, …

By the trackers of Accelerate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_core.errors import RecipeError, UnknownName, did_you_mean
from zoo_core.humanize import dotted


class Tracker:
    """Takes the rows of a training. `name`: what Accelerate calls the tracker; None for none.

    Raises UnknownName for a name that there is not, RecipeError where its package is missing.
    """

    def __init__(self, name: str | None, folder: Path | None) -> None:
        self.name: str | None = None
        self.trackers: list[Any] = []
        if name is None:
            return
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

        if name not in LOGGER_TYPE_TO_CLASS:
            near = did_you_mean(str(name), LOGGER_TYPE_TO_CLASS)
            raise UnknownName(
                f"No tracker {name!r}. {near}".strip(),
                hint=f"There is: {', '.join(LOGGER_TYPE_TO_CLASS)}.",
            )
        if name not in {tracker.value for tracker in get_available_trackers()}:
            raise RecipeError(
                f'The tracker "{name}" needs its package.', hint=f"Run: pip install {name}"
            )
        self.name, self.folder = name, folder or Path("runs")

    def begin(self, recipe: Mapping[str, Any]) -> None:
        """Tell it what is trained."""
        if self.name is not None:
            from accelerate import Accelerator

            config = {  # plain values, as trackers want them
                key: value if isinstance(value, int | float | str) else str(value)
                for key, value in dotted(recipe).items()
            }
            accelerator = Accelerator(log_with=self.name, project_dir=str(self.folder))
            accelerator.init_trackers("zoo", config=config)
            self.trackers = accelerator.trackers

    def add(self, row: Mapping[str, Any]) -> None:
        """Tell it the numbers of an epoch."""
        numbers = {k: v for k, v in row.items() if isinstance(v, int | float) and k != "epoch"}
        for tracker in self.trackers:
            tracker.log(numbers, step=row["epoch"])

    def close(self) -> None:
        """Have it write what it still holds."""
        for tracker in self.trackers:
            tracker.finish()
        self.trackers = []
