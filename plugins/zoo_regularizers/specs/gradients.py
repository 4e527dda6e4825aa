"""Those that act on gradients, whatever they come from."""

from __future__ import annotations

from zoo_core.types import WHERE, Option, RegularizerSpec
from zoo_regularizers.specs import lazy

ON_GRADIENTS = "on gradients"

SPECS = [
    RegularizerSpec(
        "gradient-clip",
        lazy("gradient_clip", "GradientClip"),
        (
            Option("norm", 1.0, "the largest norm that all gradients together may have"),
            Option("value", 0.0, "the largest size of each single number instead; 0: by norm"),
            *WHERE,
        ),
        value="norm",
        acts=ON_GRADIENTS,
        summary="no step is larger than a bound",
        paper="https://arxiv.org/abs/1211.5063",
        aliases=("clip", "clipping", "grad-clip", "clip-grad", "clip-grad-norm", "max-grad-norm"),
    ),
    RegularizerSpec(
        "agc",
        lazy("agc", "AGC"),
        (
            Option("clip", 0.01, "how large a unit's gradient may be, as a share of its weights"),
            Option("eps", 1e-3, "the least norm of weights to measure by, for weights near zero"),
            *WHERE,
        ),
        value="clip",
        acts=ON_GRADIENTS,
        summary="adaptive gradient clipping: no unit moves by more than a share of itself",
        paper="https://arxiv.org/abs/2102.06171",
    ),
    RegularizerSpec(
        "gradient-noise",
        lazy("gradient_noise", "GradientNoise"),
        (
            Option("eta", 0.01, "η in the variance η/(1+t)^γ at step t"),
            Option("gamma", 0.55, "how fast it fades"),
            Option("seed", 0, "of the noise, the same in every process"),
            *WHERE,
        ),
        value="eta",
        acts=ON_GRADIENTS,
        summary="Gaussian noise that fades over the steps",
        paper="https://arxiv.org/abs/1511.06807",
    ),
]
