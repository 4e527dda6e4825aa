"""The rows of an advice: a way each, as plain dicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_core.advice.arms import Arm, Trial
from zoo_core.advice.evidence import HEAD, Evidence
from zoo_core.advice.scores import shares


def rows_of(
    final: Sequence[Trial], dropped: Sequence[Trial], best: Trial | None, seed: int
) -> list[dict[str, Any]]:
    """The best first, then the others that can be compared with it, then those dropped before."""
    last = sorted(final, key=lambda trial: (trial is not best, trial.loss))
    first = sorted(dropped, key=lambda trial: trial.loss)
    return [_row(trial, seed) for trial in (*last, *first)]


def _row(trial: Trial, seed: int) -> dict[str, Any]:
    return {"arm": trial.arm.name, **shares(trial.right, seed), "loss": trial.loss,
            "seconds": trial.seconds, "epochs": trial.epochs, "bytes": trial.bytes}  # fmt: skip


def row_of_untried(arm: Arm, evidence: Evidence, seed: int) -> dict[str, Any]:
    """How the solved head of a way does, from which its training would go on."""
    stage = arm.how.get("keep_until", HEAD)
    own = (judged for judged in evidence.stages if judged.stage == stage)
    judged = next(own, evidence.best)
    return {"arm": arm.name, **shares(judged.right, seed), "loss": judged.loss,
            "seconds": 0.0, "epochs": 0, "bytes": None}  # fmt: skip
