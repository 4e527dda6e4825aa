"""A check of keep_until: what is kept computes what the whole network does up to there."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo_core.chain import before
from zoo_core.conformance.cases import expect
from zoo_core.conformance.specimen import CLASSES, Specimen, scores_of
from zoo_core.conformance.stages import boundaries, can_be_composed
from zoo_core.errors import ZooError
from zoo_core.model.boundaries import Pooling
from zoo_core.model.build import Plan, outline
from zoo_core.model.facts import Origin
from zoo_core.model.keep_until import part_of
from zoo_core.model.kept import Kept, cut
from zoo_core.model.kept_parts import POOL
from zoo_core.model.loading import with_weights
from zoo_core.model.zoo_model import ZooModel, as_zoo_model
from zoo_core.types import ModelInfo
from zoo_core.weights.part import KEEP_UNTIL, Part, without_gone


def keeps_what_feeds(specimen: Specimen) -> str:
    """Where a boundary can be pooled, keep_until gives what enters the stage, pooled, bit for bit.

    That of the first such stage, the middle and the last one. The middle one is also built from the
    weights of the whole network, and again from its own; its head trains alone where the rest is
    frozen.
    """
    model = can_be_composed(specimen)
    found = _poolings(specimen, list(model.chain)[1:])
    sure = {name: how for name, how in found.items() if isinstance(how, Pooling)}
    rest = {name: how for name, how in found.items() if name not in sure}
    if sure:
        middle = list(sure)[len(sure) // 2]
        state, kept = model.state_dict(), before(model.chain, middle)
        if any(stage.has(name) for stage in kept for name in state):
            _comes_back(specimen, _part(specimen, middle, found), state)
        _all_give(specimen, {name: sure[name] for name in (next(iter(sure)), middle, [*sure][-1])})
    told = " ".join(sure) or "none"
    return f"{told}; not {' '.join(rest)}: {next(iter(rest.values()))}" if rest else told


def _part(specimen: Specimen, until: str, found: dict[str, Pooling | str]) -> Part:
    size = specimen.input.size[1:]
    return part_of(specimen.architecture, until, specimen.config, size, found)


def _poolings(specimen: Specimen, names: list[str]) -> dict[str, Pooling | str]:
    """How each boundary is pooled, or why not."""
    found: dict[str, Pooling | str] = {}
    if names:
        part = _part(specimen, names[-1], found)
        with contextlib.suppress(ZooError):  # of the last one, which `found` tells as well
            outline(_plan(specimen, part), CLASSES, specimen.input.size[0])
    return found


def _plan(specimen: Specimen, part: Part) -> Plan:
    return Plan(part, specimen.config, torch.device("cpu"), maker=specimen.plan.maker)


def _all_give(specimen: Specimen, sure: Mapping[str, Pooling]) -> None:
    """Each part, cut from the network itself, computes what enters the stage, pooled."""
    model, x = specimen.model, specimen.x
    entering = boundaries(model, x)
    for until, pooling in sure.items():
        kept = cut(copy.deepcopy(model), model.chain, until, pooling, CLASSES, 0.0).eval()
        assert isinstance(kept, Kept)
        with torch.no_grad():
            kept.kept_head = nn.Identity()
            computed = kept(x.clone())
            wanted = getattr(kept, POOL, nn.Identity())(entering[until])
        fault = f'keep_until="{until}" computes something else than what enters "{until}"'
        expect(torch.equal(computed, wanted), f"{fault}: does what is behind change it?")
        lost = [name for name in kept.state_dict() if not _owned(kept, name)]
        expect(not lost, f'keep_until="{until}" leaves {", ".join(lost[:3])}, which no stage has.')


def _owned(kept: Kept, name: str) -> bool:
    return any(stage.has(name) for stage in kept._kept)


def _loaded(specimen: Specimen, part: Part, state: Mapping[str, Tensor]) -> ZooModel:
    """The part with the weights that it shares, as create() builds it."""
    channels = specimen.input.size[0]

    def read(module: nn.Module) -> dict[str, Tensor]:
        return without_gone(part, state)

    built, classes = with_weights(
        _plan(specimen, part),
        read,
        classes=CLASSES,
        in_chans=None,
        own_chans=channels,
        source="the whole network",
        headless=True,
    )
    name, config = specimen.architecture.name, {**specimen.config, KEEP_UNTIL: part.until}
    return as_zoo_model(
        built.module,
        chain=built.chain,
        info=ModelInfo(name, name),
        origin=Origin(name, config, None, None, classes, channels),
        input=specimen.input,
        labels=None,
    )


def _comes_back(specimen: Specimen, part: Part, state: Mapping[str, Tensor]) -> None:
    kept, what = _loaded(specimen, part, state), f'keep_until="{part.until}"'
    kept.reset_head(CLASSES).freeze_until("head")
    head = {name for name, _ in kept.named_parameters() if kept.chain["head"].has(name)}
    learning = {name for name, p in kept.named_parameters() if p.requires_grad}
    expect(learning == head, f"{what}: frozen until the head, more than the head trains.")
    again = _loaded(specimen, part, kept.state_dict())
    equal = torch.equal(scores_of(again, specimen.x), scores_of(kept, specimen.x))
    expect(equal, f"{what} does not come back from its own weights.")
