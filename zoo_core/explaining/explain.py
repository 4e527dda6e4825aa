"""explain(): where in a picture a network looks for a class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zoo_core.chain import run_stages
from zoo_core.errors import DataError, ZooError
from zoo_core.explaining.classes import number_of
from zoo_core.explaining.explanation import Explanation
from zoo_core.explaining.grad_cam import at_places, heat, slopes
from zoo_core.explaining.places import boundaries, grid_of, stages_around, unheard
from zoo_core.inference.inputs import inputs
from zoo_core.inference.matching import (
    as_model,
    no_numbers,
    place_of,
    refuse_features,
    refuse_wrong_size,
)
from zoo_core.inference.reading import reading
from zoo_core.model.boundaries import Pooling
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.eval_twin import in_eval_mode
from zoo_core.types import InputSpec

NOISE = "zoo knows of no training of this network: without one, what it looks at is noise."
NEW_HEAD = "zoo knows of no training of its new head: without one, what it looks at is noise."
NOWHERE = "No place speaks for this class more than against it."


def explain(
    model: ZooModel | Run | str | Path,
    picture: Any,
    *,
    label: str | int | None = None,
    stage: str | None = None,
) -> Explanation:
    """Show where in a picture a network looks for a class: Grad-CAM, at a map of its chain.

    `model`, `picture`: as of `zoo.predict`, one picture. `label`: a class by name or number, or by
    one of the names between its commas, in any case; None: the likeliest. `stage`: what enters it
    is looked at; None: the last map, or where there is none the last tokens that have a say.

    The time is that of a forward pass and of a backward pass through what comes after. The model is
    not changed: frozen, half-precision and training ones answer as in eval mode.

    Raises DataError for a picture that cannot be read and for an unknown class, UnknownName for an
    unknown stage, ZooError for a network without places between its stages, or for a model that was
    made in inference mode.

    Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391.

    >>> from PIL import Image
    >>> import zoo_core as zoo
    >>> found = zoo.explain("lenet5", Image.new("L", (28, 28)), label="3")
    >>> found.map.shape, found.label, found.stage
    (torch.Size([5, 5]), '3', 'fc1')
    """
    given = list(inputs(picture))
    if len(given) != 1:
        raise DataError(f"explain looks at one picture, not {len(given)}.")
    [found] = explanations(model, given, label=label, stage=stage)
    return found


def explanations(
    model: Any,
    pictures: Any,
    *,
    label: str | int | None = None,
    stage: str | None = None,
    faults: list[str] | None = None,
) -> Iterator[Explanation]:
    """The same for each of some pictures, in order, as they come.

    What cannot be read is added to `faults` and left out; without `faults` it is raised.
    """
    with torch.inference_mode(False):
        network = in_eval_mode(as_model(model))
        _refuse(network)
        index = None if label is None else number_of(network, label)
        places = list(boundaries(network, stage))
    with reading(pictures, network, 1, faults) as batches:
        for names, x in batches:
            with torch.inference_mode(False):  # not around the yield: the caller's mode is theirs
                found = _explained(network, names[0], x.clone(), index, places)
            yield found


def _refuse(network: ZooModel) -> None:
    """Raise a ZooError for a model without classes, and for one that has no slopes."""
    refuse_features(network)
    if any(tensor.is_inference() for tensor in (*network.parameters(), *network.buffers())):
        raise ZooError(
            "The model was made in torch.inference_mode(), so that no slope goes through it.",
            hint="Create it outside of that; explain may be called inside.",
        )


def _explained(
    network: ZooModel, name: str, x: Tensor, index: int | None, places: list[tuple[str, Pooling]]
) -> Explanation:
    notes = []
    if not network.origin.trained:
        notes.append(NOISE)
    elif network.origin.new_head:
        notes.append(NEW_HEAD)
    try:
        found, stage, scores, chosen = _looked(network, x.to(*place_of(network)), index, places)
    except (RuntimeError, AssertionError, ValueError):
        refuse_wrong_size(network, x[0])
        raise
    if not bool(scores.isfinite().all()):
        raise no_numbers(network)
    if not bool(found.any()):
        notes.append(NOWHERE)
    probability = scores.sigmoid() if network.multilabel else scores.softmax(0)
    label = network.labels[chosen] if network.labels else str(chosen)
    return Explanation(
        found, label, chosen, float(probability[chosen]), stage, name,
        _seen(x[0], network.input), notes,
    )  # fmt: skip


def _looked(
    network: ZooModel, x: Tensor, index: int | None, places: list[tuple[str, Pooling]]
) -> tuple[Tensor, str, Tensor, int]:
    """The map, at the last boundary whose places move the score: tokens need not, where a class
    token has drawn all that it takes from them before."""
    last: tuple[Tensor, str, Tensor, int] | None = None
    spoken_for = False  # by a class token or the like, which alone reaches the head
    for name, how in places:
        first, after = stages_around(network, name)
        with torch.no_grad():
            entering = run_stages(network, first, x)
        slope, scores, chosen = slopes(network, after, entering, index)
        grid, is_map = grid_of(entering, how, x), len(how.axes) == 2
        if grid is None or (grid == (1, 1) and (not is_map or len(places) > 1)):
            continue
        found = heat(entering, slope, how, grid).cpu(), name, scores.cpu(), chosen
        if is_map or bool(at_places(slope, how).any()):
            return found
        last = last or found
        spoken_for = spoken_for or bool(slope.any())
    if last is None or spoken_for:
        raise unheard(network, [name for name, _ in places])
    return last


def _seen(x: Tensor, spec: InputSpec) -> Image.Image:
    """What the network saw, as a picture again."""
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (spec.mean, spec.std))
    pixels = ((x.float() * std + mean).clamp(0, 1) * 255).round().byte()
    array = pixels[:3].permute(1, 2, 0).numpy() if len(pixels) >= 3 else pixels[0].numpy()
    return Image.fromarray(array)
