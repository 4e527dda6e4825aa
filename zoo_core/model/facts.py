"""What a model knows of itself, and whether its layers are still those that it is known of.

A head is also replaced by other means than `reset_head`: `model.fc = nn.Linear(…)`, timm's
`reset_classifier`, fastai's and PEFT's surgery; and so is a first convolution. So the layers bear a
mark, which copies of them keep, and whoever asks for labels, origin or input gets those of the
layers that are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from zoo_core.chain import make_chain
from zoo_core.model.head import gives_scores, is_quantised, outputs
from zoo_core.model.watch import Watch, channels_of, num_outputs, watch_first, watch_head, way
from zoo_core.terminal.lines import logger
from zoo_core.transfer.freezing import Freezable

if TYPE_CHECKING:
    from zoo_core.types import InputSpec, ModelInfo, Stage

log = logger(__name__)


@dataclass(frozen=True)
class Origin:
    """What create() needs to build a model again.

    `weights`: the `pretrained` that brings its weights, or None where only this machine has them.
    `trained`: whether anybody trained them. `new_head`: whether the head is random as yet, unlike
    the weights before it, but for the classes `kept` of an older one. `replaced`: what else was put
    in the place of layers since, by its path: nobody knows of any training of it.
    """

    reference: str
    config: Mapping[str, Any]
    weights: str | None
    sha256: str | None
    num_classes: int
    in_chans: int
    new_head: bool = False
    kept: tuple[str, ...] = ()
    trained: bool = False
    replaced: tuple[str, ...] = ()


class Facts(Freezable):
    """A model's labels, origin and input, which are those of the layers that it has."""

    chain: dict[str, Stage]
    info: ModelInfo
    _known_head: Watch | None = None
    _known_first: Watch | None = None
    # for torch.jit.script, as in Freezable
    __jit_ignored_attributes__: ClassVar = [
        *("chain", "info", "_known_head", "_known_first"),
        *Freezable.__jit_ignored_attributes__,
    ]
    __jit_unused_properties__: ClassVar = [
        *("labels", "multilabel", "origin", "input"),
        *Freezable.__jit_unused_properties__,
    ]

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes in order, or None where nobody knows them."""
        return self._known_fact("labels")

    @labels.setter
    def labels(self, names: tuple[str, ...] | None) -> None:
        self._say_fact("labels", names)

    @property
    def multilabel(self) -> bool:
        """Whether a picture may have several classes: each score is then a yes or no of its own."""
        return bool(self._known_fact("multilabel"))

    @multilabel.setter
    def multilabel(self, several: bool) -> None:
        self._say_fact("multilabel", several)

    @property
    def origin(self) -> Origin:
        """What create() needs to build the model again."""
        return self._known_fact("origin")

    @origin.setter
    def origin(self, origin: Origin) -> None:
        self._say_fact("origin", origin)

    @property
    def input(self) -> InputSpec:
        """What the weights want to see."""
        return self._known_fact("input")

    @input.setter
    def input(self, spec: InputSpec) -> None:
        self._say_fact("input", spec)

    def _known_fact(self, name: str) -> Any:
        notice(self)
        return vars(self).get(name)

    def _say_fact(self, name: str, value: Any) -> None:
        notice(self)  # what is said now is of the layers that are there now
        vars(self)[name] = value


# --- what was replaced ---------------------------------------------------------------------------


def scores_are_of_a_layer(model: Facts) -> bool:
    """Whether nothing that was put there makes something else of what the last layer gives."""
    notice(model)
    return model._known_head is None or model._known_head.given is None


def notice(model: Facts) -> None:
    """Bring the facts up to date with a head, or a first convolution, that was put there since."""
    head, first = model._known_head, model._known_first
    if first is not None:  # before the head is asked, which wants a picture
        new = _strangers(model, first)
        if new or _channels_at(model, first) != first.count:
            _first_replaced(model, first, new)
    if head is not None:
        new = _strangers(model, head)
        if new or _outputs_at(model, head) != head.count:
            _head_replaced(model, head, new)


def _strangers(model: nn.Module, watch: Watch) -> list[str]:
    """The paths of what stands, since, on the way to the layers or in their place."""
    found = [_stranger(model, path, watch) for path in watch.layers]
    first = [path for path in found[:1] if path is not None]
    others = [p for p in found[1:] if p is not None and _has(model, p)]  # those may be taken off
    return list(dict.fromkeys(first + others))


def _stranger(model: nn.Module, path: str, watch: Watch) -> str | None:
    for place, part in way(model, path, watch):
        if part is None:
            return place if watch.count else None
        if vars(part).get(watch.name) != watch.mark and not _of_quantisation(part):
            return place
    return None


def _has(model: nn.Module, path: str) -> bool:
    parent, _, name = path.rpartition(".")
    return getattr(model.get_submodule(parent), name, None) is not None


def _of_quantisation(module: nn.Module) -> bool:
    """Whether torch made it of the layer that was there."""
    return is_quantised(module) or type(module).__module__.startswith("torch.ao.nn.")


def _last(model: nn.Module, watch: Watch) -> nn.Module | None:
    path = next(iter(watch.layers), None)
    return None if path is None else [part for _, part in way(model, path, watch)][-1]


def _outputs_at(model: nn.Module, watch: Watch) -> int:
    layer = _last(model, watch)
    return outputs(layer) if layer is not None and gives_scores(layer) else 0


def _channels_at(model: nn.Module, watch: Watch) -> int:
    layer = _last(model, watch)
    quantised = layer is not None and _of_quantisation(layer)
    return watch.count if layer is None or quantised else channels_of(layer)


def _head_replaced(model: Facts, old: Watch, new: list[str]) -> None:
    facts, stage = vars(model), model.chain["head"]
    strangers = [model.get_submodule(path) for path in new if _has(model, path)]
    several = any(
        not gives_scores(part) and any(True for _ in part.parameters()) for part in strangers
    )
    watch_head(model, ask=several or old.given is not None)
    assert model._known_head is not None
    if stage.reset is not None and not num_outputs(model):  # more went with it than its layer
        model.chain = make_chain(stage.reset(model, 0), type(model).__name__)
        watch_head(model)
    if facts["labels"]:
        log.info("The head of %s is another: it has no labels", facts["info"].name)
    facts["labels"], facts["multilabel"] = None, False
    _record(model, "num_classes", num_outputs(model))
    beside = tuple(path for path in new if not stage.has(path))
    facts["origin"] = replace(
        facts["origin"],
        num_classes=num_outputs(model),
        new_head=True,
        kept=(),
        replaced=_with(facts["origin"].replaced, beside),
    )


def _first_replaced(model: Facts, old: Watch, new: list[str]) -> None:
    facts = vars(model)
    origin, spec = facts["origin"], facts["input"]
    watch_first(model)
    assert model._known_first is not None
    channels = model._known_first.count
    if channels and old.count == origin.in_chans:  # else it sees something made of the picture
        facts["input"] = spec.with_channels(channels)
        origin = replace(origin, in_chans=channels)
        _record(model, "in_chans", channels)
    facts["origin"] = replace(origin, replaced=_with(origin.replaced, tuple(new)))


def _record(model: nn.Module, name: str, count: int) -> None:
    """Write a number where the original class keeps it, and timm's tools read it."""
    if isinstance(vars(model).get(name), int):
        setattr(model, name, count)


def _with(known: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))
