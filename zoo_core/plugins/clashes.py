"""Names that two plugins offer: zoo's own keeps its name, others need their distribution in front.

Whoever offers a name that another has is told so as a fault; nobody silently wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from zoo_core.plugins.manager import BUILT_IN, FAULTS, Plugin, Plugins
from zoo_core.plugins.model_index import ListedModels

Offer = TypeVar("Offer")


def by_name(
    plugins: Plugins, what: str, offers: Iterable[tuple[Plugin, str, Offer]]
) -> dict[str, Offer]:
    """What plugins offer, by a name that means this one alone; `what`: as messages call it."""
    by_owner: dict[str, dict[str, tuple[Plugin, Offer]]] = {}
    for plugin, name, offer in offers:
        owners = by_owner.setdefault(name, {})
        if plugin.distribution in owners:
            plugins.fault(plugin, f'offers the {what} "{name}" twice.')
        else:
            owners[plugin.distribution] = (plugin, offer)
    named: dict[str, Offer] = {}
    for name, owners in by_owner.items():
        for distribution, (plugin, offer) in owners.items():
            if len(owners) == 1 or distribution == BUILT_IN:
                named[name] = offer
                continue
            others = _others(list(owners), distribution)
            plugins.fault(plugin, f'offers the {what} "{name}", which {others} offers too.')
            named[f"{distribution}:{name}"] = offer
    return dict(sorted(named.items()))


def record_clashes(plugins: Plugins, models: ListedModels) -> None:
    """Record a fault of each plugin that lists a model of a name that another has."""
    several = {name: owners for name, owners in models.owners.items() if len(owners) > 1}
    told = Counter[str]()
    for name, owners in sorted(several.items()):
        for distribution in owners:
            told[distribution] += 1
            if distribution != BUILT_IN and told[distribution] <= FAULTS + 1:
                clash = f'offers the model "{name}", which {_others(owners, distribution)}'
                fault = f'{clash} offers too: write "{distribution}:{name}".'
                plugins.fault_of(models[distribution, name], fault)


def _others(owners: Sequence[str], distribution: str) -> str:
    return " and ".join(owner for owner in owners if owner != distribution)
