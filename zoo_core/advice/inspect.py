"""inspect(): what is wrong with pictures, before training. It changes no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.advice.finding import Finding, names_of
from zoo_core.advice.inspection import Inspection
from zoo_core.cache import fetching_nothing
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError, NotCached, NotInstalled, WeightsError, ZooError
from zoo_core.humanize import some
from zoo_core.inference.matching import as_model
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue

EYES = ("efficientnet_lite0", "resnet18", "lenet5")  # what looks where nobody says, the first here
UNEQUAL = 10  # times more pictures in one class than in another are worth a word


def inspect(
    data: Any,
    model: ZooModel | Run | str | Path | None = None,
    *,
    val: Any = None,
    progress: bool = True,
) -> Inspection:
    """Find what is wrong with pictures: labels, duplicates, outliers, unreadable files, odd sizes.

    `data`: as of `zoo.finetune`. `model`: whose features see them, the default weights of a name;
    None: the first on this machine of efficientnet_lite0, resnet18 and lenet5. `val`: pictures for
    validation, of any kind of data, so that what is on both sides is found. `progress`: what is
    done, on stderr.

    No file is changed, and nothing is fetched for None. Where there is too little to say something,
    `notes` say so.

    Raises DataError for data that cannot be opened, has no pictures, or of which none can be read;
    WeightsError for a model without weights, ZooError for None where none is here.

    >>> import zoo_core as zoo
    >>> inspection = zoo.inspect("digits#test", "lenet5", progress=False)
    >>> inspection.count, inspection.counts["unreadable"], inspection.rows[0]["issue"]
    (797, 0, 'label')
    """
    parts = {"": open_data(data, progress=progress)}
    if val is not None:
        parts["validation"] = open_data(val, progress=progress)
    if not any(map(len, parts.values())):
        raise DataError(f"{parts[''].name} has no pictures.")
    network = _eyes(model)
    finding = Finding(parts, network, progress)
    finding.notes += [note for pictures in parts.values() for note in _imbalance(pictures)]
    rows = [row for _, row in sorted(finding.rows(), key=lambda pair: pair[0])]
    first = parts[""]
    balance = dict(zip(names_of(first), first.class_counts(), strict=True))
    name = catalogue().bare(network.info)
    count = sum(map(len, parts.values()))
    return Inspection(rows, first.name, name, count, balance, finding.notes, parts)


def _eyes(model: Any) -> ZooModel:
    if model is not None:
        network = as_model(model)
        if not network.origin.trained:
            raise WeightsError(
                f"{catalogue().bare(network.info)} has no weights, so its features say nothing.",
                hint="Give a name, which brings its default weights, or a run.",
            )
        return network
    with fetching_nothing():
        for name in EYES:
            try:
                return as_model(name)
            except (NotCached, NotInstalled):
                continue
    raise ZooError(
        f"No weights of {', '.join(EYES)} are on this machine.",
        hint='"zoo fetch resnet18" brings some; or give a model.',
    )


def _imbalance(pictures: Pictures) -> list[str]:
    counts = dict(zip(names_of(pictures), pictures.class_counts(), strict=True))
    notes, used = [], {name: count for name, count in counts.items() if count}
    empty = [name for name, count in counts.items() if not count]
    if empty:
        notes.append(f"No pictures at all of {some(empty)}.")
    if len(used) == 1:
        notes.append(f"All pictures are of one class, {next(iter(used))}.")
    elif used and max(used.values()) >= UNEQUAL * min(used.values()):
        least, most = min(used, key=used.__getitem__), max(used, key=used.__getitem__)
        notes.append(
            f"The classes are of unequal size: {used[most]:,} pictures of {most}, {used[least]:,} "
            f"of {least}. balance= (--balance) makes up for that."
        )
    return notes
