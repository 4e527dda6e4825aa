"""Those that act on activations."""

from __future__ import annotations

from zoo_core.types import WHEN, WHERE, Option, RegularizerSpec
from zoo_regularizers.specs import lazy

ENTERING = "on activations entering a stage"
LEAVING = "on activations leaving a stage"

SPECS = [
    RegularizerSpec(
        "dropout",
        lazy("dropout", "Dropout"),
        (
            Option("p", 0.2, "the share of activations that is dropped"),
            Option("form", "inverted", "inverted, or classic: scaled in testing, not in training"),
            *WHERE,
            *WHEN,
        ),
        value="p",
        acts=ENTERING,
        summary="leave out activations at random, by default those that enter the head",
        paper="https://jmlr.org/papers/v15/srivastava14a.html",
    ),
    RegularizerSpec(
        "dropblock",
        lazy("dropblock", "DropBlock"),
        (
            Option("p", 0.1, "the share of each feature map that is dropped"),
            Option("block", 7, "the side of the dropped squares"),
            *WHERE,
            *WHEN,
        ),
        value="p",
        acts=LEAVING,
        summary="leave out squares of feature maps at random",
        paper="https://arxiv.org/abs/1810.12890",
    ),
    RegularizerSpec(
        "stochastic-depth",
        lazy("stochastic_depth", "StochasticDepth"),
        (
            Option("p", 0.1, "how often the last block is skipped; the first never is"),
            *WHERE,
            *WHEN,
        ),
        value="p",
        acts="on activations in residual blocks",
        summary="skip residual blocks at random, the deeper the more often",
        paper="https://arxiv.org/abs/1603.09382",
        aliases=("drop-path", "droppath"),
    ),
    RegularizerSpec(
        "feature-delta",
        lazy("feature_delta", "FeatureDelta"),
        (
            Option("strength", 0.01, "α in αΣ‖FM-FM₀‖²/(C·H·W) over the stages' feature maps FM"),
            *WHERE,
            *WHEN,
        ),
        value="strength",
        acts=LEAVING,
        summary="DELTA: keep feature maps near those of the model at the start",
        paper="https://arxiv.org/abs/1901.09229",
    ),
    RegularizerSpec(
        "bss",
        lazy("bss", "BSS"),
        (
            Option("eta", 0.001, "η in ηΣσ² over the smallest singular values σ of a batch"),
            Option("k", 1, "how many singular values shrink"),
            *WHEN,
        ),
        value="eta",
        acts="on activations entering the head",
        summary="batch spectral shrinkage: shrink the features that transfer the least",
        paper="https://proceedings.neurips.cc/paper/2019/hash/c6bff625bdb0393992c9d4db0c6bbe45-Abstract.html",
    ),
]
