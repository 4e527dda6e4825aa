"""Those that act on batches, losses and passes."""

from __future__ import annotations

from zoo_core.types import WHEN, WHERE, Option, RegularizerSpec
from zoo_regularizers.specs import lazy

ON_BATCHES = "on pictures and targets"
ON_LOSS = "on the loss"
PROB = "how often a batch is mixed"

SPECS = [
    RegularizerSpec(
        "mixup",
        lazy("mixup", "Mixup"),
        (
            Option("alpha", 0.2, "α in λ ~ Beta(α, α), the share of one of two pictures"),
            Option("prob", 0.5, PROB),
        ),
        value="alpha",
        acts=ON_BATCHES,
        summary="pictures and targets between two of the batch",
        paper="https://arxiv.org/abs/1710.09412",
    ),
    RegularizerSpec(
        "cutmix",
        lazy("cutmix", "CutMix"),
        (
            Option("alpha", 1.0, "α in λ ~ Beta(α, α), the share that the rectangle leaves"),
            Option("prob", 0.5, PROB),
        ),
        value="alpha",
        acts=ON_BATCHES,
        summary="a rectangle from another picture of the batch, targets by its area",
        paper="https://arxiv.org/abs/1905.04899",
    ),
    RegularizerSpec(
        "manifold-mixup",
        lazy("manifold_mixup", "ManifoldMixup"),
        (
            Option("alpha", 2.0, "α in λ ~ Beta(α, α), the share of one of two pictures"),
            Option("prob", 1.0, PROB),
        ),
        value="alpha",
        acts="on activations entering what trains, and targets",
        summary="mixup of the activations at the frozen boundary",
        paper="https://arxiv.org/abs/1806.05236",
    ),
    RegularizerSpec(
        "label-smoothing",
        lazy("label_smoothing", "LabelSmoothing"),
        (Option("share", 0.1, "ε, what the target leaves to all classes alike"), *WHEN),
        value="share",
        acts=ON_LOSS,
        summary="targets leave a little to every class",
        paper="https://arxiv.org/abs/1512.00567",
    ),
    RegularizerSpec(
        "confidence-penalty",
        lazy("confidence_penalty", "ConfidencePenalty"),
        (Option("strength", 0.1, "β in -β·H(p), H the entropy of the scores"), *WHEN),
        value="strength",
        acts=ON_LOSS,
        summary="scores that are too sure of themselves cost",
        paper="https://arxiv.org/abs/1701.06548",
    ),
    RegularizerSpec(
        "r-drop",
        lazy("r_drop", "RDrop"),
        (Option("strength", 1.0, "α in α·½(KL(p₁‖p₂) + KL(p₂‖p₁))"), *WHEN),
        value="strength",
        acts="on two passes at once",
        summary="two passes with different dropout agree",
        paper="https://arxiv.org/abs/2106.14448",
    ),
    RegularizerSpec(
        "sam",
        lazy("sam", "SAM"),
        (
            Option("rho", 0.05, "ρ in e = ρ·g/‖g‖, how far uphill the gradient is taken"),
            Option("adaptive", False, "ASAM: by the size of each weight; ρ is 0.5 to 2 then"),
            *WHERE,
        ),
        value="rho",
        acts="on two passes, one after the other",
        summary="sharpness-aware minimisation: the gradient a little uphill, for flat minima",
        paper="https://arxiv.org/abs/2010.01412",
    ),
]
