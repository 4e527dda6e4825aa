"""What a person calls the outputs of a model."""

from __future__ import annotations

from zoo_core.errors import DataError
from zoo_core.humanize import some
from zoo_core.model.zoo_model import ZooModel
from zoo_core.terminal.lines import logger

log = logger(__name__)


def call_outputs(model: ZooModel, names: tuple[str, ...]) -> None:
    """Give the outputs of a model these names; others that they have are named as they give way.

    Raises DataError where there are not as many.
    """
    outputs = model.num_outputs
    if len(names) != outputs:
        plural = "s" if len(names) != 1 else ""
        raise DataError(
            f"{len(names):,} name{plural} of classes for the {outputs:,} outputs of "
            f"{model.info.name}.",
            hint="Each output has one name, in their order."
            if outputs
            else "Without a classifier there are no classes.",
        )
    old = model.labels
    if old is not None and old != names:
        log.warning(
            "The outputs of %s had names of their own (%s): they are called %s now.",
            *(model.info.name, some(old), some(names)),
        )
    model.labels = names
