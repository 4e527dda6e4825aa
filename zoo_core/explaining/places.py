"""Which boundary of a network is looked at: the last that has places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from zoo_core.chain import before, unknown_stage
from zoo_core.errors import ZooError
from zoo_core.humanize import some
from zoo_core.model.boundaries import Pooling
from zoo_core.model.pooled import poolings_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.types import Stage


def boundaries(model: ZooModel, stage: str | None) -> Iterator[tuple[str, Pooling]]:
    """Stages before which there are places, the last first; or the one that is asked for.

    Raises ZooError where there is none, UnknownName for a stage that is not there.
    """
    found = poolings_of(model)
    usable = {name: how for name, how in found.items() if isinstance(how, Pooling) and how.axes}
    if stage is None:
        if not usable:
            raise nowhere(model)
        yield from reversed(usable.items())
        return
    if stage not in model.chain:
        raise unknown_stage(model.chain, stage)
    if stage not in usable:
        raise ZooError(
            f'What enters "{stage}" has no places: {_why(model, found, stage)}.',
            hint=f"Those of {some(list(usable))} have." if usable else "",
        )
    yield stage, usable[stage]


def nowhere(model: ZooModel) -> ZooError:
    """The error for a network that keeps no places that its head hears of."""
    return ZooError(
        f"{model.info.name} has no map between its stages, so there is nowhere to look.",
        hint='"zoo stages NAME" shows what is between them.',
    )


def unheard(model: ZooModel, looked_at: Sequence[str]) -> ZooError:
    """The error for places that the head does not hear of; boundaries before them may do."""
    others = [name for name, _ in boundaries(model, None) if name not in looked_at]
    if not others:
        return nowhere(model)
    return ZooError(
        f'The head hears nothing of the places of what enters "{looked_at[-1]}".',
        hint=f"Ask for what comes before: {some(others)}.",
    )


def _why(model: ZooModel, found: Mapping[str, Pooling | str], stage: str) -> str:
    how = found.get(stage)
    if how is None:
        return "it is the picture itself"
    return how if isinstance(how, str) else "it is one row of numbers"


def grid_of(entering: Tensor, how: Pooling, picture: Tensor) -> tuple[int, int] | None:
    """Rows and columns of the places, which tokens have as the picture has; None where unsure.

    >>> import torch
    >>> grid_of(torch.empty(1, 9, 5), Pooling((1,), 5, skip=1), torch.empty(1, 3, 32, 64))
    (2, 4)
    """
    if len(how.axes) == 2:
        height, width = (entering.shape[axis] for axis in how.axes)
        return height, width
    if len(how.axes) != 1:
        return None
    count, (height, width) = entering.shape[how.axes[0]] - how.skip, picture.shape[-2:]
    rows = round((count * height / width) ** 0.5)
    return (rows, count // rows) if rows and rows * (count // rows) == count else None


def stages_around(model: ZooModel, stage: str) -> tuple[list[Stage], list[Stage]]:
    """The stages before a boundary, and those from it on."""
    first = before(model.chain, stage)
    return first, list(model.chain.values())[len(first) :]
