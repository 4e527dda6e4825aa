"""Runs side by side, from their text files alone: no torch, and no weights are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.errors import RecipeError, described
from zoo_core.humanize import dotted, natural
from zoo_core.runs.recipe import BEST, METRICS, RECIPE, read_history, read_recipe

LARGER_IS_BETTER = {"val_accuracy"}
LARGEST = 10**15  # no loss, count or time is


@dataclass(frozen=True)
class RunSummary:
    """What a run was, and what came of it.

    `trains`: stages as a range (`"fc2:"`: fc2 and what follows), a schedule, or `"all"`.
    `epochs`: as planned, and `epochs_done` of them. `best_epoch`, `val_accuracy` in [0, 1] and
    `val_loss` in nats are those of the weights that were kept; None where there are none.
    `seconds`: in all, of which `seconds_caching`; of a run that has not ended, those of its epochs.
    `fault`: why the folder is no finished run, or nothing.
    """

    path: Path
    model: str = ""
    data: str = ""
    trains: str = ""
    regularizers: tuple[str, ...] = ()
    epochs: int | None = None
    epochs_done: int = 0
    best_epoch: int | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    seconds: float = 0.0
    seconds_caching: float = 0.0
    fault: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)


def list_runs(folders: Iterable[Path]) -> list[RunSummary]:
    """The runs that are in `folders`, or are those folders themselves, in the order of their names.

    What is broken or unfinished is among them, with its fault. Raises RecipeError for a folder
    that is not there.
    """
    return [read_summary(run) for folder in folders for run in run_folders(folder)]


def run_folders(folder: Path) -> list[Path]:
    """`folder` if it is a run, else the runs in it and in its sub-folders.

    Raises RecipeError where there is no such folder.
    """
    if not folder.is_dir():
        raise RecipeError(f"No folder {folder}.", hint='"zoo runs" lists those in runs/.')
    if is_run(folder):
        return [folder]
    runs: list[Path] = []
    for inner in _sub_folders(folder):
        runs += [inner] if is_run(inner) else filter(is_run, _sub_folders(inner))
    return runs


def is_run(folder: Path) -> bool:
    """Whether a folder has anything that a fine-tune writes, and so may be a run or its remains."""
    try:
        return any((folder / name).exists() for name in (RECIPE, METRICS, BEST))
    except OSError:  # a folder that may not be looked into: to be listed, with why
        return True


def _sub_folders(folder: Path) -> list[Path]:
    try:
        folders = [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []
    return sorted(folders, key=lambda path: natural(str(path)))


def read_summary(folder: Path) -> RunSummary:
    """The summary of a run folder; where it cannot be read, one that says why."""
    try:
        return summary(folder, read_recipe(folder), read_history(folder))
    except RecipeError as error:
        here = error.message.replace(f"{folder}/", "").removeprefix(f"{folder} is ")
        return RunSummary(folder, fault=here)
    except Exception as error:  # somebody wrote into the recipe, or a stranger made it
        return RunSummary(folder, fault=f"it holds what no run writes: {described(error)}")


def summary(
    path: Path, recipe: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> RunSummary:
    """The summary of a run by its recipe and its rows; what is missing there is missing here."""
    model, data, train = (table(recipe, name) for name in ("model", "data", "train"))
    cost = table(recipe, "cost")
    best = table(recipe, "result") or _lowest(history)
    planned = planned_epochs(train)
    done = max((number(row, "epoch") or 0 for row in history), default=0)  # a solved head: epoch 0
    unfinished = f"not finished: {done} of {'?' if planned is None else planned} epochs"
    return RunSummary(
        path,
        model=str(table(recipe, "start").get("model") or model.get("reference") or ""),
        data=str(data.get("name") or data.get("spec") or ""),
        trains=trained_part(train),
        regularizers=_texts(train.get("regularizers")),
        epochs=planned,
        epochs_done=done,
        best_epoch=number(best, "epoch"),
        val_accuracy=number(best, "val_accuracy"),
        val_loss=number(best, "val_loss"),
        seconds=number(cost, "seconds") or sum(number(row, "seconds") or 0.0 for row in history),
        seconds_caching=number(cost, "seconds_caching") or 0.0,
        fault="" if "result" in recipe else unfinished,
        recipe=recipe,
    )


def table(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of a recipe; an empty one where the recipe has none."""
    value = recipe.get(name)
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def number(row: Mapping[str, Any], key: str) -> Any:
    """A number that a person's own edits may have left out or made text of."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < LARGEST else None  # NaN is less than nothing


def _lowest(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row with the lowest validation loss, for a run that did not say which was best."""
    validated = [row for row in history if number(row, "val_loss") is not None]
    return min(validated, key=lambda row: row["val_loss"], default={})


def planned_epochs(train: Mapping[str, Any]) -> int | None:
    """How many epochs were planned, by the table [train] of a recipe; a schedule has its own.

    >>> planned_epochs({"epochs": 10, "schedule": [["head", 3], ["fc2", 5]]})
    8
    """
    schedule = train.get("schedule")
    if isinstance(schedule, list | tuple):
        return sum(epochs for _, epochs in schedule)
    return number(train, "epochs")


def trained_part(train: Mapping[str, Any]) -> str:
    """What trained, by the table [train] of a recipe.

    >>> trained_part({"freeze_until": "fc2"}), trained_part({"schedule": [["head", 3], ["fc2", 5]]})
    ('fc2:', 'head 3, fc2 5')
    >>> trained_part({"train": "norm"}), trained_part({})
    ('norm', 'all')
    """
    schedule = train.get("schedule")
    if isinstance(schedule, list | tuple):
        return ", ".join(f"{what} {epochs}" for what, epochs in schedule)
    if train.get("train"):
        return str(train["train"])
    return f"{train['freeze_until']}:" if train.get("freeze_until") else "all"


def in_order(runs: Iterable[RunSummary], key: str) -> list[RunSummary]:
    """The runs by one of their fields, best or smallest first; those without it last."""

    def place(run: RunSummary) -> tuple[bool, Any]:
        value = getattr(run, key)
        if key == "path":
            return False, natural(str(value))
        missing = value is None or not run.recipe
        return missing, 0 if missing else -value if key in LARGER_IS_BETTER else value

    return sorted(runs, key=place)


def differences(recipes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The keys in which recipes differ, with the value of each; None where one lacks the key.

    What came out, [result], [cost] and [best], is left aside.

    >>> differences([{"train": {"lr": 0.1, "seed": 0}}, {"train": {"lr": 0.2, "seed": 0}}])
    {'train.lr': [0.1, 0.2]}
    """
    came_out = ("result.", "cost.", "best.")
    flat = [
        {k: v for k, v in dotted(recipe).items() if not k.startswith(came_out)}
        for recipe in recipes
    ]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = {key: [one.get(key) for one in flat] for key in keys}
    return {key: own for key, own in values.items() if any(value != own[0] for value in own)}
