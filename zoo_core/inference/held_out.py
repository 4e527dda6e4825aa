"""The pictures that a run held out of its training: from memory, or as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.places import found_start
from zoo_core.data.specs import paths_from
from zoo_core.data.splitting import fifth_held_out
from zoo_core.data.trained_on import content_of
from zoo_core.errors import DataError
from zoo_core.model.run import Run
from zoo_core.runs.recipe import RECIPE, VALIDATION, read_recipe

GIVE = "Give pictures to measure on: data= (--data)."


def held_out_of(model: Any, *, progress: bool = False) -> Pictures:
    """The validation pictures of a run, or of the folder of one.

    Raises DataError for what is no run, for one that held nothing out, whose data was an object
    that its folder does not have, or whose data has changed since.
    """
    if isinstance(model, Run):
        if model.held_out is not None:
            return model.held_out
        return _by_recipe(model.recipe, model.path, progress)
    if isinstance(model, str | Path):
        folder = Path(model).expanduser()
        if (folder / RECIPE).is_file():
            return _by_recipe(read_recipe(folder), folder, progress)
        what = f"{model} is no run"
    else:
        what = f"A {type(model).__name__} is no run"
    raise DataError(f"{what}, so nothing says which pictures were held out.", hint=GIVE)


def _by_recipe(recipe: Mapping[str, Any], folder: Path | None, progress: bool) -> Pictures:
    run, data, how = str(folder or "The run"), recipe.get("data", {}), recipe.get("train", {})
    if recipe.get("start", {}).get("object") == "the data":
        what = f"{run} was trained on an object in Python, {data.get('spec', 'which')}"
        raise DataError(f"{what}: only the Run that finetune() gave knows it.", hint=GIVE)
    val = data.get("val")
    if val == "none":
        raise DataError(f"{run} was trained without validation: it held nothing out.", hint=GIVE)
    if val is None or "spec" not in data:
        raise DataError(f"The recipe of {run} does not say what was held out.", hint=GIVE)
    reading: dict[str, Any] = {"unreadable": how.get("unreadable", "stop"), "progress": progress}
    specs = [data["spec"], *([] if val in VALIDATION else [val])]
    begin = found_start(specs, folder, data.get("folder")) if folder is not None else Path()
    with paths_from(begin):
        train_set = open_data(data["spec"], **reading, streams=True)
        if val in VALIDATION:
            train_set, held_out = fifth_held_out(train_set, how.get("seed", 0))
        else:
            held_out = open_data(val, **reading)
        _refuse_changed([train_set, held_out], data, run)
    return held_out


def _refuse_changed(sets: list[Pictures], data: Mapping[str, Any], run: str) -> None:
    """Raise DataError where the pictures are not those of the training any more."""
    sizes = [len(pictures) for pictures in sets]
    same = sizes == [data.get("count"), data.get("val_count")]
    if not same or content_of(sets) != data.get("content"):
        raise DataError(
            f"{data['spec']} holds other pictures than when {run} was trained, so nothing says "
            "which were held out.",
            hint=GIVE,
        )
