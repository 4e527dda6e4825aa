"""predict(): what a model sees in pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.data.decoding import Files
from zoo_core.data.faint import faint_in
from zoo_core.errors import DataError
from zoo_core.inference.inputs import Picture, inputs
from zoo_core.inference.matching import (
    as_model,
    no_numbers,
    place_of,
    refuse_features,
    refuse_wrong_size,
)
from zoo_core.inference.predictions import SHOWN, Prediction, Predictions
from zoo_core.inference.reading import name_of, reading
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.progress import Bar
from zoo_core.transfer.eval_twin import in_eval_mode


@dataclass(frozen=True)
class Answers:
    """What a model says of pictures. `given`: the pictures, as far as they were a list. `faults`:
    why others could not be read, a line each."""

    predictions: Predictions
    given: list[Picture]
    faults: list[str]


def predict(
    model: ZooModel | Run | str | Path,
    pictures: Any,
    *,
    top: int = 5,
    batch_size: int = 32,
    unreadable: str = "stop",
    bits: int | None = None,
    progress: bool = True,
) -> list[Prediction]:
    """The likeliest classes of pictures.

    `model`: a model, a run, the path of a run, or a name (its default weights). `pictures`: a path
    of a file, or of a folder, with all pictures below it in the order of their names; a PIL
    picture; an array or a tensor of bytes, or an array of floats from 0 to 1, (H, W), (H, W, C),
    (C, H, W) or (N, ...) of such, or the path of a .npy file with one; a preprocessed float tensor
    (C, H, W) or (N, C, H, W); or an iterable of those. `top`: how many classes to name; those
    without names are numbers. `batch_size`: pictures at once. `unreadable`: `"stop"`, or `"skip"`
    to leave such files out, which are named on stderr. `bits`: how many are used of pixels that
    have more than 8, where a file does not say it, as `?bits=12` of a spec. `progress`: a bar on
    stderr, where it is known how many there are.

    The model is not changed, and any number of threads may ask one. It answers as in eval mode; one
    that is in train mode costs a little more each time.

    Raises DataError for a file that cannot be read, and names it, and for what is no picture.

    >>> from PIL import Image
    >>> import zoo_core as zoo
    >>> [prediction] = zoo.predict("lenet5", Image.new("L", (28, 28)), top=2)
    >>> len(prediction["top"])
    2
    """
    return answers(
        model, pictures, top=top, batch_size=batch_size, unreadable=unreadable, bits=bits,
        progress=progress,
    ).predictions  # fmt: skip


def answers(
    model: ZooModel | Run | str | Path,
    pictures: Any,
    *,
    top: int,
    batch_size: int = 32,
    unreadable: str = "stop",
    bits: int | None = None,
    progress: bool = True,
) -> Answers:
    """What `predict` gives, with the pictures and with what could not be read."""
    _check(top, batch_size, unreadable)
    if bits is not None and (not isinstance(bits, int) or not 8 <= bits <= 32):
        raise DataError(f"bits must be a whole number from 8 to 32: {bits!r}.")
    network = in_eval_mode(as_model(model))
    refuse_features(network)
    notes: list[str] = []
    chosen: Iterable[Picture] = inputs(pictures, notes)
    if not isinstance(pictures, Iterator):
        chosen = list(chosen)
        notes += _faint(chosen, bits)
    total = len(chosen) if isinstance(chosen, list) else 0
    predictions: list[Prediction] = []
    faults: list[str] = []
    with Bar("predicting", total=total, shown=progress, unit="pictures") as bar:
        skipped = faults if unreadable == "skip" else None
        with reading(chosen, network, batch_size, skipped, bits) as batches:
            for names, x in batches:
                predictions += _answers(network, names, x, top)
                bar.step(count=len(names))
        for note in notes:
            bar.line(note)
        if faults:
            bar.step(count=len(faults))
            bar.line(f"Skipped {len(faults)} that cannot be read:")
            for fault in faults:
                bar.line(f"  {fault}")
    if faults and not predictions:
        raise DataError(f"None of the {len(faults)} pictures can be read.", hint=faults[0])
    given = chosen if isinstance(chosen, list) else []
    return Answers(Predictions(predictions, _seen(given)), given, faults)


def _seen(given: list[Picture]) -> dict[str, Picture]:
    """The first pictures, by the names that their predictions have."""
    return {name_of(picture, index): picture for index, picture in enumerate(given[: 2 * SHOWN])}


def _faint(chosen: list[Picture], bits: int | None) -> list[str]:
    """A line on files of 16 bits that are nearly black, since their values have 12."""
    files = Files([picture for picture in chosen if isinstance(picture, Path)], bits)
    return faint_in(files, range(len(files.paths)), "bits=12 (--bits 12)")


def _check(top: int, batch_size: int, unreadable: str) -> None:
    for name, value in (("top", top), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise DataError(f"{name} must be a whole number, 1 or more: {value!r}.")
    if unreadable not in ("stop", "skip"):
        raise DataError(f'unreadable must be "stop" or "skip": {unreadable!r}.')


def _answers(model: ZooModel, names: list[str], x: Tensor, top: int) -> Iterator[Prediction]:
    try:
        with torch.inference_mode():
            scores = model(x.to(*place_of(model))).float()
    except (RuntimeError, AssertionError, ValueError):
        refuse_wrong_size(model, x[0])
        raise
    if bool(scores.isnan().any()):
        raise no_numbers(model)
    classes = model.labels or [str(i) for i in range(scores.shape[1])]
    several = model.multilabel
    best = (scores.sigmoid() if several else scores.softmax(1)).topk(
        len(classes) if several else min(top, len(classes)), dim=1
    )
    for name, values, numbers in zip(
        names, best.values.tolist(), best.indices.tolist(), strict=True
    ):
        ranked = [(classes[i], value) for i, value in zip(numbers, values, strict=True)]
        label, probability = ranked[0]
        answer: Prediction = {
            "picture": name, "label": label, "probability": probability, "top": ranked[:top]
        }  # fmt: skip
        if several:
            answer["labels"] = [name for name, value in ranked if value > 0.5]
        yield answer
