"""What a report shows of a training that has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.chain import owner
from zoo_core.data.pictures import Pictures
from zoo_core.model.summary import stage_rows
from zoo_core.model.zoo_model import ZooModel
from zoo_core.runs.recipe import BEST
from zoo_core.training.state import TrainingState
from zoo_core.training.task import Task

Row = Mapping[str, Any]
MEASURED = ("seconds_validation", "pictures_per_second", "peak_memory", "checkpoint_bytes")


@dataclass(frozen=True)
class Findings:
    """What a report shows besides the recipe and the epochs of a run.

    `scores`: (N, C), float32 on the CPU, of the validation pictures under the best weights; None
    without validation. `targets`: class numbers (N,), or 0 and 1 as floats (N, C) where a picture
    can have several classes. `pictures`: the same N in the same order. `names`: of the C classes.
    `stages`: rows of `stage_rows`. `drift`: by stage, how far its weights moved, |w - w0| / |w0|;
    0 where frozen, absent where new. `cost`: seconds, seconds_caching, seconds_validation,
    pictures_per_second, peak_memory (bytes), device, cache (facts by name, or why there was none),
    trained_params and checkpoint_bytes; any may be absent. `model`: with the best weights, to ask
    where it looked; None: nobody is asked.
    """

    scores: Tensor | None = None
    targets: Tensor | None = None
    pictures: Pictures | None = None
    names: Sequence[str] = ()
    stages: Sequence[Row] = ()
    drift: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    model: ZooModel | None = None


def findings_of(
    task: Task,
    state: TrainingState,
    scores: Tensor | None,
    cost: Mapping[str, Any],
    *,
    new_head: bool,
) -> Findings:
    """What a report shows of a training that has ended.

    `scores` (N, C): of its validation pictures. `cost`: as of `cost_of`. `new_head`: whether the
    head was new when it began.
    """
    model, pictures = task.model, task.val_set
    numbers = [str(i) for i in range(model.num_outputs)]
    return Findings(
        scores=scores,
        targets=pictures.target_tensor() if pictures is not None else None,
        pictures=pictures,
        names=list(model.labels or numbers),
        stages=stage_rows(model),
        drift=drift(model, state.start.tensors, new_head=new_head),
        cost=cost,
        model=model,
    )


@torch.no_grad()
def drift(
    model: ZooModel, start: Mapping[str, Tensor], *, new_head: bool = False
) -> dict[str, float]:
    """How far each stage has moved: ‖w - w₀‖ / ‖w₀‖ over its parameters; 0 where frozen.

    `start`: what could move, by name, as it was. A new head is left out: it came from nowhere.
    """
    moved: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in model.chain}
    for name, parameter in model.named_parameters():
        stage = owner(model.chain, name)
        if stage is not None:
            before = start.get(name, parameter.detach())
            moved[stage].append((parameter.detach(), before.to(parameter.device)))
    distances = {stage: _relative(pairs) for stage, pairs in moved.items() if pairs}
    if new_head:
        distances.pop("head", None)
    return distances


def _relative(pairs: list[tuple[Tensor, Tensor]]) -> float:
    change = sum((w.double() - w0.double()).square().sum() for w, w0 in pairs)
    size = sum(w0.double().square().sum() for _, w0 in pairs)
    return float((change / size).sqrt()) if size else 0.0


def _caches(caches: Mapping[int, Any]) -> dict[str, Any]:
    """What became of the cache; of each phase by its number, where there are several."""
    if len(caches) == 1:
        return {"cache": next(iter(caches.values()))}
    return {f"cache_of_phase_{number}": cache for number, cache in sorted(caches.items())}


def cost_of(task: Task, state: TrainingState, path: Path | None) -> dict[str, Any]:
    """Time, memory and space of a training; `path`: of its run folder. What nobody measured, as of
    a training without an epoch, is not there.
    """
    best = path / BEST if path else None
    cost = {
        "seconds": round(state.seconds, 3),
        "seconds_caching": round(state.caching, 3),
        "seconds_validation": round(state.validating, 3),
        "pictures_per_second": _most(state.history, "pictures_per_second"),
        "peak_memory": _most(state.history, "memory"),
        "device": str(task.processes.device),
        "processes": task.processes.world,
        **_caches(state.caches),
        "trained_params": sum(
            p.numel() for n, p in task.model.named_parameters() if n in state.start.tensors
        ),
        "checkpoint_bytes": best.stat().st_size if best and best.exists() else 0,
    }
    return {name: value for name, value in cost.items() if value or name not in MEASURED}


def _most(history: Sequence[Row], name: str) -> float:
    return max((row.get(name, 0) for row in history), default=0)
