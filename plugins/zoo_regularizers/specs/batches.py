"""Those that act on batches, on the loss, and on the passes through the model."""

from __future__ import annotations

from zoo_core.types import WHEN, WHERE, Option, RegularizerSpec
from zoo_regularizers.specs import lazy

ON_LOSS = "on the loss"
ON_PICTURES = "on pictures and targets"
OFTEN = Option("prob", 0.5, "how often a step is mixed, from 0 to 1")

SPECS = [
    RegularizerSpec(
        "label-smoothing",
        lazy("label_smoothing", "LabelSmoothing"),
        (Option("share", 0.1, "ε in (1-ε)·t + ε/C, the share of all C classes alike"), *WHEN),
        value="share",
        acts=ON_LOSS,
        summary="no target is quite certain: all classes get a small share of it",
        paper="https://arxiv.org/abs/1512.00567",
        aliases=("smoothing",),
    ),
    RegularizerSpec(
        "confidence-penalty",
        lazy("confidence_penalty", "ConfidencePenalty"),
        (Option("beta", 0.1, "β in loss - β·H(p), H the entropy of the predictions"), *WHEN),
        value="beta",
        acts=ON_LOSS,
        summary="predictions that are too sure cost something",
        paper="https://arxiv.org/abs/1701.06548",
    ),
    RegularizerSpec(
        "mixup",
        lazy("mixup", "Mixup"),
        (Option("alpha", 0.2, "α in λ ~ Beta(α, α), the share of the one picture"), OFTEN, *WHEN),
        value="alpha",
        acts=ON_PICTURES,
        summary="pictures between two pictures, and targets alike",
        paper="https://arxiv.org/abs/1710.09412",
    ),
    RegularizerSpec(
        "cutmix",
        lazy("cutmix", "CutMix"),
        (
            Option("alpha", 1.0, "α in λ ~ Beta(α, α), the share of a picture that stays"),
            OFTEN,
            *WHEN,
        ),
        value="alpha",
        acts=ON_PICTURES,
        summary="a rectangle of each picture comes from another one, and targets by its area",
        paper="https://arxiv.org/abs/1905.04899",
    ),
    RegularizerSpec(
        "manifold-mixup",
        lazy("manifold_mixup", "ManifoldMixup"),
        (
            Option("alpha", 2.0, "α in λ ~ Beta(α, α), the share of the one picture"),
            Option("prob", 1.0, "how often a step is mixed, from 0 to 1"),
            *WHEN,
        ),
        value="alpha",
        acts="on activations entering what trains, and targets",
        summary="mixup of the activations that enter the first stage that trains",
        paper="https://arxiv.org/abs/1806.05236",
    ),
    RegularizerSpec(
        "r-drop",
        lazy("r_drop", "RDrop"),
        (Option("alpha", 1.0, "α in α·½(KL(p₁‖p₂) + KL(p₂‖p₁)) of two passes"), *WHEN),
        value="alpha",
        acts="on batches, twice as large, and the loss",
        summary="two passes with other dropout should say the same",
        paper="https://arxiv.org/abs/2106.14448",
    ),
    RegularizerSpec(
        "sam",
        lazy("sam", "SAM"),
        (
            Option("rho", 0.05, "ρ in e = ρ·g/‖g‖: how far uphill the second pass is"),
            Option("adaptive", False, "ASAM: e = ρ·w²g/‖|w|g‖, with ρ of 0.5 to 2"),
            *WHERE,
            *WHEN,
        ),
        value="rho",
        acts="instead of the plain pass: two of them",
        summary="the gradient at the worst place nearby, for a flat minimum",
        paper="https://arxiv.org/abs/2010.01412",
    ),
]
