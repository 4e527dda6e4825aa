"""finetune(): train what is not frozen, with regularizers, validation and a run folder."""

from __future__ import annotations

import contextlib
import math
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core import __version__
from zoo_core.batches import Order, Samples, loader
from zoo_core.chain import owner
from zoo_core.data import Pictures, is_tensor_item, open_data, stratified
from zoo_core.errors import DataError, RecipeError, UnknownName, did_you_mean
from zoo_core.evaluation import matched, scored
from zoo_core.model import ZooModel, pretrained_part
from zoo_core.progress import Bar
from zoo_core.regularize import Regularizer, Stack, Verdict, called
from zoo_core.regularize import regularizers as stack_of
from zoo_core.runs import SCHEMA, Run, RunFolder, base_of, model_recipe, new_folder, saved_names
from zoo_core.snapshot import Snapshot

# Learning rates that fine-tuning tolerates from a head alone to a whole network of moderate depth.
RATES = {"adamw": 1e-3, "sgd": 1e-2}


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
    progress: bool = True,
) -> Run:
    """Fine-tune a model on pictures; it is changed in place and left with its best weights.

    `model`: a model, a path, or a name: pretrained where it has weights, with the classes of the
    data. `data`: a spec (`digits`, `mnist5k`, `idx:DIR`, `folder:DIR`), a Dataset of (picture,
    class), or a DataLoader of one. `val`: the same; None: a stratified fifth of `data`, by seed;
    False: none, and the last weights count. `lr`: 1e-3 for `adamw` and 1e-2 for `sgd` (momentum
    0.9) by default; weight decay is a regularizer: `"l2=1e-4"`. `freeze_until`: as the method;
    what is frozen already stays so. `augment`: random crops and flips of the pictures; "auto":
    when more than the head trains. `precision`: "auto" (bf16 on a GPU), "no", "bf16", "fp16".
    `out`: a new folder (default `runs/…`; False: none). `seed`: order, augmentation, dropout and
    new heads follow it.

    Trains on the GPU that Accelerate finds, else on CPU. Best is what early stopping calls so,
    else the lowest validation log-loss. Raises DataError, RecipeError, UnknownName, FreezeError
    before training; RecipeError when the loss is no number, with the last good weights back in the
    model.

    >>> import zoo_core as zoo
    >>> quiet = {"out": False, "progress": False}
    >>> run = zoo.finetune("lenet5", "digits", freeze_until="head", epochs=2, **quiet)
    >>> run.accuracy > 0.9
    True
    """
    settings = Settings(
        epochs, batch_size, lr, optimizer, augment, head, precision, compile, seed, workers
    )
    settings.check()
    stack = stack_of(regularizers)
    _are_new(stack)
    uncached = _uncached(stack, cache)
    _not_yet(train=train, schedule=schedule, resume=resume, tracker=tracker, cache=cache is True)
    pictures = open_data(data)
    train_set, val_set = split(pictures, val, seed)
    folder = None if out is False else RunFolder(_out(out, model, data))
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with _cleared(folder), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        tuned = _model_for(model, train_set)
        start = {"model": _shown_model(model), "weights": tuned.origin.weights}
        if tuned.labels is None and train_set.num_classes == tuned.num_outputs:
            tuned.labels = train_set.classes
        train_set = matched(train_set, tuned.labels, tuned.num_outputs)
        val_set = matched(val_set, tuned.labels, tuned.num_outputs) if val_set else None
        if freeze_until is not None:
            tuned.freeze_until(freeze_until)
        if not any(p.requires_grad for p in tuned.parameters()):
            raise RecipeError(
                "Nothing trains: every parameter is frozen.", hint="Call model.unfreeze() first."
            )
        session = Session(tuned, train_set, val_set, settings, stack, folder, progress)
        session.recipe["data"] |= {
            "spec": _shown(data),
            "val": _shown(val) if val is not None else "a fifth",
        }
        session.recipe["train"]["regularizers"] = _shown_list(regularizers)
        session.recipe["start"] = start | {"sha256": tuned.origin.sha256}
        if uncached and cache == "auto" and tuned.frozen and progress:
            print(f"Not cached: {uncached}.", file=sys.stderr)
        return session.run()


