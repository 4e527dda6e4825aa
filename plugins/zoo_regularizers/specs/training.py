"""Those that act on the course of training: averages of weights, and when to stop."""

from __future__ import annotations

from zoo_core.types import Option, RegularizerSpec
from zoo_regularizers.specs import lazy

SPECS = [
    RegularizerSpec(
        "ema",
        lazy("ema", "EMA"),
        (
            Option("decay", 0.999, "d in m ← d·m + (1-d)·w at each step"),
            Option("warmup", True, "begin with a smaller d: (1+t)/(10+t) at step t"),
        ),
        value="decay",
        acts="after each step, on a copy",
        summary="an exponential moving average of the weights is what stays",
        paper="https://doi.org/10.1137/0330046",
        aliases=("moving-average", "model-ema", "averaging"),
    ),
    RegularizerSpec(
        "swa",
        lazy("swa", "SWA"),
        (
            Option("start", 5, "validations before the averaging begins"),
            Option("every", 0, "average every so many steps instead of at each validation"),
        ),
        value="start",
        acts="at each validation, on a copy",
        summary="stochastic weight averaging: the mean of the late weights is what stays",
        paper="https://arxiv.org/abs/1803.05407",
    ),
    RegularizerSpec(
        "early-stopping",
        lazy("early_stopping", "EarlyStopping"),
        (
            Option("patience", 5, "validations without improvement before it stops"),
            Option(
                "min_delta", 1e-4, "share of the best value by which a better one must be lower"
            ),
            Option("monitor", "loss", "the metric to watch: loss (log-loss) or accuracy"),
            Option("restore", True, "go back to the best weights at the end"),
            Option("rule", "patience", "patience, or Prechelt's gl, pq or up"),
            Option("alpha", 0.0, "what stops: gl: percent (0: 5); pq: a quotient (0: 0.75)"),
            Option("strip", 5, "pq, up: validations in a strip"),
            Option("every", 0, "steps between two validations that count; 0: all count"),
            Option("seconds", 0.0, "seconds between two validations that count; 0: all count"),
        ),
        value="patience",
        acts="after each validation",
        summary="stop when the validation no longer improves, and go back to the best weights",
        paper="https://doi.org/10.1007/3-540-49430-8_3",
        aliases=("early-stop", "patience"),
    ),
]
