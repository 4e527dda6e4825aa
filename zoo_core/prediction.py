"""predict(): what a model sees in pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

import torch
from PIL import Image
from torch import Tensor

from zoo_core.data import read_picture
from zoo_core.errors import DataError
from zoo_core.evaluation import as_model
from zoo_core.model import ZooModel
from zoo_core.modes import evaluating
from zoo_core.runs import Run

BATCH = 32


class Prediction(TypedDict):
    """What a model says of one picture.

    `picture`: its path, or its place in the list. `label`, `probability`: the first of `top`, whose
    items are (name, probability).
    """

    picture: str
    label: str
    probability: float
    top: list[tuple[str, float]]


def predict(model: ZooModel | Run | str | Path, pictures: Any, *, top: int = 5) -> list[Prediction]:
    """The likeliest classes of pictures.

    `model`: a model, a run, the path of a run, or a name (its default weights). `pictures`: paths,
    PIL pictures, or preprocessed tensors (C, H, W); one or many. Classes without names are numbers.
    Raises DataError for a picture that cannot be read, and names it.

    >>> from PIL import Image
    >>> import zoo_core as zoo
    >>> [prediction] = zoo.predict("lenet5", Image.new("L", (28, 28)), top=2)
    >>> len(prediction["top"])
    2
    """
    found = as_model(model)
    if top < 1:
        raise DataError(f"top must be 1 or more: {top}.")
    listed = [pictures] if _is_one(pictures) else list(pictures)
    starts = range(0, len(listed), BATCH)
    return [each for start in starts for each in _batch(found, listed, start, top)]


def _is_one(pictures: Any) -> bool:
    if isinstance(pictures, Tensor):
        return pictures.ndim == 3
    return isinstance(pictures, str | Path | Image.Image)


def _batch(model: ZooModel, pictures: list[Any], start: int, top: int) -> Iterable[Prediction]:
    chosen = pictures[start : start + BATCH]
    transform = model.transform()
    first = next(model.parameters())
    x = torch.stack([_prepared(picture, transform) for picture in chosen])
    with evaluating(model), torch.inference_mode():
        probabilities = model(x.to(first.device, first.dtype)).float().softmax(1)
    best = probabilities.topk(min(top, probabilities.shape[1]), dim=1)
    names = model.labels or [str(i) for i in range(probabilities.shape[1])]
    ranks = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    for i, (values, classes) in enumerate(ranks):
        ranked = [(names[c], value) for c, value in zip(classes, values, strict=True)]
        where = str(chosen[i]) if isinstance(chosen[i], str | Path) else str(start + i)
        yield {"picture": where, "label": ranked[0][0], "probability": ranked[0][1], "top": ranked}


def _prepared(picture: Any, transform: Any) -> Tensor:
    if isinstance(picture, Tensor):
        return picture
    return transform(picture if isinstance(picture, Image.Image) else read_picture(Path(picture)))
