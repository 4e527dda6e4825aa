"""A checkpoint's tensors in the module that a plan builds, also where it is a part of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo_core.errors import ZooError
from zoo_core.model.arguments import check_count
from zoo_core.model.build import Built, Plan
from zoo_core.model.loading import with_weights
from zoo_core.types import ModelInfo
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.part import KEEP_UNTIL, Part, without_gone


def refuse_another_part(
    own: Mapping[str, Any], config: Mapping[str, Any], checkpoint: Checkpoint
) -> None:
    """Raise ZooError for weights of one part of a network where another is asked for."""
    theirs = own.get(KEEP_UNTIL)
    if theirs is not None and config.get(KEEP_UNTIL, theirs) != theirs:
        raise ZooError(
            f'{checkpoint.reference} keeps what feeds "{theirs}" only, with a head on that.',
            hint="keep_until is of a whole network: name the one that it was made of.",
        )


def loaded(
    checkpoint: Checkpoint,
    plan: Plan,
    info: ModelInfo,
    num_classes: int | None,
    in_chans: int | None,
) -> tuple[Built, int]:
    classes = info.num_classes if checkpoint.classes is None else checkpoint.classes
    here = Path(checkpoint.local.removeprefix("file:")) if checkpoint.local else None

    def read(module: nn.Module) -> dict[str, Tensor]:
        tensors = checkpoint.tensors(plan.architecture, module, str(plan.device))
        return without_gone(plan.architecture, tensors)

    return with_weights(
        plan,
        read,
        classes=check_count("num_classes", classes, least=0),
        in_chans=in_chans,
        own_chans=checkpoint.in_chans or checkpoint.input.size[0],
        source=str(here or checkpoint.pinned or checkpoint.path),
        headless=num_classes is not None or isinstance(plan.architecture, Part),
        advice=lambda: _advice(here, info),
    )


def _advice(file: Path | None, info: ModelInfo) -> str:
    from zoo_core.model.convert.advice import how_to_convert

    return how_to_convert(file, info)