@dataclass(frozen=True)
class Settings:
    """The numbers and choices of a fine-tune."""

    epochs: int
    batch_size: int
    lr: float | None
    optimizer: str
    augment: bool | str | int
    head: str
    precision: str
    compile: bool
    seed: int
    workers: int | str

    def check(self) -> None:
        """Raise RecipeError or UnknownName for what makes no sense."""
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            _whole(name, getattr(self, name), least)
        if self.workers != "auto":
            _whole("workers", self.workers, 0)
        number = isinstance(self.lr, float | int) and 0 < self.lr < math.inf
        if self.lr is not None and not number:
            raise RecipeError(f"lr must be a number above 0: {self.lr!r}.")
        _one_of("optimizer", self.optimizer, RATES)
        _one_of("precision", self.precision, ("auto", "no", "bf16", "fp16"))
        _one_of("head", self.head, ("auto", "random"))
        if self.augment not in ("auto", True, False):
            raise RecipeError(f'augment is "auto", True or False: {self.augment!r}.')

    @property
    def rate(self) -> float:
        return RATES[self.optimizer] if self.lr is None else float(self.lr)


def _not_yet(**given: Any) -> None:
    for name, value in given.items():
        if value:
            message = f"This version of zoo has no {name}={value!r} yet."
            raise RecipeError(message, hint=f"Leave {name} out.")


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RecipeError(f"{name} must be a whole number, {least} or more: {value!r}.")


def _one_of(name: str, value: Any, choices: Iterable[str]) -> None:
    if value not in choices:
        message = f"No {name} {value!r}. {did_you_mean(str(value), choices)}".strip()
        raise UnknownName(message, hint=f"There is: {', '.join(choices)}.")


# --- data and model ------------------------------------------------------------------------------


