"""A timm network -> its stages: the line of its class, read; what no stage names is the first's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from zoo_core.errors import PluginError
from zoo_core.types import Stage
from zoo_timm import steps
from zoo_timm.rows import HEADLESS, HEADS, row

_CALL = re.compile(r"@(\w+)(?:\((.*)\))?")


def stages(model: Any) -> list[Stage]:
    """The chain of one of timm's networks.

    A class without a line of its own has features, pool and head, by the methods that all of
    timm's classifiers have. Raises PluginError for a network that does not classify.
    """
    text = row(model)
    listed = list(_read(model, _with_head(model, text))) if text else _by_methods(model)
    chain = _owning_all(model, _joined(model, listed))
    more = getattr(model, "use_mlp_head", False)  # two layers, of which timm takes both away
    if type(model).__name__ in HEADLESS or more:
        chain[-1] = replace(chain[-1], reset=reset)
    return chain


def reset(model: Any, num_classes: int) -> list[Stage]:
    """Another classifier, or none, as the class does it: a norm or a second head goes with it."""
    head = model.head
    twin = {"distillation": True} if getattr(head, "distillation", False) else {}
    model.reset_classifier(num_classes, **twin)
    return stages(model)


def _with_head(model: Any, text: str) -> str:
    if re.search(r"\| head(:|$)", text):
        return text
    head_class = type(model.head)
    key = (head_class.__module__.rpartition(".")[2], head_class.__name__)
    if key in HEADS:
        return f"{text} | {HEADS[key]}"
    last = _classifier(model)
    parent = last.rpartition(".")[0]
    beside = [f"{parent}.{n}" for n in _names(model.get_submodule(parent))]
    used = ",".join(name for name in beside if name != last)
    return f"{text} | pool: @pre_logits({used}) | head: {last}"


# --- a line --------------------------------------------------------------------------------------


def _read(model: Any, text: str) -> Iterator[Stage]:
    for group in text.split("|"):
        name, colon, words = group.strip().rpartition(": ")
        if words.endswith("*"):
            yield from _members(model, words[:-1])
            continue
        run: list[Any] = []
        owns: list[str] = []
        for word in words.split():
            call = _CALL.fullmatch(word)
            if call:
                run.append(getattr(steps, call[1]))
                owns += [path for path in (call[2] or "").split(",") if path]
            elif _get(model, word) is not None:
                run.append(word)
                owns.append(word)
        yield Stage(name if colon else words.split()[0].rpartition(".")[2], tuple(run), tuple(owns))


def _members(model: Any, path: str) -> Iterator[Stage]:
    """A stage for each member of a plain list of modules; one for any other container."""
    container = model.get_submodule(path)
    one = path.removesuffix("s")
    if type(container) not in (nn.Sequential, nn.ModuleList):
        yield Stage(one, run=(path,))
        return
    for place, name in enumerate(container._modules, start=1):
        yield Stage(f"{one}{place}", run=(f"{path}.{name}",))


def _get(model: Any, path: str) -> Any:
    parent, _, name = path.rpartition(".")
    return getattr(model.get_submodule(parent), name)


# --- without a line ------------------------------------------------------------------------------


def _by_methods(model: Any) -> list[Stage]:
    last = _classifier(model)
    parent = last.rpartition(".")[0]
    beside = [f"{parent}.{name}" for name in _names(model.get_submodule(parent))] if parent else []
    return [
        Stage("features", run=(steps.features,)),
        Stage("pool", run=(steps.pre_logits,), owns=tuple(n for n in beside if n != last)),
        Stage("head", run=(last,)),
    ]


def _classifier(model: Any) -> str:
    """The path of the one layer that gives the scores."""
    layer = model.get_classifier() if hasattr(model, "get_classifier") else None
    paths = [name for name, module in model.named_modules() if module is layer]
    if not paths or not isinstance(layer, nn.Linear | nn.Conv2d):
        raise PluginError(
            f"{type(model).__name__} of timm has no single layer that gives the scores, so zoo "
            "knows no stages for it."
        )
    return paths[0]


# --- what belongs to whom ------------------------------------------------------------------------


def _names(module: nn.Module) -> list[str]:
    """Members, parameters and buffers of a module itself."""
    own = [*module._modules, *module._parameters, *module._buffers]
    return [name for name in own if getattr(module, name) is not None]


def _joined(model: Any, stages: Iterable[Stage]) -> list[Stage]:
    """Stages that have something; the steps of others join the stage before."""
    listed: list[Stage] = []
    tensors = [*model.state_dict(), *(name for name, _ in model.named_buffers())]
    for stage in stages:
        kept = listed and stage.name not in ("pool", "head")
        if kept and not any(stage.has(name) for name in tensors):
            before = listed[-1]
            run, owns = before.run + stage.run, before.owns + stage.owns
            listed[-1] = replace(before, run=run, owns=owns)
        else:
            listed.append(stage)
    return listed


def _owning_all(model: Any, listed: list[Stage]) -> list[Stage]:
    """What no stage names belongs to the first: position embeddings, class tokens."""
    named = Stage("named", run=(), owns=tuple(path for stage in listed for path in stage.owns))
    rest = tuple(_unnamed(model, "", named))
    return [replace(listed[0], owns=(*listed[0].owns, *rest)), *listed[1:]]


def _unnamed(module: nn.Module, path: str, named: Stage) -> Iterator[str]:
    """The highest paths that no stage names, nor anything below them."""
    for name in _names(module):
        full = f"{path}{name}"
        if named.has(full):
            continue
        if any(owned.startswith(f"{full}.") for owned in named.owns):
            yield from _unnamed(module.get_submodule(name), f"{full}.", named)
        else:
            yield full
