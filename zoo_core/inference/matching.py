"""Data for a model: the same classes in the same order, and pictures of its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError, WeightsError
from zoo_core.humanize import some
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.terminal.lines import logger
from zoo_core.transfer.eval_twin import in_eval_mode
from zoo_core.transfer.wrappers import unwrapped

log = logger(__name__)


def as_model(model: ZooModel | Run | nn.Module | str | Path) -> ZooModel:
    """The model itself, that of a run, or the one behind a path or a name, with its weights.

    What torch has wrapped is taken out of its wrappers. Raises DataError for anything else.
    """
    from zoo_core.model.create import create
    from zoo_core.weights.pretrained import brings_weights

    if isinstance(model, str | Path):
        return create(model, pretrained=None if brings_weights(model) else True)
    inner: Any = model.model if isinstance(model, Run) else model
    inner = unwrapped(inner) if isinstance(inner, nn.Module) else inner
    if isinstance(inner, ZooModel):
        return inner
    raise DataError(
        f"A {type(inner).__name__} is no model of zoo, nor the name or the run of one.",
        hint="Give what zoo.create or zoo.finetune made, a run's folder, or a name.",
    )


def refuse_features(model: ZooModel) -> None:
    """Raise DataError for a model that has no classes to name."""
    if not model.num_outputs:
        raise DataError("The model has no classifier: it gives features, not classes.")


def no_numbers(model: ZooModel) -> WeightsError:
    """The error for scores that are no numbers."""
    return WeightsError(
        f"{model.info.name} gives scores that are no numbers.",
        hint="Its weights are damaged, or too large for its type: train or fetch them again.",
    )


def place_of(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and type of what a model takes; a quantised one may have no parameters."""
    first = next(model.parameters(), torch.empty(0, device="cpu", dtype=torch.float32))
    return first.device, first.dtype


def matched(pictures: Pictures, labels: tuple[str, ...] | None, outputs: int) -> Pictures:
    """The pictures with the model's class numbers.

    Classes match by name where both sides have names, else they stay as they are.
    """
    if pictures.classes is not None and labels is not None and pictures.classes != labels:
        unknown = [name for name in pictures.classes if name not in labels]
        if unknown:
            raise DataError(
                f'{pictures.name} has a class "{unknown[0]}" that the model does not know.',
                hint=f"It knows: {', '.join(labels[:5])}{', …' if len(labels) > 5 else ''}.",
            )
        return pictures.renamed(labels)
    unknown_yet = pictures.multilabel or pictures.streamed
    numbers = [pictures.num_classes - 1] if unknown_yet else pictures.targets
    strange = [number for number in (min(numbers), max(numbers)) if not 0 <= number < outputs]
    if strange:
        has = f"has class number {strange[0]}"
        raise DataError(f"{pictures.name} {has}; the model has {outputs} classes.")
    return pictures


def are_numbers(labels: tuple[str, ...]) -> bool:
    """Whether classes are called after their numbers, so that those without names match them.

    >>> are_numbers(("0", "1", "2")), are_numbers(("1", "2", "3"))
    (True, False)
    """
    return labels == tuple(map(str, range(len(labels))))


def say_unlike(pictures: Pictures, model: ZooModel) -> None:
    """A warning where only one side has names for its classes, so that numbers have to do, or only
    one has several classes for a picture."""
    say_other_kind(pictures, model)
    sides = (("the model", model.labels), (pictures.name, pictures.classes))
    (named, names), (other, none) = sides if model.labels else sides[::-1]
    if names and not none and not are_numbers(names):
        log.warning("%s has no names for its classes, and %s has (%s): they match by number.",
                    other[0].upper() + other[1:], named, some(names))  # fmt: skip


def say_other_kind(pictures: Pictures, model: ZooModel) -> None:
    """A warning where a model was trained for several classes in a picture, and the data has one,
    or the other way round: its probabilities mean something else then."""
    trained = model.origin.trained and not model.origin.new_head
    if trained and model.multilabel != pictures.multilabel:
        kinds = ("one class for each picture", "several classes in a picture")
        log.warning(
            "The model was trained for %s, and %s has %s.",
            *(kinds[model.multilabel], pictures.name, kinds[pictures.multilabel]),
        )


def refuse_wrong_size(model: ZooModel, x: Any) -> None:
    """Raise DataError where `x` is a tensor of one picture that the model cannot take.

    Pictures of another kind are made to fit by the model's own transform.

    >>> import torch, zoo_core as zoo
    >>> refuse_wrong_size(zoo.create("lenet5"), torch.zeros(1, 32, 32))
    """
    if not isinstance(x, Tensor) or tuple(x.shape) == model.input.size:
        return
    fits = x.ndim == 3 and len(x) == model.input.size[0]
    cause = None
    if fits:
        try:
            with torch.inference_mode():
                in_eval_mode(model)(x[None].to(*place_of(model)))
            return
        except (RuntimeError, AssertionError, ValueError) as error:
            cause = error
    shape, wanted = _written(tuple(x.shape)), _written(model.input.size)
    raise DataError(
        f"Tensors of {shape} do not go through {model.info.name}, which is made for {wanted}.",
        hint="Give PIL pictures, which zoo makes fit, or what model.transform() makes.",
    ) from cause


def _written(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