def split(pictures: Pictures, val: Any, seed: int) -> tuple[Pictures, Pictures | None]:
    """Pictures to train and to validate with.

    Raises DataError for one class, or for sets that do not match.
    """
    if len(set(pictures.targets)) < 2:
        raise DataError(f"{pictures.name} holds pictures of one class; a classifier needs two.")
    if val is False:
        return pictures, None
    if val is None:
        rest, held_out = stratified(pictures.targets, max(len(pictures) // 5, 1), seed=seed)
        return pictures.subset(rest), pictures.subset(held_out)
    return pictures, matched(open_data(val), pictures.classes, pictures.num_classes)


def _model_for(model: ZooModel | str | Path, pictures: Pictures) -> ZooModel:
    """The model to train, with a head for the classes of the data."""
    from zoo_core.building import brings_weights, create
    from zoo_core.catalogue import catalogue

    if isinstance(model, ZooModel):
        if model.num_outputs < pictures.num_classes:
            raise RecipeError(
                f"The model has {model.num_outputs} classes, the data {pictures.num_classes}.",
                hint=f"Call model.reset_head({pictures.num_classes}) first.",
            )
        return model
    if not isinstance(model, str | Path):
        kind = type(model).__name__
        raise RecipeError(f"finetune wants a model of zoo or its name, not a {kind}.")
    if brings_weights(model):
        tuned = create(model)
    else:
        named = catalogue().find(str(model))
        has_weights = named.weights is not None or named.model.default_weights is not None
        tuned = create(model, pretrained=has_weights)
    ours, theirs = pictures.classes or None, tuned.labels or None
    if pictures.num_classes != tuned.num_outputs or ours != theirs:
        tuned.reset_head(pictures.num_classes, labels=pictures.classes)
    return tuned


def _out(out: str | Path | None, model: Any, data: Any) -> Path:
    if out is not None:
        return Path(out).expanduser()
    name = model.info.name if isinstance(model, ZooModel) else Path(str(model)).name
    return new_folder(name, _shown(data))


def _shown_model(model: ZooModel | str | Path) -> str:
    return model.origin.reference if isinstance(model, ZooModel) else str(model)


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


def _shown_list(chosen: Any) -> list[str]:
    listed = [chosen] if isinstance(chosen, str | Regularizer) else list(chosen)
    return [item if isinstance(item, str) else type(item).__name__ for item in listed]


# --- the loop ------------------------------------------------------------------------------------


class Session:
    """One fine-tune under way."""

    def __init__(
        self,
        model: ZooModel,
        train_set: Pictures,
        val_set: Pictures | None,
        settings: Settings,
        stack: Stack,
        folder: RunFolder | None,
        progress: bool,
    ) -> None:
        self.model, self.settings, self.stack = model, settings, stack
        self.folder, self.progress = folder, progress
        self.accelerator = _accelerator(settings.precision)
        self.augmented = _augmented(settings.augment, model, train_set)
        transform = model.transform(train=self.augmented)
        batch_size, workers = settings.batch_size, settings.workers
        samples = Samples(train_set, transform, random=self.augmented, seed=settings.seed)
        self.train_loader = loader(samples, batch_size, shuffle=True, workers=workers)
        self.val_loader = None
        if val_set is not None:
            held_out = Samples(val_set, model.transform(), random=False, seed=settings.seed)
            self.val_loader = loader(held_out, batch_size, shuffle=False, workers=workers)
        if self.val_loader is None:
            stack.refuse_without_validation(hint="Leave val=False (--no-val) out.")
        path = folder.path if folder else None
        self.run_record = Run(model, self._recipe(train_set, val_set), path=path)

    @property
    def recipe(self) -> dict[str, Any]:
        return self.run_record.recipe

    def run(self) -> Run:
        """Train to the end, restore the best weights, write the folder."""
        model, record = self.model, self.run_record
        model.to(self.accelerator.device)
        reference = pretrained_part(model)
        optimizer = _optimizer(model, self.settings)
        self.forward, self.optimizer = self.accelerator.prepare(model, optimizer)
        if self.settings.compile:
            self.forward = torch.compile(self.forward)
        self.names = saved_names(model, lambda: base_of(model)) if self.folder else ()
        scaler = self.accelerator.scaler
        self.stack.attach(model, optimizer=self.optimizer, scaler=scaler, reference=reference)
        self._write()
        best = Snapshot(model)
        lowest, judged, begun = math.inf, False, False
        try:
            for row, verdict in self._epochs():
                record.history.append(row)
                if not begun and self._have_begun():  # an average outranks what came before it
                    lowest, judged, begun = math.inf, False, True
                judged = judged or verdict is Verdict.IMPROVED
                better = row.get("val_loss", -math.inf) < lowest
                if verdict is Verdict.IMPROVED or (better and not judged):
                    lowest = row.get("val_loss", math.inf)
                    with self.stack.evaluating():  # with the averages that were validated
                        best, record.best = Snapshot(model), row
                        self._save_best()
                if self.folder:
                    self.folder.add_metrics(row)
                if verdict is Verdict.STOP:
                    break
            self.stack.detach()
        except KeyboardInterrupt:
            if self.folder and record.best and self.progress:
                said = f"Stopped. The best weights so far are in {self.folder.path}."
                print(said, file=sys.stderr)
            raise
        finally:
            self.stack.release()
            best.restore(model)
            self.accelerator.unwrap_model(self.forward, keep_fp32_wrapper=False)
        late = [called(member) for member in self.stack.members if not member.begun]
        if late and self.progress:
            print(f"{' and '.join(late)} did not begin in this training.", file=sys.stderr)
        model.origin = replace(model.origin, new_head=False, trained=True)
        self.recipe["result"] = dict(record.best)
        self._write()
        return record

    def _have_begun(self) -> bool:
        return all(member.begun for member in self.stack.members)

    def _epochs(self) -> Iterator[tuple[dict[str, Any], Verdict]]:
        """Row and verdict of each epoch."""
        total = self.settings.epochs
        steps = len(self.train_loader) * total
        with Bar("training", total=steps, shown=self.progress) as bar:
            for epoch in range(1, total + 1):
                start = time.perf_counter()
                row: dict[str, Any] = {"epoch": epoch, "loss": self._train(epoch, bar)}
                row |= {f"penalty_{n}": p.item() for n, p in self.stack.penalties().items()}
                verdict = Verdict.CONTINUE
                if self.val_loader is not None:
                    metrics = self._validate()
                    row |= {f"val_{key}": value for key, value in metrics.items()}
                    verdict = self.stack.validation(metrics | {"train_loss": row["loss"]})
                row["seconds"] = round(time.perf_counter() - start, 3)
                bar.line(_epoch_line(row, total))
                yield row, verdict

    def _train(self, epoch: int, bar: Bar) -> float:
        """One pass over the training pictures; the mean loss."""
        order = self.train_loader.batch_sampler
        assert isinstance(order, Order)
        order.epoch = epoch
        self.model.train()
        device = self.accelerator.device
        dtype = next(self.model.parameters()).dtype
        total = torch.zeros((), device=device, dtype=torch.float64)
        for x, y in self.train_loader:
            x, y = x.to(device, dtype, non_blocking=True), y.to(device, non_blocking=True)
            total += self._step(x, y).double() * len(y)
            bar.step()
        mean = total.item() / order.size
        if not math.isfinite(mean):
            raise self._diverged(epoch)
        return mean

    def _diverged(self, epoch: int) -> RecipeError:
        penalties = self.stack.penalties().items()
        strange = [name for name, penalty in penalties if not torch.isfinite(penalty)]
        what = f"The loss (and the penalty of {', '.join(strange)})" if strange else "The loss"
        back = "training diverged, and the last good weights are back"
        return RecipeError(
            f"{what} is no number in epoch {epoch}: {back}.",
            hint=f"Try a smaller lr than {self.settings.rate:g}"
            + (", or a weaker regularizer." if self.stack.members else "."),
        )

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = self.stack.batch(x, y)
        self.optimizer.zero_grad()

        def closure() -> Tensor:
            outputs = self.forward(x)
            loss = self.stack.loss(functional.cross_entropy(outputs, y), outputs, y)
            self.accelerator.backward(loss)
            return loss.detach()

        loss = self.stack.passes(closure)
        if self.accelerator.scaler is not None:
            self.accelerator.unscale_gradients(self.optimizer)
        self.stack.gradients()
        self.optimizer.step()
        self.stack.weights()
        return loss

    def _validate(self) -> dict[str, float]:
        assert self.val_loader is not None
        with self.stack.evaluating():
            scores, targets = scored(self.model, self.val_loader)
        accuracy = (scores.argmax(1) == targets).double().mean().item()
        return {"loss": functional.cross_entropy(scores, targets).item(), "accuracy": accuracy}

    def _save_best(self) -> None:
        if self.folder:
            state = self.model.state_dict()
            metadata = {"base_sha256": self.model.origin.sha256 or ""}
            self.folder.write_best({name: state[name] for name in self.names}, metadata)

    def _write(self) -> None:
        if self.folder:
            complete = len(self.names) == len(self.model.state_dict())
            self.recipe["model"] = model_recipe(self.model, complete)
            self.folder.write_recipe(self.recipe)

    def _recipe(self, train_set: Pictures, val_set: Pictures | None) -> dict[str, Any]:
        settings, freezing = self.settings, self.model._freezing
        return {
            "schema": SCHEMA,
            "model": model_recipe(self.model, complete=False),
            "data": {"count": len(train_set), "val_count": len(val_set) if val_set else 0},
            "train": {
                "freeze_until": freezing.layer if freezing else None,
                "epochs": settings.epochs,
                "batch_size": settings.batch_size,
                "optimizer": settings.optimizer,
                "lr": settings.rate,
                "augment": self.augmented,
                "precision": self.accelerator.mixed_precision,
                "seed": settings.seed,
            },
            "versions": {
                "zoo": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "timm", "accelerate")},
            },
        }


