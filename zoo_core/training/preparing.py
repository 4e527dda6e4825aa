"""From what was asked for to a task: data, regularizers, run folder, and the model to train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from zoo_core.data.formats.hub_place import pinned, repository_of
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.readers import leave_where_a_script_runs_anew
from zoo_core.data.splitting import fifth_held_out
from zoo_core.errors import DataError, RecipeError
from zoo_core.inference.matching import matched, refuse_wrong_size, say_other_kind
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.by_name import regularizers as stack_of
from zoo_core.regularize.regularizer import called
from zoo_core.regularize.stack import Stack
from zoo_core.runs.folder import RunFolder, new_folder
from zoo_core.runs.recipe import RECIPE, read_recipe
from zoo_core.training.cache.decision import refuse_cache
from zoo_core.training.class_names import names_of_outputs, refuse_unlike
from zoo_core.training.console import Console
from zoo_core.training.distributed import Processes
from zoo_core.training.mirroring import mirrors_settled
from zoo_core.training.precision import Precision
from zoo_core.training.recipe import shown
from zoo_core.training.request import Request
from zoo_core.training.settings import Settings
from zoo_core.training.starting_model import (
    model_for,
    refuse_lazy,
    refuse_other_scores,
    refuse_unwritable,
)
from zoo_core.training.task import Task
from zoo_core.training.what_trains import apply

Out = str | Path | Literal[False] | None


@contextlib.contextmanager
def prepared(
    request: Request, settings: Settings, *, out: Out, resume: bool, progress: bool
) -> Iterator[tuple[Task, RunFolder | None, Request]]:
    """The task that was asked for, the folder of its run (None for none), and what was asked for,
    with the commits of data from the Hub: those of the run that goes on.

    Random numbers inside follow the seed, and outside they go on as if nothing had happened. The
    folder is this training's alone until the end; where nothing was written, none is left.
    Raises DataError, RecipeError, UnknownName, FreezeError.
    """
    leave_where_a_script_runs_anew()
    stack = _stack(request, settings)
    if resume and out in (None, False):
        raise RecipeError("resume=True needs the folder of the run.", hint="Give it as out=.")
    processes = Processes()
    reading: dict[str, Any] = {"unreadable": request.unreadable}
    reading["progress"] = progress and processes.main
    request = _pinned(request, Path(str(out)).expanduser() if resume else None, processes)
    opened = open_data(request.data, **reading, streams=True)
    if opened.streamed:
        _refuse_for_stream(opened, request, settings)
    if not fits(request.model, opened):
        opened.refuse_ids()
    train_set, val_set = split(opened, request.val, settings.seed, **reading)
    if train_set.multilabel:
        stack.refuse_several_labels()
    folder = _folder(request, opened, out, resume, processes)
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with _released(folder), torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings.seed)
        say = Console(reading["progress"]).say
        model = model_for(request, train_set, say)
        refuse_lazy(model)
        labels = names_of_outputs(model, train_set)
        train_set = matched(train_set, labels, model.num_outputs)
        val_set = matched(val_set, labels, model.num_outputs) if val_set else None
        refuse_wrong_size(model, train_set.read(0))
        if request.config or model is request.model:
            refuse_other_scores(model, request.config or {})
        if folder is not None and model is request.model:
            refuse_unwritable(model)
        if settings.schedule is None and settings.phases()[0].what:
            apply(model, settings.phases()[0].what)
        settings = mirrors_settled(settings, model, train_set, processes, say)
        precision = Precision(settings.precision, processes.device)
        say_other_kind(train_set, model)
        model.labels, model.multilabel = labels, train_set.multilabel
        task = Task(model, train_set, val_set, settings, stack, processes, precision)
        yield task, folder, request


def _pinned(request: Request, run: Path | None, processes: Processes) -> Request:
    """The request with data of the Hub at a commit; of the `run` that goes on, at its own."""
    given = {"data": request.data, "val": request.val}
    specs = {name: spec for name, spec in given.items() if repository_of(spec) is not None}

    def at_commits() -> dict[str, Any]:
        there = run is not None and (run / RECIPE).exists()
        before = read_recipe(run).get("data", {}) if run is not None and there else {}
        known = {"data": before.get("spec"), "val": before.get("val")}
        return {name: pinned(spec, known[name]) for name, spec in specs.items()}

    return replace(request, **processes.first(at_commits)) if specs else request


def _refuse_for_stream(opened: Pictures, request: Request, settings: Settings) -> None:
    """Raise RecipeError for what takes knowing all pictures."""
    if request.val is None:
        raise RecipeError(
            f"{opened.name} is a stream, so no fifth of it can be held out.",
            hint='Name what validates, val="hf://...#test" (--val), or val=False (--no-val).',
        )
    if settings.balance is not None:
        raise RecipeError(
            f"{opened.name} is a stream, so how many pictures each class has is not known.",
            hint=f"Leave balance={settings.balance!r} (--balance) out.",
        )


def fits(model: Any, pictures: Pictures) -> bool:
    """Whether a model, not a name of one, has an output for each class number."""
    return isinstance(model, ZooModel) and model.num_outputs >= pictures.num_classes


def split(
    pictures: Pictures, val: Any, seed: int, **reading: Any
) -> tuple[Pictures, Pictures | None]:
    """Pictures to train and to validate with.

    Raises DataError for one class, or for sets that do not match.
    """
    classes = pictures.num_classes if pictures.streamed else len(set(pictures.targets))
    if not pictures.multilabel and classes < 2:
        raise DataError(
            f"{pictures.name} holds pictures of one class; a classifier needs two.",
            hint="In a folder, each class has a sub-folder of its own.",
        )
    if val is False:
        return pictures, None
    if val is None:
        return fifth_held_out(pictures, seed)
    held_out = open_data(val, **reading)
    refuse_unlike(pictures, held_out)
    return pictures, matched(held_out, pictures.classes, pictures.num_classes)


def _stack(request: Request, settings: Settings) -> Stack:
    """The regularizers. Raises RecipeError for what this training cannot have."""
    stack = stack_of(request.regularizers)
    _refuse_used(stack)
    if settings.cache is True:
        refuse_cache(stack)
    if request.val is False:
        stack.refuse_without_validation(hint="Leave val=False (--no-val) out.")
    return stack


def _refuse_used(stack: Stack) -> None:
    """Raise RecipeError for regularizers that still hold the state of another training."""
    for member in stack.members:
        if isinstance(member, Stack):
            _refuse_used(member)
        if "model" in vars(member):
            raise RecipeError(
                f"{called(member)} was in a training already, and would go on from there.",
                hint="Give names, or make new regularizers for each run.",
            )


def _folder(
    request: Request, opened: Pictures, out: Out, resume: bool, processes: Processes
) -> RunFolder | None:
    """Where the run is written, the same for all processes."""
    if out is False:
        return None

    def made() -> RunFolder:
        if out is not None:
            if "://" in str(out):
                raise RecipeError("A run is a folder on this machine, and out= is an address.")
            return RunFolder(Path(out).expanduser(), resume=resume)
        model = request.model
        name = model.info.name if isinstance(model, ZooModel) else Path(str(model)).name
        by_name = isinstance(request.data, str | Path)
        return RunFolder(new_folder(name, shown(request.data) if by_name else opened.name))

    return processes.first(made)


@contextlib.contextmanager
def _released(folder: RunFolder | None) -> Iterator[None]:
    """However it ends, the folder has no owner any more, and is not left empty."""
    try:
        yield
    finally:
        if folder is not None:
            folder.release()
