"""A model as an ordered chain of named stages: composing them all is the forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from zoo_core.errors import PluginError, UnknownName, did_you_mean
from zoo_core.types import Stage

if TYPE_CHECKING:
    from torch import Tensor, nn


def make_chain(stages: Iterable[Stage], architecture: str) -> dict[str, Stage]:
    """The stages by name, in order.

    Raises PluginError when names repeat or the last one is not `head`.
    """
    listed = list(stages)
    chain = {stage.name: stage for stage in listed}
    if len(chain) != len(listed) or not listed or listed[-1].name != "head":
        names = ", ".join(stage.name for stage in listed)
        rule = 'must have different names and end with "head"'
        raise PluginError(f'The stages of "{architecture}" {rule}: {names}.')
    return chain


def chain_of(model: Any) -> Mapping[str, Stage]:
    """The declared chain of a model of zoo; none for another module, whatever it calls `chain`."""
    chain = getattr(model, "chain", None)
    if isinstance(chain, dict) and all(isinstance(stage, Stage) for stage in chain.values()):
        return chain
    return {}


def run_stages(model: nn.Module, stages: Iterable[Stage], x: Tensor) -> Tensor:
    """Put `x` through some stages in order; the result is the boundary after the last of them."""
    for stage in stages:
        for step in stage.run:
            x = model.get_submodule(step)(x) if isinstance(step, str) else step(model, x)
    return x


def before(chain: Mapping[str, Stage], name: str) -> list[Stage]:
    """The stages before `name`. Raises UnknownName with the stages in order."""
    names = list(chain)
    if name not in chain:
        raise unknown_stage(chain, name)
    return [chain[other] for other in names[: names.index(name)]]


def behind_pool(chain: Mapping[str, Stage]) -> Stage:
    """All that comes after the stage `pool`, as one stage; nothing where there is none."""
    names = list(chain)
    last = names[names.index("pool") + 1 :] if "pool" in chain else []
    return Stage("behind", run=(), owns=tuple(path for name in last for path in chain[name].owns))


def unknown_stage(chain: Mapping[str, Stage], name: str) -> UnknownName:
    """The error for a stage that is not there."""
    message = f'No stage "{name}". {did_you_mean(name, chain)}'.strip()
    return UnknownName(message, hint=f"In order: {' '.join(chain)}.")


def owner(chain: Mapping[str, Stage], name: str) -> str | None:
    """The name of the stage that owns a parameter, buffer or module, or None."""
    return next((stage.name for stage in chain.values() if stage.has(name)), None)


def reach(stage: Stage) -> Stage:
    """A stage that has also the modules that it runs but does not own, such as dropout."""
    ran = [step for step in stage.run if isinstance(step, str)]
    return Stage(stage.name, run=stage.run, owns=(*stage.owns, *ran))
