"""keep_until: an architecture -> the part of it that feeds a stage, as an architecture."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import make_chain, unknown_stage
from zoo_core.errors import UnknownName, ZooError
from zoo_core.model.boundaries import Chain, Networks, Pooling, poolings
from zoo_core.model.build import Plan, outline
from zoo_core.model.kept import cut
from zoo_core.model.kept_parts import HEAD
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import Architecture, Stage
from zoo_core.weights.part import Part
from zoo_core.weights.tensors import without_wrappers


def part_of(
    architecture: Architecture,
    until: Any,
    config: Mapping[str, Any],
    size: tuple[int, int],
    found: dict[str, Pooling | str] | None = None,
) -> Part:
    """The architecture of what feeds a stage.

    `config`: its arguments; `size`: of its pictures. `found`: how its boundaries are pooled, which
    is found out once where it is empty.
    """
    if not isinstance(until, str):
        raise ZooError(f"keep_until is the name of a stage, not {until!r:.100}.")
    keeper = _Keeper(architecture, until, config, size, {} if found is None else found)
    facts = {f.name: getattr(architecture, f.name) for f in fields(Architecture)}
    facts |= {"build": keeper.build, "stages": keeper.stages, "adapt": keeper.adapt}
    return Part(**facts | {"features": None}, until=until, whole=keeper.whole, gone=keeper.gone)


def outlines(
    architecture: Architecture,
    config: Mapping[str, Any],
    in_chans: int,
    built: tuple[nn.Module, Chain],
) -> Networks:
    """The network without values, for its own size and, where it has one, for another.

    `built`: what takes its place where it needs values to be built.
    """
    taken = signature(architecture.build).parameters.values()
    sized = any(p.name == "img_size" or p.kind is p.VAR_KEYWORD for p in taken)

    @functools.cache
    def outlined(sides: tuple[int, int] | None) -> tuple[nn.Module, Chain]:
        arguments = {**config, "num_classes": 1, "in_chans": in_chans}
        if sides is not None:
            if not sized:
                raise ZooError("It has no size.")
            arguments["img_size"] = sides[0] if sides[0] == sides[1] else list(sides)
        try:
            with torch.device("meta"):
                other = architecture.build(**arguments)
            return other, make_chain(architecture.stages(other), architecture.name)
        except Exception:
            if sides is not None:
                raise
            return built

    return outlined


@dataclass(frozen=True)
class _Keeper:
    """Builds a network and cuts it.

    `found`: how each boundary is pooled, and `gone`: the tensors that the part has no more, both
    once it was built.
    """

    architecture: Architecture
    until: str
    config: Mapping[str, Any]
    size: tuple[int, int]
    found: dict[str, Pooling | str]
    gone: set[str] = field(default_factory=set)

    def build(self, *, num_classes: int, in_chans: int, **config: Any) -> nn.Module:
        architecture = self.architecture
        module = architecture.build(num_classes=num_classes, in_chans=in_chans, **config)
        chain = make_chain(architecture.stages(module), architecture.name)
        self._refuse_unfit(chain)
        is_new = not self.gone
        if not self.found:
            networks = outlines(architecture, self.config, in_chans, (module, chain))
            self.found.update(poolings(networks, (in_chans, *self.size), list(chain)[1:]))
        before = module.state_dict().keys()
        drop_rate = float(config.get("drop_rate") or 0)
        kept = cut(module, chain, self.until, self._pooling(), num_classes, drop_rate)
        kept._channels = in_chans
        if is_new:
            kept.refuse_what_is_gone(self.until, (in_chans, *self.size))
        self.gone.update(before - kept.state_dict().keys())
        return kept

    def stages(self, module: Any) -> list[Stage]:
        return list(module._kept)

    def adapt(self, tensors: dict[str, Tensor], module: Any) -> dict[str, Tensor]:
        """A file of the whole network, in its layout of today; one of this part as it is."""
        own = {*module.state_dict(), f"{HEAD}.weight", f"{HEAD}.bias"}
        if self.architecture.adapt is None or own.issuperset(without_wrappers(tensors, own)):
            return tensors
        _, whole = self.whole(1, module._channels)
        adapted = self.architecture.adapt(tensors, whole)
        return without_wrappers(adapted, whole.state_dict())

    def whole(self, classes: int, in_chans: int) -> tuple[Architecture, nn.Module]:
        maker = catalogue().maker(self.architecture)
        plan = Plan(self.architecture, self.config, torch.device("cpu"), maker=maker)
        return self.architecture, outline(plan, classes, in_chans).module

    # --- where it is cut ---------------------------------------------------------------------

    def _refuse_unfit(self, chain: Chain) -> None:
        if self.until not in chain:
            error = unknown_stage(chain, self.until)
            raise UnknownName(f"keep_until: {error.message}", hint=error.hint)
        first, *later = chain
        if self.until == first:
            raise ZooError(
                f'Nothing feeds "{first}": keep_until="{first}" would keep nothing.',
                hint=f"Keep until a later stage: {' '.join(later)}.",
            )

    def _pooling(self) -> Pooling:
        pooling = self.found[self.until]
        if isinstance(pooling, Pooling):
            return pooling
        sure = [name for name, how in self.found.items() if isinstance(how, Pooling)]
        raise ZooError(
            f'What enters "{self.until}" cannot be pooled: {pooling}.',
            hint=f"keep_until can be: {' '.join(sure)}." if sure else "No other stage can, either.",
        )
