"""A path, or the reference of a published model: the model there, with its weights."""

from __future__ import annotations

from pathlib import Path

from zoo_core.errors import UnknownName, WeightsError
from zoo_core.runs.recipe import BEST, RECIPE
from zoo_core.types import ModelInfo
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.local import weights_in
from zoo_core.weights.published import CONFIG
from zoo_core.weights.repository import of_repository, published_model
from zoo_core.weights.run_checkpoint import of_run
from zoo_core.weights.sources import ENDINGS, names_file


def at_path(path: Path) -> tuple[ModelInfo, Checkpoint]:
    """An exported folder, which is a published model, or a run. Raises ZooError for neither."""
    if not path.exists():
        raise UnknownName(f"Nothing is at {path}.", hint="A name without ./ or / is a model's.")
    if (path / CONFIG).exists():
        return published(f"file://{path.absolute()}")
    if (path / RECIPE).exists():
        run = of_run(path)
        return run.model, run
    raise WeightsError(
        f"{path} is no run: it has no {RECIPE}.",
        hint=f'For a weights file, name the model: create("resnet50", pretrained="{path}").'
        if path.suffix.lower() in ENDINGS or weights_in(path) not in ([], [path / BEST])
        else "zoo finetune leaves runs.",
    )


def published(reference: str) -> tuple[ModelInfo, Checkpoint]:
    """The model of a repository, or of an exported folder. Raises ZooError for what is none."""
    if names_file(reference):
        raise UnknownName(
            f"{reference} is a file of weights, and does not say of which model.",
            hint=f'Name the model: create("resnet50", pretrained="{reference}").',
        )
    checkpoint = of_repository(reference)
    return published_model(checkpoint.saved, reference), checkpoint
