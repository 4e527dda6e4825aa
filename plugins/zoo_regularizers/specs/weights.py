"""Those that act on weights: penalties, by their gradient or by a proximal step, and bounds."""

from __future__ import annotations

from zoo_core.types import WHEN, WHERE, Option, RegularizerSpec
from zoo_regularizers.specs import lazy

BY_GRADIENT = "on gradients"
AFTER_STEP = "after each step, on weights"

SPECS = [
    RegularizerSpec(
        "l1",
        lazy("l1", "L1"),
        (Option("strength", 1e-5, "λ in λΣ|w|"), *WHERE, *WHEN),
        value="strength",
        acts=AFTER_STEP,
        summary="the lasso: many weights become exactly zero",
        paper="https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",
        aliases=("lasso",),
    ),
    RegularizerSpec(
        "l2",
        lazy("l2", "L2"),
        (
            Option("strength", 1e-4, "λ in λΣw²; equals weight_decay=2λ of plain SGD"),
            *WHERE,
            *WHEN,
        ),
        value="strength",
        acts=BY_GRADIENT,
        summary="keep weights small",
        paper="https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html",
        aliases=("weight-decay", "wd", "decay", "ridge"),
    ),
    RegularizerSpec(
        "elastic-net",
        lazy("elastic_net", "ElasticNet"),
        (
            Option("l1", 1e-5, "λ₁ in λ₁Σ|w| + λ₂Σw²"),
            Option("l2", 1e-4, "λ₂"),
            *WHERE,
            *WHEN,
        ),
        acts=AFTER_STEP,
        summary="lasso and small weights together",
        paper="https://doi.org/10.1111/j.1467-9868.2005.00503.x",
    ),
    RegularizerSpec(
        "group-lasso",
        lazy("group_lasso", "GroupLasso"),
        (
            Option("strength", 1e-4, "λ in λΣ√d·‖w_g‖ over rows: filters, or units, of d weights"),
            *WHERE,
            *WHEN,
        ),
        value="strength",
        acts=AFTER_STEP,
        summary="whole filters and units become exactly zero",
        paper="https://doi.org/10.1111/j.1467-9868.2005.00532.x",
    ),
    RegularizerSpec(
        "l2-sp",
        lazy("l2_sp", "L2SP"),
        (
            Option("strength", 0.01, "α in α/2 Σ(w-w₀)², on weights that were pretrained"),
            Option("new", 0.01, "β in β/2 Σw², on weights that are new: the head"),
            *WHERE,
            *WHEN,
        ),
        value="strength",
        acts=BY_GRADIENT,
        summary="keep weights near the pretrained ones",
        paper="https://arxiv.org/abs/1802.01483",
    ),
    RegularizerSpec(
        "max-norm",
        lazy("max_norm", "MaxNorm"),
        (Option("bound", 3.0, "the largest norm of a row: a filter, or a unit"), *WHERE),
        value="bound",
        acts=AFTER_STEP,
        summary="no filter or unit has weights of more than a norm",
        paper="https://arxiv.org/abs/1207.0580",
    ),
    RegularizerSpec(
        "orthogonal",
        lazy("orthogonal", "Orthogonal"),
        (
            Option("strength", 1e-4, "λ in λΣ‖WWᵀ-I‖², on the smaller side of each matrix W"),
            *WHERE,
            *WHEN,
        ),
        value="strength",
        acts=BY_GRADIENT,
        summary="keep filters and units of a layer orthogonal",
        paper="https://arxiv.org/abs/1810.09102",
    ),
]
