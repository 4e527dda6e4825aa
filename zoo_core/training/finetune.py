"""finetune(): train what is not frozen, with regularizers, validation and a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from zoo_core.data.formats.hub_place import streaming
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.regularizer import Regularizer
from zoo_core.runs.folder import RunFolder
from zoo_core.training.console import Console
from zoo_core.training.preparing import prepared
from zoo_core.training.recipe import recipe_of
from zoo_core.training.request import Request, listed, settled
from zoo_core.training.same_recipe import recorded, refuse_another
from zoo_core.training.session import Session
from zoo_core.training.settings import Settings
from zoo_core.training.task import Task
from zoo_core.training.tracking import Tracker
from zoo_core.weights.part import KEEP_UNTIL


def finetune(
    model: ZooModel | str | Path,
    data: Any,
    *,
    val: Any = None,
    epochs: int = 10,
    batch_size: int = 64,
    lr: float | None = None,
    optimizer: str = "adamw",
    keep_until: str | None = None,
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
    stream: bool = False,
    channels_last: bool | str = "auto",
    checkpointing: bool = False,
    mirrors: bool | str = "auto",
    pretrained: bool | str | Path | None = None,
    labels: str | Path | Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Fine-tune a model on pictures; it is changed in place and left with its best weights.

    What is trained on:

    - `model`: a model, a path, or a name: pretrained where it has weights, with the classes of the
      data. `config`: arguments of the architecture for a model by name, such as `{"img_size": 64}`.
      `keep_until`: of a model by name, what feeds this stage, with a pooling and a head of its own.
      `pretrained`, `labels`: other weights for a model by name (False: none), and what the outputs
      of those are called, as `zoo.create` takes them: classes of the data so called keep theirs.
    - `data`: a spec (`digits`, `folder:DIR`, `csv:FILE`, … see docs/data.md), a Dataset of
      (picture, class), or a DataLoader, whose sampler says what is in it. `val`: the same; None: a
      stratified fifth of `data`, by seed; False: none, and the last weights count. `unreadable`:
      "stop" at a picture that cannot be read, or "skip" all those, with their names. `stream`:
      read `data`, which is on the Hub, as training needs it, and store nothing.
    - `augment`: random crops and mirror images of the pictures: "auto", when more than the head
      trains, and without mirrors where two classes are seen to be each other's mirror image (arrows
      to the left and right); True; "crop", never mirrored; False; or a number of fixed views of
      each picture, which can be cached. `mirrors`: False leaves mirror images out of fixed views
      and schedules, too; True has them whatever is seen, where the model's `input.flip` has.
    - `balance`: classes of unequal size count alike by "weights" of the loss, or by a "sampler".

    What trains, one of these:

    - `freeze_until`: as the method; what is frozen already stays so.
    - `train`: a range of stages (`"layer3:"`, `"layer2:layer3"`), `"norm"`, `"bias"` or `"all"`.
    - `schedule`: one after the other, with epochs: `[("head", 3), ("layer4", 5)]`, which takes the
      place of `epochs`. Stages further from the head then learn more slowly.

    How:

    - `optimizer`: "adamw" or "sgd". `regularizers`: names with options, objects, or a stack of
      them, as `zoo.regularizers` takes them.
    - `lr`: 1e-3 for `adamw` and 1e-2 for `sgd` (momentum 0.9) by default; weight decay is a
      regularizer: `"l2=1e-4"`. `lr_schedule`: "constant", "linear" or "cosine" in each phase, after
      `warmup` epochs. `layer_decay`: the rate of a stage as a share of that of the next one
      (default: 1, and 0.75 with a schedule).
    - `head`: "ridge" solves the head before the first step, with `balance`; "random" leaves it;
      "auto": solved where it is new and nothing else trains. With "ridge", `epochs` may be 0.
    - `batch_size`: pictures of a step, of all processes together; `accumulate`: in so many pieces.
    - `cache`: compute the frozen part once: "auto", where that is right and saves time; True, or
      say why not; False. The result never depends on it.
    - `precision`: "auto" (bf16 on a GPU), "no", "bf16", "fp16". `compile`: by torch.compile.
      `channels_last`: "auto" (on a GPU). `checkpointing`: less memory, a third more time.
    - `seed`: order, augmentation, dropout and new heads follow it.

    What is left: `out`: a new folder (default `runs/…`; False: none). `resume`: go on with the run
    in `out` where it was stopped, if there is one, with the same result. `tracker`: "tensorboard",
    "wandb", "mlflow" and others of Accelerate. `workers`: processes that read pictures. `recipe`:
    one that this training must be the same as, else RecipeError. `progress`: False says nothing on
    stderr, and tells the logger `zoo_core` (INFO) of each epoch, of the begin and of the end.

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
        freeze_until=freeze_until, train=train, schedule=schedule, epochs=epochs,
        lr=lr, optimizer=optimizer, lr_schedule=lr_schedule, warmup=warmup, layer_decay=layer_decay,
        batch_size=batch_size, accumulate=accumulate, augment=augment, balance=balance,
        cache=cache, head=head, precision=precision, compile=compile, channels_last=channels_last,
        checkpointing=checkpointing, seed=seed, workers=workers, mirrors=mirrors,
    )  # fmt: skip
    settings.check()
    kept = {} if keep_until is None else {KEEP_UNTIL: keep_until}
    chosen = listed(regularizers), {**kept, **(config or {})}, unreadable
    data = streaming(data) if stream else data
    request = Request(model, data, val, *chosen, pretrained, settled(labels))
    asked = prepared(request, settings, out=out, resume=resume, progress=progress)
    return _done(asked, resume=resume, recipe=recipe, tracker=tracker, progress=progress)


def _done(
    asked: AbstractContextManager[tuple[Task, RunFolder | None, Request]],
    *,
    resume: bool,
    recipe: Mapping[str, Any] | None,
    tracker: str | None,
    progress: bool,
) -> Run:
    with asked as (task, folder, request):
        path = folder.path if folder else None
        plan = recipe_of(request, task, path)
        wanted = (recorded(path, task.processes) if resume else None) or recipe
        if wanted is not None:
            refuse_another(path or Path(), wanted, plan)
        main = task.processes.main
        numbers = Tracker(tracker if main else None, path)
        console = Console(progress and main, logged=main)
        session = Session(task, plan, folder=folder, tracker=numbers, console=console)
        return session.run(resume=resume)
