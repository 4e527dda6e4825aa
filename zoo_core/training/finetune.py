"""finetune(): train what is not frozen, with regularizers, validation and a run folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from zoo_core.data.loader import readers_watched
from zoo_core.data.opening import open_data
from zoo_core.data.samples import seeded
from zoo_core.errors import RecipeError
from zoo_core.inference.matching import matched, refuse_wrong_size
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.by_name import regularizers as stack_of
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.runs.folder import RunFolder, new_folder
from zoo_core.runs.recipe import RECIPE, SCHEMA, read_recipe
from zoo_core.training.cache.decision import refuse_cache
from zoo_core.training.distributed import Processes
from zoo_core.training.loaders import augmented
from zoo_core.training.preparing import are_new, model_for, refuse_other_scores, split
from zoo_core.training.recipe import (
    listed,
    objects,
    refuse_another,
    sha256_of_run,
    shown,
    shown_data,
    shown_list,
    shown_model,
    versions_here,
)
from zoo_core.training.session import Session
from zoo_core.training.settings import Settings
from zoo_core.training.tracking import Tracker
from zoo_core.training.what_trains import apply


def finetune(
    model: ZooModel | str | Path,
    data: Any,
    *,
    val: Any = None,
    epochs: int = 10,
    batch_size: int = 64,
    lr: float | None = None,
    optimizer: str = "adamw",
    freeze_until: str | None = None,
    train: str | None = None,
    schedule: Any = None,
    regularizers: Iterable[str | Regularizer] | str = (),
    augment: bool | str | int = "auto",
    cache: bool | str = "auto",
    head: str = "auto",
    precision: str = "auto",
    compile: bool = False,
    seed: int = 0,
    out: str | Path | Literal[False] | None = None,
    resume: bool = False,
    workers: int | str = "auto",
    tracker: str | None = None,
    lr_schedule: str = "constant",
    warmup: float = 0.0,
    layer_decay: float | None = None,
    accumulate: int = 1,
    balance: str | None = None,
    unreadable: str = "stop",
    channels_last: bool | str = "auto",
    checkpointing: bool = False,
    config: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Fine-tune a model on pictures; it is changed in place and left with its best weights.

    What is trained on:

    - `model`: a model, a path, or a name: pretrained where it has weights, with the classes of the
      data. `config`: arguments of the architecture for a model by name, such as `{"img_size": 64}`.
    - `data`: a spec (`digits`, `folder:DIR`, `csv:FILE`, … see docs/data.md), a Dataset of
      (picture, class), or a DataLoader of one. `val`: the same; None: a stratified fifth of
      `data`, by seed; False: none, and the last weights count. `unreadable`: "stop" at a picture
      that cannot be read, or "skip" all those, with their names.
    - `augment`: random crops and flips of the pictures: "auto", when more than the head trains;
      True, False; or a number of fixed views of each picture, which can be cached.
    - `balance`: classes of unequal size count alike by "weights" of the loss, or by a "sampler".

    What trains, one of these:

    - `freeze_until`: as the method; what is frozen already stays so.
    - `train`: a range of stages (`"layer3:"`, `"layer2:layer3"`), `"norm"`, `"bias"` or `"all"`.
    - `schedule`: one after the other, with epochs: `[("head", 3), ("layer4", 5)]`, which takes the
      place of `epochs`. Stages further from the head then learn more slowly.

    How:

    - `lr`: 1e-3 for `adamw` and 1e-2 for `sgd` (momentum 0.9) by default; weight decay is a
      regularizer: `"l2=1e-4"`. `lr_schedule`: "constant", "linear" or "cosine" in each phase,
      after `warmup` epochs. `layer_decay`: the rate of a stage as a share of that of the next one
      (default: 1, and 0.75 with a schedule).
    - `head`: "ridge" solves the head in closed form before the first step, "random" leaves it;
      "auto": solved where it is new and nothing else trains. With "ridge", `epochs` may be 0.
    - `batch_size`: pictures of a step, of all processes together; `accumulate`: in so many pieces.
    - `cache`: compute the frozen part once: "auto", where that is right and saves time; True, or
      say why not; False. The result never depends on it.
    - `precision`: "auto" (bf16 on a GPU), "no", "bf16", "fp16". `compile`: by torch.compile.
      `channels_last`: "auto" (on a GPU). `checkpointing`: less memory, a third more time.
    - `seed`: order, augmentation, dropout and new heads follow it.

    What is left: `out`, a new folder (default `runs/…`; False: none). `resume`: go on with the run
    in `out` where it was stopped, if there is one, with the same result. `tracker`: "tensorboard",
    "wandb", "mlflow" and others of Accelerate. `workers`: processes that read pictures. `recipe`:
    one that this training must be the same as, else RecipeError.

    Trains on the GPU that there is, else on CPU; started by `accelerate launch` or `torchrun`, on
    all of them. Best is what early stopping calls so, else the lowest validation log-loss. Raises
    DataError, RecipeError, UnknownName, FreezeError before training; RecipeError when the loss is
    no number, with the last good weights back in the model.

    >>> import zoo_core as zoo
    >>> quiet = {"out": False, "progress": False}
    >>> run = zoo.finetune("lenet5", "digits", freeze_until="head", epochs=2, **quiet)
    >>> run.accuracy > 0.9
    True
    """
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        freeze_until=freeze_until,
        train=train,
        schedule=schedule,
        augment=augment,
        cache=cache,
        head=head,
        precision=precision,
        compile=compile,
        seed=seed,
        workers=workers,
        lr_schedule=lr_schedule,
        warmup=warmup,
        layer_decay=layer_decay,
        accumulate=accumulate,
        balance=balance,
        channels_last=channels_last,
        checkpointing=checkpointing,
    )
    settings.check()
    if isinstance(regularizers, Iterator):  # to be gone through twice
        regularizers = list(regularizers)
    stack = stack_of(regularizers)
    are_new(stack)
    if cache is True:
        refuse_cache(stack)
    if val is False:
        stack.refuse_without_validation(hint="Leave val=False (--no-val) out.")
    if resume and out in (None, False):
        raise RecipeError("resume=True needs the folder of the run.", hint="Give it as out=.")
    processes = Processes()
    reading: dict[str, Any] = {"unreadable": unreadable, "progress": progress and processes.main}
    train_set, val_set = split(open_data(data, **reading), val, seed, **reading)
    if train_set.multilabel:
        stack.refuse_several_labels()
    folder = _folder(out, resume, model, data, processes)
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with _cleared(folder), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        tuned = model_for(model, train_set, config or {})
        start: dict[str, Any] = {"model": shown_model(model), "weights": tuned.origin.weights}
        start |= {
            "sha256": tuned.origin.sha256 or sha256_of_run(model),
            "config": dict(config) if config else None,
        }
        if tuned.labels is None and train_set.num_classes == tuned.num_outputs:
            tuned.labels = train_set.classes
        train_set = matched(train_set, tuned.labels, tuned.num_outputs)
        val_set = matched(val_set, tuned.labels, tuned.num_outputs) if val_set else None
        refuse_wrong_size(tuned, train_set.read(0))
        if config:
            refuse_other_scores(tuned, config)
        if schedule is None and settings.phases()[0].what:
            apply(tuned, settings.phases()[0].what)
        how = settings.resolved(augmented(augment, tuned, train_set), processes.device)
        how |= {"regularizers": shown_list(listed(regularizers)), "unreadable": unreadable}
        if schedule is None and train is None and tuned._freezing is not None:
            how["freeze_until"] = tuned._freezing.layer
        told = {
            "schema": SCHEMA,
            "model": {},
            "start": start | {"object": objects(model, data, val, listed(regularizers))},
            "data": shown_data(data, val, train_set, val_set),
            "train": how,
            "versions": versions_here(),
        }
        if folder is not None and resume:
            recipe = processes.first(lambda: _earlier(folder.path)) or recipe
        if recipe is not None:
            refuse_another(folder.path if folder else Path(), recipe, told)
        if processes.rank:  # dropout of its own on each process
            torch.manual_seed(seeded(seed, processes.rank).seed)
        session = Session(
            tuned,
            train_set,
            val_set,
            settings,
            stack,
            processes,
            recipe=told,
            folder=folder,
            tracker=Tracker(tracker if processes.main else None, folder.path if folder else None),
            progress=progress,
        )
        with readers_watched(), contextlib.closing(session):
            return session.run(resume=resume)


# --- data and model ------------------------------------------------------------------------------


def _folder(
    out: str | Path | Literal[False] | None,
    resume: bool,
    model: Any,
    data: Any,
    processes: Processes,
) -> RunFolder | None:
    """Where the run is written, the same for all processes."""
    if out is False:
        return None

    def made() -> RunFolder:
        if out is not None:
            return RunFolder(Path(out).expanduser(), resume=resume)
        name = model.info.name if isinstance(model, ZooModel) else Path(str(model)).name
        return RunFolder(new_folder(name, shown(data)))

    return processes.first(made)


def _earlier(path: Path) -> dict[str, Any] | None:
    """The recipe of the run that is there already, on the machine that writes it."""
    return read_recipe(path) if (path / RECIPE).exists() else None


# --- the recipe ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _cleared(folder: RunFolder | None) -> Iterator[None]:
    """What fails before anything was written leaves no empty folder."""
    try:
        yield
    except BaseException:
        if folder is not None:
            folder.remove_if_empty()
        raise
