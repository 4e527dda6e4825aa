"""A check of keep_until: what is kept computes what the whole network does up to there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages
from zoo_core.conformance.cases import expect
from zoo_core.conformance.specimen import CLASSES, Specimen, scores_of
from zoo_core.conformance.stages import boundaries, can_be_composed
from zoo_core.errors import PluginError, UnknownName, ZooError
from zoo_core.model.boundaries import Pooling
from zoo_core.model.build import Plan
from zoo_core.model.facts import Origin
from zoo_core.model.keep_until import part_of
from zoo_core.model.loading import with_weights
from zoo_core.model.zoo_model import ZooModel, as_zoo_model
from zoo_core.types import ModelInfo
from zoo_core.weights.part import KEEP_UNTIL, Part, without_gone


def keeps_what_feeds(specimen: Specimen) -> str:
    """For each stage whose boundary can be pooled, keep_until gives what enters it, pooled.

    Bit for bit, from the weights of the whole network, and again from its own; the head trains
    alone where the rest is frozen.
    """
    model, x = can_be_composed(specimen), specimen.x
    entering, state = boundaries(model, x), model.state_dict()
    found: dict[str, Pooling | str] = {}
    names = list(model.chain)[1:]
    for until in names:
        size = specimen.input.size[1:]
        part = part_of(specimen.architecture, until, specimen.config, size, found)
        try:
            kept = _loaded(specimen, part, state)
        except (PluginError, UnknownName):
            raise
        except ZooError as error:
            if isinstance(found.get(until), Pooling):
                raise AssertionError(error.message) from error
            continue
        _gives(kept, until, entering[until], x)
        _comes_back(specimen, part, kept, until)
    sure = [name for name in names if isinstance(found.get(name), Pooling)]
    rest = [name for name in names if name not in sure]
    told = " ".join(sure) or "none"
    return f"{told}; not {', '.join(rest)}: {found.get(rest[0])}" if rest else told


def _loaded(specimen: Specimen, part: Part, state: Mapping[str, Tensor]) -> ZooModel:
    """The part with the weights that it shares, as create() builds it."""
    plan = Plan(part, specimen.config, torch.device("cpu"), maker=specimen.plan.maker)
    channels = specimen.input.size[0]

    def read(module: nn.Module) -> dict[str, Tensor]:
        return without_gone(part, state)

    built, classes = with_weights(
        plan,
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


def _gives(kept: ZooModel, until: str, entering: Tensor, x: Tensor) -> None:
    pool = getattr(kept, "kept_pool", nn.Identity())
    with torch.no_grad():
        features = kept.eval()(x.clone())
        reached = kept.forward_until(x.clone(), "head")
        reached = run_stages(kept, [kept.chain["head"]], reached)
        wanted = pool(entering)
    equal = torch.equal(features, wanted) and torch.equal(reached, wanted)
    fault = f'keep_until="{until}" computes something else than what enters "{until}"'
    expect(equal, f"{fault}: does a stage behind it change what is before?")


def _comes_back(specimen: Specimen, part: Part, kept: ZooModel, until: str) -> None:
    kept.reset_head(CLASSES).freeze_until("head")
    head = {name for name, _ in kept.named_parameters() if kept.chain["head"].has(name)}
    learning = {name for name, p in kept.named_parameters() if p.requires_grad}
    expect(learning == head, f'keep_until="{until}": frozen until the head, more than it trains.')
    again = _loaded(specimen, part, kept.state_dict())
    equal = torch.equal(scores_of(again, specimen.x), scores_of(kept, specimen.x))
    expect(equal, f'keep_until="{until}" does not come back from its own weights.')
