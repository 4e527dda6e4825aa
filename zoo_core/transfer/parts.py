"""The parts of a network as a notebook shows them: what each is, its parameters, what trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from torch import nn
from torch.nn.parameter import is_lazy

from zoo_core.chain import chain_of
from zoo_core.pages.fragment import Grid, Meter
from zoo_core.types import Stage

MOST = 60  # rows; who has more children than that has them in a list


@dataclass(frozen=True)
class Part:
    """A stage, or a child of a module without stages, and how many of its parameters train."""

    name: str
    what: str
    params: int
    trainable: int

    @property
    def trains(self) -> str:
        if not self.params:
            return "–"
        if not self.trainable:
            return "frozen"
        return "trains" if self.trainable == self.params else f"{self.trainable:,} train"


def parts_of(model: nn.Module) -> list[Part]:
    """The stages of a model in order, or the children of another module."""
    stages = list(chain_of(model).values()) or _children(model)
    counts = {stage.name: [0, 0] for stage in stages}
    for name, parameter in model.named_parameters():
        own = next((stage for stage in stages if stage.has(name)), None)
        if own is not None and not is_lazy(parameter):
            counts[own.name][0] += parameter.numel()
            counts[own.name][1] += parameter.numel() * parameter.requires_grad
    return [Part(stage.name, described(model, stage), *counts[stage.name]) for stage in stages]


def _children(model: nn.Module) -> list[Stage]:
    """Each child as a stage, and each parameter that is no child's."""
    names = [name for name, _ in model.named_children()]
    own = [name for name, _ in model.named_parameters(recurse=False)]
    return [Stage(name, run=(name,)) for name in (*own, *names)]


def described(model: nn.Module, stage: Stage) -> str:
    """The layers of a stage, in a few words.

    >>> block = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.ReLU())
    >>> described(nn.ModuleDict({"a": block, "b": nn.Linear(6, 2)}), Stage("one", run=("a", "b")))
    'Conv2d 1→6, 2 × ReLU, Linear 6→2'
    """
    ran = [step for step in stage.run if isinstance(step, str)]
    paths = dict.fromkeys((*ran, *(path for path in stage.owns if not _within(path, ran))))
    words = [word for path in paths for word in _words(_at(model, path))]
    counted = [(word, len(list(same))) for word, same in groupby(words)]
    return ", ".join(word if count == 1 else f"{count} × {word}" for word, count in counted)


def _within(path: str, others: list[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") for other in others)


def _at(model: nn.Module, path: str) -> object:
    value: object = model
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _words(part: object) -> Iterator[str]:
    """A word for a layer; for a list of layers one for each."""
    if isinstance(part, nn.Sequential | nn.ModuleList):
        for inner in part:
            yield from _words(inner)
    elif isinstance(part, nn.Linear):
        yield f"{type(part).__name__} {part.in_features}→{part.out_features}"
    elif isinstance(part, nn.Conv2d):
        yield f"{type(part).__name__} {part.in_channels}→{part.out_channels}"
    elif isinstance(part, nn.Module) and not isinstance(part, nn.Identity):
        yield type(part).__name__
    elif isinstance(part, nn.Parameter):
        yield "parameter"


def as_grid(parts: list[Part], kind: str) -> Grid:
    """The parts as rows, with a bar each: as long as its share of the parameters, full if it
    trains. `kind`: what a part is called.
    """
    most = max((part.params for part in parts), default=0) or 1
    rows: list[list[str | Meter]] = [
        [part.name, part.what, f"{part.params:,}",
         Meter(part.params / most, part.trainable / (part.params or 1), part.trains)]
        for part in parts[:MOST]
    ]  # fmt: skip
    if len(parts) > MOST:
        rows.append([f"… and {len(parts) - MOST:,} more", "", "", ""])
    return Grid((kind, "layers", "parameters", "trains"), rows, ("parameters",))


def how_much_trains(parts: list[Part]) -> str:
    """All parameters, and how many of them train.

    >>> how_much_trains([Part("conv1", "", 150, 0), Part("head", "", 850, 850)])
    '1,000 parameters, of which 850 train (85.0%)'
    """
    total, trains = (sum(getattr(part, key) for part in parts) for key in ("params", "trainable"))
    if trains == total:
        return f"{total:,} parameters, all of which train" if total else "0 parameters"
    if not trains:
        return f"{total:,} parameters, none of which trains"
    return f"{total:,} parameters, of which {trains:,} train ({trains / total:.1%})"
