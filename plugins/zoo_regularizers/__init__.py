"""The regularizers that come with zoo, one file each."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Option, RegularizerSpec

if TYPE_CHECKING:
    from zoo_core.regularize import Regularizer


@hookimpl
def zoo_regularizers() -> list[RegularizerSpec]:
    return [
        RegularizerSpec(
            "early-stopping",
            _lazy("early_stopping", "EarlyStopping"),
            (
                Option("patience", 5, "validations without improvement before it stops"),
                Option(
                    "min_delta", 1e-4, "share of the best value by which a better one must be lower"
                ),
                Option("monitor", "loss", "the metric to watch: loss (log-loss) or accuracy"),
                Option("restore", True, "go back to the best weights at the end"),
            ),
            value="patience",
            acts="after each validation",
            summary="stop when the validation no longer improves, and go back to the best weights",
            paper="https://doi.org/10.1007/3-540-49430-8_3",
        ),
        RegularizerSpec(
            "l2",
            _lazy("l2", "L2"),
            (Option("strength", 1e-4, "λ in λΣw²; equals weight_decay=2λ of plain SGD"),),
            value="strength",
            acts="on gradients",
            summary="keep weights small",
            paper="https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html",
        ),
        RegularizerSpec(
            "l2-sp",
            _lazy("l2_sp", "L2SP"),
            (
                Option("strength", 0.01, "α in α/2 Σ(w-w₀)², on weights that were pretrained"),
                Option("new", 0.01, "β in β/2 Σw², on weights that are new: the head"),
            ),
            value="strength",
            acts="on gradients",
            summary="keep weights near the pretrained ones",
            paper="https://arxiv.org/abs/1802.01483",
        ),
    ]


def _lazy(file: str, name: str) -> Callable[..., Regularizer]:
    """A factory that imports the class, and torch with it, when it is first used."""

    def make(**options: Any) -> Regularizer:
        return getattr(import_module(f"zoo_regularizers.{file}"), name)(**options)

    return make