def _accelerator(precision: str) -> Any:
    """An Accelerator of this precision.

    Its state is one per process, so an earlier one of another precision goes.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if precision == "auto":
        precision = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    shared = AcceleratorState._shared_state
    if shared and shared.get("_mixed_precision") != precision:
        AcceleratorState._reset_state()
    return Accelerator(mixed_precision=precision)


def _optimizer(model: ZooModel, settings: Settings) -> torch.optim.Optimizer:
    weights = [p for p in model.parameters() if p.requires_grad]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=settings.rate, momentum=0.9)
    return torch.optim.AdamW(weights, lr=settings.rate, weight_decay=0.0)


def _augmented(augment: bool | str | int, model: ZooModel, pictures: Pictures) -> bool:
    """Whether pictures are augmented: "auto" means when more than the head trains."""
    if is_tensor_item(pictures):
        if augment is True:
            message = "Tensors count as preprocessed and cannot be augmented."
            raise RecipeError(message, hint="Give PIL pictures.")
        return False
    if augment == "auto":
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        return any(owner(model.chain, name) != "head" for name in trained)
    return bool(augment)


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


def _uncached(stack: Stack, cache: bool | str) -> str:
    """Why regularizers forbid a cache of frozen activations; nothing where they do not.

    Raises RecipeError where the cache was insisted on.
    """
    names = [called(member) for member in stack.members if member.changes_pictures]
    if not names:
        return ""
    reason = f"{' and '.join(names)} makes other pictures in each step"
    if cache is True:
        raise RecipeError(
            f"cache=True cannot be: {reason}, so there are no activations to keep.",
            hint="Take manifold-mixup, which mixes the cached activations, or leave cache out.",
        )
    return reason


def _epoch_line(row: Mapping[str, Any], total: int) -> str:
    parts = [f"epoch {row['epoch']:>{len(str(total))}}/{total}", f"loss {row['loss']:.4f}"]
    if "val_loss" in row:
        parts += [f"val loss {row['val_loss']:.4f}", f"val accuracy {row['val_accuracy']:.1%}"]
    return "  ".join([*parts, f"{row['seconds']:.1f} s"])
