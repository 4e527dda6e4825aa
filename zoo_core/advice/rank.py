"""rank(): which backbone suits some pictures, by the head that each would get."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_core.advice.budget import Budget, seconds_of
from zoo_core.advice.probe import probe
from zoo_core.advice.questions import FEWEST, told_apart
from zoo_core.advice.ranking import Ranking
from zoo_core.advice.sample import sampled
from zoo_core.advice.scores import (
    logme,
    neighbours,
    neighbours_right,
    pareto,
    ranks,
    right,
    shares,
)
from zoo_core.advice.timing import seconds_of_picture
from zoo_core.cache import fetching_nothing
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.errors import NotCached, NotInstalled, WeightsError, ZooError
from zoo_core.humanize import duration
from zoo_core.inference.matching import as_model
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.terminal.lines import say
from zoo_core.training.solving.solve import solve
from zoo_core.weights.here import names_here

MOST = 2000  # pictures that are looked at
LONG = 60  # seconds after which somebody who waits wants to know
SHARE = 0.8  # of a budget that goes into looking at them; the rest into solving heads


def rank(
    data: Any,
    models: Iterable[str | Path | ZooModel] | str | None = None,
    *,
    budget: str | float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Ranking:
    """Rank models by how well a head on their frozen features would do on pictures.

    What ranks is the log-loss of pictures left out. `data`: as of `zoo.finetune`. `models`: names,
    paths or models; None: all whose weights are on this machine. Nothing is fetched. `budget`: a
    time (`"2m"`, or seconds), by which fewer pictures are looked at; without it, 2,000 at most.
    What is computed of a picture is kept, and a second question is quick. `seed`: of the sample and
    the split. `progress`: what is done, on stderr.
    Raises DataError for one class, or pictures that cannot be read; NotCached for weights that are
    not here; ZooError where none are.

    >>> import zoo_core as zoo
    >>> ranking = zoo.rank("digits#test", ["lenet5", "lenet5.fashion_mnist"], progress=False)
    >>> ranking.best, ranking.rows[0]["accuracy"] > 0.9
    ('lenet5', True)
    """
    clock = Budget(seconds_of(budget)) if budget is not None else None
    pictures = open_data(data, progress=progress)
    told_apart(pictures)
    named = models is not None
    notes: list[str] = []
    networks = _networks(_listed(models) if named else names_here(), named, notes)
    times = {name: seconds_of_picture(network, pictures) for name, network in networks.items()}
    most = MOST if clock is None else _affordable(clock, sum(map(sum, times.values())))
    seconds = {name: forward for name, (_, forward) in times.items()}
    sample = sampled(pictures, min(most, MOST), seed)
    expected = len(sample) * sum(map(sum, times.values()))
    if progress and clock is None and expected > LONG:
        say(f"About {duration(expected)} for {len(sample):,} pictures and {len(networks)} models, "
            "less what is known from before; a budget (--budget 1m) looks at fewer.")  # fmt: skip
    found: list[tuple[dict[str, Any], Tensor]] = []
    for name, network in networks.items():
        if clock is not None and found and clock.left <= 0:
            notes.append(f"The time was over before {name}.")
            continue
        try:
            found.append(_judged(name, network, sample, seed, progress))
        except ZooError as error:
            if named:
                raise
            notes.append(f"{name} was left out: {error.message}")
    if not found:
        raise ZooError(f"No model could be judged. {' '.join(notes)}".strip())
    rows = _ranked(found, seconds, sample, seed)
    notes += _doubts(sample, rows)
    spec = str(data) if isinstance(data, str | Path) else ""
    return Ranking(rows, pictures.name, len(sample), len(pictures), notes, spec)


# --- which models --------------------------------------------------------------------------------


def _listed(models: Any) -> list[Any]:
    return [models] if isinstance(models, str | Path | ZooModel) else list(models)


def _networks(models: Sequence[Any], named: bool, notes: list[str]) -> dict[str, ZooModel]:
    """The models by name. What was found, and not named, is left out where it cannot be built."""
    if not models:
        raise ZooError(
            "No model was named." if named else "The weights of no model are on this machine.",
            hint='"zoo list --pretrained" has models; "zoo fetch NAME" brings the weights of one.',
        )
    networks: dict[str, ZooModel] = {}
    for model in dict.fromkeys(models):
        try:
            networks[_unused(_name(model), networks)] = _here(model)
        except ZooError as error:
            if named:
                raise
            notes.append(f"{model} was left out: {error.message}")
    return networks


def _name(model: Any) -> str:
    """A name, a path, or what a model was made of: `lenet5.fashion_mnist (img_size=64)`."""
    if not isinstance(model, ZooModel):
        return str(model)
    origin, usual = model.origin, model.info.default_weights
    name = catalogue().bare(model.info)
    if origin.weights in model.info.weights and not (usual and origin.weights == usual.tag):
        name += f".{origin.weights}"
    config = ", ".join(f"{key}={value}" for key, value in origin.config.items())
    return f"{name} ({config})" if config else name


def _unused(name: str, networks: Mapping[str, ZooModel]) -> str:
    """The name, numbered where another model has it."""
    numbered = (name if n == 1 else f"{name} #{n}" for n in itertools.count(1))
    return next(each for each in numbered if each not in networks)


def _here(model: Any) -> ZooModel:
    """A model with its weights, if they are on this machine."""
    try:
        with fetching_nothing():
            network = as_model(model)
    except NotInstalled:
        raise
    except NotCached as error:
        raise NotCached(
            f"The weights of {model} are not on this machine.",
            hint=f'Fetch them first: "zoo fetch {model}", or zoo rank with --fetch.',
        ) from error
    if not network.origin.trained:
        raise WeightsError(f"{_name(model)} has no weights, so its features say nothing.")
    return network


# --- how good, how quick -------------------------------------------------------------------------


def _affordable(clock: Budget, each: float) -> int:
    """How many pictures all models can see in what is left; `each`: seconds that one takes them."""
    return max(int(SHARE * clock.left / max(each, 1e-9)), FEWEST)


def _judged(
    name: str, network: ZooModel, sample: Pictures, seed: int, progress: bool
) -> tuple[dict[str, Any], Tensor]:
    """A row without its rank, and the log-loss (N,) of each picture."""
    if progress:
        say(f"{name}:")
    probed = probe(network, sample, stages=["head"], progress=progress)
    if "head" not in probed.features:
        raise ZooError(f"What enters the head of {name} cannot be pooled: {probed.unsure['head']}.")
    x, y = probed.features["head"], sample.target_tensor()
    judged = solve(x, y, classes=sample.num_classes).left_out
    parameters = list(network.parameters())
    row = {
        "model": name,
        **shares(right(judged, y), seed),
        "loss": judged.loss,
        "knn": float(neighbours_right(x, y, neighbours(y)).mean()),
        "logme": logme(x, y),
        "params": sum(p.numel() for p in parameters),
        "bytes": sum(t.nbytes for t in [*parameters, *network.buffers()]),
    }
    return row, judged.losses


def _ranked(
    found: list[tuple[dict[str, Any], Tensor]],
    seconds: dict[str, float],
    sample: Pictures,
    seed: int,
) -> list[dict[str, Any]]:
    """All rows with ranks, times and stars, best first."""
    know_nothing = math.log(2 if sample.multilabel else sample.num_classes)
    # Log-loss tells networks apart better than who is right: benchmarks/advice.py, tuning half.
    places = ranks([losses for _, losses in found], seed, know_nothing)
    front = pareto((row["accuracy"], seconds[row["model"]]) for row, _ in found)
    order = ("model", "rank", "accuracy", "low", "high", "loss", "ms", "params", "bytes")
    rows = []
    for (row, _), place, star in zip(found, places, front, strict=True):
        whole = row | {"rank": place, "ms": 1000 * seconds[row["model"]], "pareto": star}
        rows.append({key: whole[key] for key in (*order, "knn", "logme", "pareto")})
    return sorted(rows, key=lambda row: (row["rank"], row["loss"], -row["accuracy"]))


def _doubts(sample: Pictures, rows: list[dict[str, Any]]) -> list[str]:
    """Why not too much should be made of the answer."""
    doubts = []
    if len(rows) > 1 and all(row["rank"] == 1 for row in rows):
        doubts.append("There is not enough to say which is best: no model stands out.")
    used = [count for count in sample.class_counts() if count]
    if min(used, default=0) < 2:
        doubts.append("A class has one picture only, which no head can have right when left out.")
    return doubts
