"""ZooModel: what create() returns.

The architecture's own module, with its class swapped for a subclass that adds stages, freezing, a
new head, transforms and labels. State-dict keys stay those of the original.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import before, run_stages, stage_rows
from zoo_core.errors import PluginError, ZooError
from zoo_core.transfer.freezing import Freezable
from zoo_core.transfer.swap import swap_class
from zoo_core.types import InputSpec, ModelInfo, Pushed, Stage


@dataclass(frozen=True)
class Origin:
    """What create() needs to build a model again.

    `weights`: the `pretrained` that brings its weights, or None where only this machine has them.
    `trained`: whether anybody trained them. `new_head`: whether the head is random as yet, unlike
    the weights before it.
    """

    reference: str
    config: Mapping[str, Any]
    weights: str | None
    sha256: str | None
    num_classes: int
    in_chans: int
    new_head: bool = False
    trained: bool = False


class ZooModel(Freezable):
    """A vision model as an ordered chain of named stages: the original class, and these methods.

    >>> import zoo_core as zoo
    >>> model = zoo.create("lenet5")
    >>> list(model.chain)
    ['conv1', 'conv2', 'fc1', 'fc2', 'head']
    """

    chain: dict[str, Stage]
    info: ModelInfo
    origin: Origin
    input: InputSpec
    labels: tuple[str, ...] | None

    def forward_until(self, x: Tensor, stage: str) -> Tensor:
        """The tensor that enters `stage`, from pictures of shape (N, C, H, W). Raises UnknownName.

        >>> import torch, zoo_core as zoo
        >>> zoo.create("lenet5").forward_until(torch.zeros(2, 1, 32, 32), "fc1").shape
        torch.Size([2, 16, 5, 5])
        """
        return run_stages(self, before(self.chain, stage), x)

    @property
    def num_outputs(self) -> int:
        """How many numbers the head gives for a picture; 0 when there is no classifier."""
        return next(map(_outputs, _head_layers(self, self.chain).values()), 0)

    def reset_head(self, num_classes: int, labels: Iterable[str] | None = None) -> ZooModel:
        """Put a new, freshly initialised classifier in place of the head.

        `num_classes=0` leaves none, and features come out. Raises ZooError where `labels` are not
        `num_classes` names.
        """
        num_classes = check_count("num_classes", num_classes, least=0)
        if isinstance(labels, str):
            raise ZooError(f"labels must be {num_classes} names, not one text: {labels!r}.")
        names = tuple(labels) if labels is not None else None
        if names is not None and len(names) != num_classes:
            raise ZooError(f"{len(names)} labels do not fit {num_classes} classes.")
        replace_head(self, self.chain, num_classes)
        self.labels = names
        self.origin = replace(self.origin, num_classes=num_classes, new_head=True)
        return self

    def transform(self, train: bool = False) -> Callable[[Any], Tensor]:
        """From a PIL picture to what these weights want to see, (C, H, W).

        `train=True` adds random crops and flips.
        """
        from zoo_core.data.transforms import build_transform

        return build_transform(self.input, train=train)

    def save_pretrained(self, folder: str | Path, *, delta: bool = False) -> Path:
        """Write weights, config.json and a card to a folder, which `zoo.create(Path)` loads.

        `delta=True`: only what differs from the weights it came from. Raises PublishError.
        """
        from zoo_core.publish import save_pretrained

        return save_pretrained(self, folder, delta=delta)

    def push_to_hub(self, repository: str, **how: Any) -> Pushed:
        """Publish this model as `OWNER/NAME`; `how`: the arguments of `zoo.push`."""
        from zoo_core.publish import push

        return push(self, repository, **how)

    def summary(self) -> str:
        """A table of stages: output shape, parameters, trained or frozen.

        >>> import zoo_core as zoo
        >>> print(zoo.create("lenet5").freeze_until("head").summary())
        stage  output   params  trains
        conv1  6x14x14     156  frozen
        conv2  16x5x5    2,416  frozen
        fc1    120      48,120  frozen
        fc2    84       10,164  frozen
        head   10          850  yes
        total           61,706  850
        """
        return render_rows(stage_rows(self))


def render_rows(rows: list[dict[str, Any]]) -> str:
    """Stage rows as aligned text."""
    lines = [("stage", "output", "params", "trains")]
    for row in rows:
        shape = "x".join(str(n) for n in row["output"])
        lines.append((row["stage"], shape, f"{row['params']:,}", _trains(row)))
    total, trained = (sum(row[key] for row in rows) for key in ("params", "trainable"))
    lines.append(("total", "", f"{total:,}", f"{trained:,}"))
    wide = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d}".rstrip() for a, b, c, d in lines
    )


def _trains(row: Mapping[str, Any]) -> str:
    if row["frozen"]:
        return "frozen"
    if not row["params"]:
        return "-"
    return "yes" if row["trainable"] == row["params"] else f"{row['trainable']:,}"


def as_zoo_model(
    module: nn.Module,
    *,
    chain: dict[str, Stage],
    info: ModelInfo,
    origin: Origin,
    input: InputSpec,
    labels: tuple[str, ...] | None,
) -> ZooModel:
    """Swap the module's class and give it its chain, facts, input and labels.

    Raises PluginError on a name clash.
    """
    taken = [n for n in ("chain", "info", "origin", "input", "labels") if hasattr(module, n)]
    if taken:
        raise PluginError(
            f"{type(module).__name__} has attributes that zoo needs: {', '.join(taken)}."
        )
    swap_class(module, ZooModel)
    assert isinstance(module, ZooModel)
    module.chain, module.info, module.origin = chain, info, origin
    module.input, module.labels = input, labels
    return module


def pretrained_part(model: nn.Module) -> dict[str, Tensor]:
    """The weights that somebody trained, by name: all but a new head; none where all are random.

    Of a module that zoo did not create, all: nobody knows better.
    """
    named = {name: parameter.detach() for name, parameter in model.named_parameters()}
    if not isinstance(model, ZooModel):
        return named
    if not model.origin.trained:
        return {}
    head = model.chain["head"]
    return {n: p for n, p in named.items() if not (model.origin.new_head and head.has(n))}


def check_count(what: str, value: Any, *, least: int) -> int:
    """A number of classes or channels as an int, of numpy's and torch's integers too.

    Raises ZooError for what is none.
    """
    try:
        count = None if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError):
        count = None
    if count is None or count < least:
        raise ZooError(f"{what} must be a whole number, {least} or more: {value!r}.")
    return count


# --- the head ------------------------------------------------------------------------------------


class NoHead(nn.Identity):
    """What stands in the place of a classifier that was taken off.

    `make`: from a number of classes to a new classifier of the same kind.
    """

    def __init__(self, make: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.make = make


def _last_layer(module: nn.Module, prefix: str) -> str | None:
    """The path of the last linear layer or convolution under `prefix`, or of its NoHead."""
    below = Stage("below", run=(), owns=(prefix,))
    names = [
        name
        for name, part in module.named_modules()
        if below.has(name) and isinstance(part, nn.Linear | nn.Conv2d | NoHead)
    ]
    return names[-1] if names else None


def _head_layers(model: nn.Module, stages: Mapping[str, Stage]) -> dict[str, nn.Module]:
    """The layers that give class scores: the classifier's, then those beside it: auxiliary heads,
    or the others of a network that adds up the scores of several.

    `owns` of the head lists it before its helpers, and may list members without parameters, and
    parameters that mix the scores of several.
    """
    names = [_last_layer(model, prefix) for prefix in stages["head"].owns]
    return {name: model.get_submodule(name) for name in names if name is not None}


def classifier(model: nn.Module, stages: Mapping[str, Stage]) -> str | None:
    """The path of the layer that gives class scores, or None where the head has no such layer."""
    return next(iter(_head_layers(model, stages)), None)


def scores_of_one_layer(model: nn.Module, stages: Mapping[str, Stage]) -> bool:
    """Whether the scores are what one layer makes of its input, and no function of several such."""
    layers, run = list(_head_layers(model, stages)), stages["head"].run
    if layers and layers[0] in run:
        return all(isinstance(step, str) for step in run[run.index(layers[0]) :])
    return len(layers) < 2


def _outputs(layer: nn.Module) -> int:
    if isinstance(layer, NoHead):
        return 0
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def replace_head(model: nn.Module, stages: Mapping[str, Stage], num_classes: int) -> None:
    """Put new layers in the place of those that give class scores, or NoHead for no classes."""
    layers = list(_head_layers(model, stages).items())
    if not layers:
        raise PluginError(
            f"The head of {type(model).__name__} is no linear layer or convolution to replace."
        )
    for name, old in layers:
        like = next(chain(old.parameters(), model.parameters()), torch.empty(0))
        new = _new_layer(old, num_classes)  # in the default type: one seed gives one head in each
        new.to(device=like.device, dtype=like.dtype).train(old.training)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, new)
    if hasattr(model, "num_classes"):  # the original class's own record, which timm's tools read
        model.num_classes = num_classes  # type: ignore[assignment]


def _new_layer(old: nn.Module, num_classes: int) -> nn.Module:
    make = old.make if isinstance(old, NoHead) else _maker(old)
    return make(num_classes) if num_classes else NoHead(make)


def _maker(old: nn.Module) -> Callable[[int], nn.Module]:
    bias = old.bias is not None
    if isinstance(old, nn.Linear):
        return functools.partial(nn.Linear, old.in_features, bias=bias)
    assert isinstance(old, nn.Conv2d)
    where: Any = {"kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding}
    return functools.partial(nn.Conv2d, old.in_channels, bias=bias, **where)
