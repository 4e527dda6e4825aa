"""Run: what a fine-tune gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.data.pictures import Pictures
from zoo_core.humanize import readable_name, shortened
from zoo_core.model.run_shown import html
from zoo_core.model.zoo_model import ZooModel
from zoo_core.pages.fragment import unless_it_fails

LONGEST = 80  # letters of a name, or of a path


@dataclass
class Run:
    """One fine-tune: the model with its best weights, the recipe and a row per epoch.

    `model`, `recipe`: these; `history`: the rows. `best`: the row of the epoch whose weights the
    model has. `path`: the folder (None: in memory). `held_out`: the pictures that it was validated
    with, and not trained on.

    >>> import zoo_core as zoo
    >>> run = zoo.finetune("lenet5", "digits#test", epochs=1, out=False, progress=False)
    >>> run.accuracy == run.best["val_accuracy"], len(run.history), len(run.held_out)
    (True, 1, 159)
    """

    model: ZooModel
    recipe: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    held_out: Pictures | None = field(default=None, repr=False, compare=False)

    @property
    def accuracy(self) -> float | None:
        """The validation accuracy of the best epoch in [0, 1], or None without validation."""
        return self.best.get("val_accuracy")

    def __repr__(self) -> str:
        reference = self.recipe.get("model", {}).get("reference", "a model")
        epoch = self.best.get("epoch", 0)
        accuracy = "" if self.accuracy is None else f", {self.accuracy:.1%} on validation"
        name, path = shortened(str(reference), LONGEST), shortened(str(self.path), LONGEST)
        return readable_name(f"Run({name}, epoch {epoch}{accuracy}, {path})")

    @unless_it_fails
    def _repr_html_(self) -> str:
        return html(self)
