"""ZooModel: what create() returns. The architecture's own module, with its class swapped for a
subclass that adds stages, freezing, a new head, transforms and labels. State-dict keys stay those
of the original."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import before, run_stages, stage_rows
from zoo_core.errors import PluginError, ZooError
from zoo_core.transfer import Freezable, evaluating, swap_class
from zoo_core.types import InputSpec, ModelInfo, Stage


@dataclass(frozen=True)
class Origin:
    """What create() needs to build a model again. `weights`: the `pretrained` that brings its
    weights, or None.

    `new_head`: whether the head is random as yet, unlike the weights before it.
    """

    reference: str
    config: Mapping[str, Any]
    weights: str | None
    sha256: str | None
    num_classes: int
    in_chans: int
    new_head: bool = False


class ZooModel(Freezable):
    """A vision model as an ordered chain of named stages; see the methods that it adds to the
    original class.

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
        layers = _head_layers(self)
        return _outputs(next(iter(layers.values()))) if layers else 0

    def reset_head(self, num_classes: int, labels: Iterable[str] | None = None) -> ZooModel:
        """Put a new, freshly initialised classifier in place of the head; 0 leaves none, and
        features come out.

        Raises ZooError where `labels` are not `num_classes` names.
        """
        names = tuple(labels) if labels is not None else None
        check_count("num_classes", num_classes, least=0)
        if names is not None and len(names) != num_classes:
            raise ZooError(f"{len(names)} labels do not fit {num_classes} classes.")
        _replace_head(self, num_classes)
        self.labels = names
        self.origin = replace(self.origin, num_classes=num_classes, new_head=True)
        if hasattr(self, "num_classes"):  # the original class's own record, which timm's tools read
            self.num_classes = num_classes
        return self

    def transform(self, train: bool = False) -> Callable[[Any], Tensor]:
        """From a PIL picture to what these weights want to see, (C, H, W); `train=True` adds
        random crops and flips.
        """
        from zoo_core.preprocessing import build_transform

        return build_transform(self.input, train=train)

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
        return render_rows(stage_table(self))


def stage_table(model: ZooModel) -> list[dict[str, Any]]:
    """The rows of `summary()`: stage, output (shape without the batch), params, trainable, frozen."""
    return stage_rows(model)


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
    """Swap the module's class and give it its chain, facts, input and labels. Raises PluginError
    on a name clash.
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


def check_count(what: str, value: Any, *, least: int) -> None:
    """Refuse a number of classes or channels that is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ZooError(f"{what} must be a whole number, {least} or more: {value!r}.")


# --- the head ------------------------------------------------------------------------------------


def _head_layers(model: ZooModel) -> dict[str, nn.Module]:
    """The layers that give class scores: the classifier's first, then those of auxiliary heads;
    none without a classifier.

    `owns` of the head lists the classifier before its helpers, and in each the last linear layer
    or convolution counts."""
    found = {}
    for prefix in model.chain["head"].owns:
        last = _last_layer(model, prefix)
        if last is not None:
            found[last] = model.get_submodule(last)
    classifier = _last_layer(model, model.chain["head"].owns[0])
    return found if classifier is not None else {}


def _last_layer(model: ZooModel, prefix: str) -> str | None:
    part = model.get_submodule(prefix)
    names = [
        name for name, module in part.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    return f"{prefix}.{names[-1]}".rstrip(".") if names else None


def _outputs(layer: nn.Module) -> int:
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def _replace_head(model: ZooModel, num_classes: int) -> None:
    layers = _head_layers(model) or _identity_head(model)
    if num_classes == 0:
        layers = dict(
            [next(iter(layers.items()))]
        )  # auxiliary heads keep their layers, and get new ones with a new head
    for name, old in layers.items():
        parent, _, last = name.rpartition(".")
        new = _new_layer(old, num_classes)
        new.train(old.training)
        setattr(model.get_submodule(parent), last, new)


def _new_layer(old: nn.Module, num_classes: int) -> nn.Module:
    if num_classes == 0:
        return nn.Identity()
    like = old.weight
    bias = old.bias is not None
    where: dict[str, Any] = {"device": like.device, "dtype": like.dtype}
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, num_classes, bias, **where)
    assert isinstance(old, nn.Conv2d)
    return nn.Conv2d(
        old.in_channels, num_classes, old.kernel_size, old.stride, old.padding, bias=bias, **where
    )  # type: ignore[arg-type]


def _identity_head(model: ZooModel) -> dict[str, nn.Module]:
    """For a classifier that was taken off: a linear layer of the width that reaches it, and
    auxiliary heads' layers.
    """
    head = model.chain["head"]
    first = next(model.parameters())
    x = torch.zeros(1, *model.input.size, device=first.device, dtype=first.dtype)
    with evaluating(model), torch.no_grad():
        width = run_stages(model, model.chain.values(), x).shape[1]
    layers: dict[str, nn.Module] = {
        head.owns[0]: nn.Linear(width, 1, device=first.device, dtype=first.dtype)
    }
    for prefix in head.owns[1:]:
        last = _last_layer(model, prefix)
        if last is not None:
            layers[last] = model.get_submodule(last)
    return layers
