"""finetune(): train what is not frozen, with regularizers, validation and a run folder."""

from __future__ import annotations

import contextlib
import hashlib
import math
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from zoo_core.data.loader import readers_watched
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import seeded
from zoo_core.data.splitting import split as split_in_two
from zoo_core.engine import Session
from zoo_core.errors import DataError, RecipeError
from zoo_core.inference.matching import matched, refuse_wrong_size
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.processes import Processes
from zoo_core.regularize.by_name import regularizers as stack_of
from zoo_core.regularize.regularizer import Regularizer, called
from zoo_core.regularize.stack import Stack
from zoo_core.replaying import VALIDATION, refuse_another
from zoo_core.runs.folder import RunFolder, new_folder
from zoo_core.runs.recipe import BEST, RECIPE, SCHEMA, read_recipe
from zoo_core.settings import Settings
from zoo_core.subset import apply
from zoo_core.supply import augmented, refuse_cache
from zoo_core.tracking import Tracker
from zoo_core.transfer.modes import evaluating
from zoo_core.version import __version__
from zoo_core.weights.hashes import read_sha256


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
    _are_new(stack)
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
        tuned = _model_for(model, train_set, config or {})
        start: dict[str, Any] = {"model": _shown_model(model), "weights": tuned.origin.weights}
        start |= {
            "sha256": tuned.origin.sha256 or _sha256_of_run(model),
            "config": dict(config) if config else None,
        }
        if tuned.labels is None and train_set.num_classes == tuned.num_outputs:
            tuned.labels = train_set.classes
        train_set = matched(train_set, tuned.labels, tuned.num_outputs)
        val_set = matched(val_set, tuned.labels, tuned.num_outputs) if val_set else None
        refuse_wrong_size(tuned, train_set.read(0))
        if config:
            _refuse_other_scores(tuned, config)
        if schedule is None and settings.phases()[0].what:
            apply(tuned, settings.phases()[0].what)
        how = settings.resolved(augmented(augment, tuned, train_set), processes.device)
        how |= {"regularizers": _shown_list(_listed(regularizers)), "unreadable": unreadable}
        if schedule is None and train is None and tuned._freezing is not None:
            how["freeze_until"] = tuned._freezing.layer
        told = {
            "schema": SCHEMA,
            "model": {},
            "start": start | {"object": _objects(model, data, val, _listed(regularizers))},
            "data": _shown_data(data, val, train_set, val_set),
            "train": how,
            "versions": _versions(),
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


COMPARED = 10_000  # pictures that are read to know whether data is the same

# arguments of create() that finetune() decides
_OF_CREATE = ("name", "pretrained", "num_classes", "freeze_until", "device", "dtype")


# --- data and model ------------------------------------------------------------------------------


def split(
    pictures: Pictures, val: Any, seed: int, **reading: Any
) -> tuple[Pictures, Pictures | None]:
    """Pictures to train and to validate with.

    Raises DataError for one class, or for sets that do not match.
    """
    if not pictures.multilabel and len(set(pictures.targets)) < 2:
        raise DataError(
            f"{pictures.name} holds pictures of one class; a classifier needs two.",
            hint="In a folder, each class has a sub-folder of its own.",
        )
    if val is False:
        return pictures, None
    if val is None:
        return split_in_two(pictures, max(len(pictures) // 5, 1), seed)
    held_out = open_data(val, **reading)
    return pictures, matched(held_out, pictures.classes, pictures.num_classes)


def _model_for(
    model: ZooModel | str | Path, pictures: Pictures, config: Mapping[str, Any]
) -> ZooModel:
    """The model to train, with a head for the classes of the data."""
    from zoo_core.model.create import create
    from zoo_core.plugins.catalogue import catalogue
    from zoo_core.weights.pretrained import brings_weights

    if isinstance(model, ZooModel):
        if config:
            message = "config is for a model by name; this one is built already."
            raise RecipeError(message, hint="Give its arguments to zoo.create.")
        if model.num_outputs < pictures.num_classes:
            raise RecipeError(
                f"The model has {model.num_outputs} classes, the data {pictures.num_classes}.",
                hint=f"Call model.reset_head({pictures.num_classes}) first.",
            )
        return model
    if not isinstance(model, str | Path):
        kind = type(model).__name__
        raise RecipeError(f"finetune wants a model of zoo or its name, not a {kind}.")
    taken = [name for name in config if name in _OF_CREATE]
    if taken:
        raise RecipeError(f"{taken[0]} is no argument of an architecture, so not for config.")
    if brings_weights(model):
        tuned = create(model, **config)
    else:
        named = catalogue().find(str(model))
        has_weights = named.weights is not None or named.model.default_weights is not None
        tuned = create(model, pretrained=has_weights, **config)
    ours, theirs = pictures.classes or None, tuned.labels or None
    if pictures.num_classes != tuned.num_outputs or ours != theirs:
        tuned.reset_head(pictures.num_classes, labels=pictures.classes)
    return tuned


def _refuse_other_scores(model: ZooModel, config: Mapping[str, Any]) -> None:
    """Raise RecipeError where arguments made the model give something else than scores (N, C)."""
    first = next(model.parameters())
    x = torch.zeros(1, *model.input.size, device=first.device, dtype=first.dtype)
    with evaluating(model), torch.inference_mode():
        shape = tuple(model(x).shape)
    if shape != (1, model.num_outputs):
        given = ", ".join(f"{name}={value!r}" for name, value in config.items())
        raise RecipeError(
            f"With {given} {model.info.name} gives {shape} for a picture, and a training needs "
            f"{(1, model.num_outputs)}: a score for each class."
        )


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
        return RunFolder(new_folder(name, _shown(data)))

    return processes.first(made)


def _shown_model(model: ZooModel | str | Path) -> str:
    return model.origin.reference if isinstance(model, ZooModel) else str(model)


def _sha256_of_run(model: ZooModel | str | Path) -> str | None:
    """That of the best weights, where the model is the path of a run."""
    if isinstance(model, ZooModel):
        return None
    best = Path(model).expanduser() / BEST
    return read_sha256(best) if best.is_file() else None


def _earlier(path: Path) -> dict[str, Any] | None:
    """The recipe of the run that is there already, on the machine that writes it."""
    return read_recipe(path) if (path / RECIPE).exists() else None


# --- the recipe ----------------------------------------------------------------------------------


def _objects(model: Any, data: Any, val: Any, members: list[Any]) -> str | None:
    """What was given as an object of Python, which no recipe can bring back."""
    if isinstance(model, ZooModel):
        return "the model"
    if not isinstance(data, str | Path) or not isinstance(val, str | Path | bool | None):
        return "the data"
    return None if all(isinstance(item, str) for item in members) else "a regularizer"


def _shown_data(
    data: Any, val: Any, train_set: Pictures, val_set: Pictures | None
) -> dict[str, Any]:
    """The data by name, and enough of it to notice that it has changed."""
    words = (word for word, meant in VALIDATION.items() if val is meant)
    sets = [train_set, val_set] if val_set else [train_set]
    targets = repr([(pictures.classes, pictures.targets) for pictures in sets])
    return {
        "spec": _shown(data),
        "val": next(words, None) or _shown(val),
        "count": len(train_set),
        "val_count": len(val_set) if val_set else 0,
        "targets": hashlib.blake2b(targets.encode(), digest_size=8).hexdigest(),
        "content": _content(sets),
    }


def _content(sets: Sequence[Pictures]) -> str | None:
    """What identifies the pictures, where that needs no decoding: of many, those spread evenly."""
    if not all(pictures.has_digests for pictures in sets):
        return None
    found = hashlib.blake2b(digest_size=8)
    for pictures in sets:
        for index in range(0, len(pictures), math.ceil(len(pictures) / COMPARED)):
            found.update(pictures.digest(index))
    return found.hexdigest()


def _versions() -> dict[str, str]:
    names = ("torch", "timm", "accelerate")
    return {
        "zoo": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


@contextlib.contextmanager
def _cleared(folder: RunFolder | None) -> Iterator[None]:
    """What fails before anything was written leaves no empty folder."""
    try:
        yield
    except BaseException:
        if folder is not None:
            folder.remove_if_empty()
        raise


def _shown(data: Any) -> str:
    """What stands for data in a recipe: a spec as it is, an object by its class."""
    return str(data) if isinstance(data, str | Path | bool) else f"a {type(data).__name__}"


def _listed(chosen: Any) -> list[Any]:
    return [chosen] if isinstance(chosen, str | Regularizer) else list(chosen)


def _shown_list(members: list[Any]) -> list[str]:
    return [item if isinstance(item, str) else type(item).__name__ for item in members]


def _are_new(stack: Stack) -> None:
    """Raise RecipeError for regularizers that still hold the state of another training."""
    for member in stack.members:
        if isinstance(member, Stack):
            _are_new(member)
        if "model" in vars(member):
            raise RecipeError(
                f"{called(member)} was in a training already, and would go on from there.",
                hint="Give names, or make new regularizers for each run.",
            )
