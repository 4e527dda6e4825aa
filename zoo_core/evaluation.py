"""evaluate(): how well a model does on pictures whose classes are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.batches import Samples, loader
from zoo_core.data import Pictures, open_data
from zoo_core.errors import DataError
from zoo_core.model import ZooModel
from zoo_core.modes import evaluating
from zoo_core.progress import Bar
from zoo_core.runs import Run


class Metrics(TypedDict):
    """How well a model does on data.

    `accuracy`: in [0, 1]. `loss`: mean log-loss in nats. `count`: pictures. `per_class`: accuracy
    by class name.
    """

    accuracy: float
    loss: float
    count: int
    per_class: dict[str, float]


def evaluate(
    model: ZooModel | Run | str | Path,
    data: Any,
    *,
    batch_size: int = 64,
    workers: int | str = "auto",
    progress: bool = True,
) -> Metrics:
    """Accuracy and log-loss of a model on data.

    `model`: a model, a run, the path of a run, or a name (its default weights). `data`: a spec
    (`digits#test`, `folder:PATH`), a Dataset or a DataLoader. Classes are matched by name where
    both sides have names. Raises DataError where the data has classes that the model does not
    know.

    >>> import zoo_core as zoo
    >>> zoo.evaluate("lenet5", "mnist5k#test", progress=False)["accuracy"] > 0.98
    True
    """
    found = as_model(model)
    pictures = matched(open_data(data), found.labels, found.num_outputs)
    samples = Samples(pictures, found.transform(), random=False, seed=0)
    batches = loader(samples, batch_size, shuffle=False, workers=workers)
    with Bar("evaluating", total=len(samples), shown=progress) as bar:
        scores, targets = scored(found, batches, bar.step)
    right = scores.argmax(1) == targets
    names = found.labels or [str(i) for i in range(found.num_outputs)]
    present = targets.unique().tolist()
    return {
        "accuracy": right.double().mean().item(),
        "loss": functional.cross_entropy(scores, targets).item(),
        "count": len(targets),
        "per_class": {names[i]: right[targets == i].double().mean().item() for i in present},
    }


def as_model(model: ZooModel | Run | str | Path) -> ZooModel:
    """The model itself, that of a run, or the one behind a path or a name, with its weights."""
    from zoo_core.building import brings_weights, create

    if isinstance(model, Run):
        return model.model
    if isinstance(model, str | Path):
        return create(model, pretrained=None if brings_weights(model) else True)
    return model


def matched(pictures: Pictures, labels: tuple[str, ...] | None, outputs: int) -> Pictures:
    """The pictures with the model's class numbers.

    Classes match by name where both sides have names, else they stay as they are.
    """
    if pictures.classes is not None and labels is not None and pictures.classes != labels:
        unknown = [name for name in pictures.classes if name not in labels]
        if unknown:
            raise DataError(
                f'{pictures.name} has a class "{unknown[0]}" that the model does not know.',
                hint=f"It knows: {', '.join(labels[:5])}{', …' if len(labels) > 5 else ''}.",
            )
        return pictures.renamed(labels)
    if max(pictures.targets) >= outputs or min(pictures.targets) < 0:
        worst = min(pictures.targets) if min(pictures.targets) < 0 else max(pictures.targets)
        has = f"has class number {worst}"
        raise DataError(f"{pictures.name} {has}; the model has {outputs} classes.")
    return pictures


def scored(
    model: nn.Module, batches: Iterable[Any], step: Callable[..., None] | None = None
) -> tuple[Tensor, Tensor]:
    """All scores (N, classes) as float32 and all targets (N,), on the model's device."""
    device = next(model.parameters()).device
    dtype = next(model.parameters()).dtype
    scores, targets = [], []
    with evaluating(model), torch.inference_mode():
        for x, y in batches:
            scores.append(model(x.to(device, dtype, non_blocking=True)).float())
            targets.append(y.to(device))
            if step is not None:
                step(count=len(y))
    return torch.cat(scores), torch.cat(targets)
