"""report.html: a run on one page.

One file that asks no network and runs no script: charts are SVG, pictures are data URIs. What is
shown is gathered here, section by section; report.html beside this file says how it looks, and
escapes all text.
"""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.files import written
from zoo_core.humanize import byte_size, duration
from zoo_core.inference.metrics import Metrics, confusion, measured
from zoo_core.inference.mistakes import most_confused, worst_mistakes
from zoo_core.model.run import Run
from zoo_core.runs.comparison import RunSummary, summary
from zoo_core.runs.folder import without_none
from zoo_core.training.report.charts import Chart, Marks, chart
from zoo_core.training.report.findings import Findings, Row
from zoo_core.training.report.thumbnails import data_uri

MATRIX = 30  # classes that a confusion matrix has room for
PAIRS = 20  # confused classes listed where it has not
PICTURES = 24  # mistakes shown
CLASSES = 200  # classes listed, those found least first


def write_report(run: Run, findings: Findings, path: Path) -> None:
    """Write the page about a run to `path`, whole or not at all. Raises OSError."""
    page = render(run, findings)
    with written(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(run: Run, findings: Findings) -> str:
    """The page about a run as HTML."""
    from jinja2 import Environment, StrictUndefined

    look = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    strict = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True}
    environment = Environment(**strict, lstrip_blocks=True)  # type: ignore[arg-type]
    whole = summary(run.path or Path(), run.recipe | {"result": run.best}, run.history)
    metrics = _metrics(findings)
    return environment.from_string(look).render(
        run=whole,
        path=str(run.path or ""),
        tiles=list(_tiles(whole, findings, metrics)),
        charts=charts(run.history, whole.best_epoch),
        phases=phases(run.history),
        metrics=metrics,
        matrix=_matrix(findings),
        confused=_confused(findings),
        mistakes=list(islice(_mistakes(findings), PICTURES)),
        classes=_classes(metrics),
        stages=_stages(findings),
        cost=list(_cost(findings.cost, run.history)),
        recipe=tomli_w.dumps(without_none(run.recipe)),
        commands=_commands(run, whole),
    )


# --- in short ------------------------------------------------------------------------------------


def _metrics(findings: Findings) -> Metrics | None:
    if findings.scores is None or findings.targets is None or len(findings.scores) == 0:
        return None
    return measured(findings.scores, findings.targets, findings.names)


def _tiles(
    run: RunSummary, findings: Findings, metrics: Metrics | None
) -> Iterator[tuple[str, str, str]]:
    """Label, value and remark of what matters most."""
    if metrics is None:
        yield "accuracy", "–", "There was no validation: these are the last weights."
    elif "ece" in metrics:
        count = metrics["count"]
        low, high = wilson(metrics["accuracy"], count)
        right = round(metrics["accuracy"] * count)
        interval = f"95% interval {low:.1%} to {high:.1%}"
        yield "accuracy", f"{metrics['accuracy']:.1%}", f"{right:,} of {count:,}; {interval}"
    else:
        found = f"{metrics['count']:,} pictures, several classes each"
        yield "mean average precision", f"{metrics.get('map', 0.0):.3f}", found
    loss = "" if run.val_loss is None else f"validation loss {run.val_loss:.4f}"
    best = "–" if run.best_epoch is None else f"{run.best_epoch}"
    yield "best epoch", best, f"of {run.epochs_done}; {loss}".rstrip("; ")
    total = sum(row["params"] for row in findings.stages)
    trained = sum(row["trainable"] for row in findings.stages)
    if total:
        of_all = f"{run.trains}; {trained:,} of {total:,} parameters"
        yield "trained", f"{100 * trained / total:.3g}%", of_all
    seconds = findings.cost.get("seconds", run.seconds)
    yield "time", duration(seconds), f"on {findings.cost.get('device', 'this machine')}"


def wilson(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval in which the true share lies with this confidence, where `share` of `count` was.

    Wilson's score interval (1927): within [0, 1], and of some width for a share of 1, too.
    https://doi.org/10.1080/01621459.1927.10502953

    >>> low, high = wilson(0.9, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max((middle - reach) / scale, 0.0), min((middle + reach) / scale, 1.0)


def _commands(run: Run, whole: RunSummary) -> list[str]:
    if run.path is None:
        return []
    folder, data = shlex.quote(str(run.path)), shlex.quote(whole.data or "folder:PICTURES")
    return [
        f"zoo predict {folder} PICTURE...",
        f"zoo evaluate {folder} --data {data}",
        f"zoo push {folder} OWNER/NAME",
    ]


# --- over the epochs -----------------------------------------------------------------------------


def charts(history: Sequence[Row], best: int | None) -> list[Chart]:
    """Loss, accuracy, and what else a run's rows tell, as charts over epochs."""
    if not history:
        return []
    epochs = [row["epoch"] for row in history]
    marks = Marks(best, _steps(history))
    rates = {row["lr"] for row in history if "lr" in row}
    penalties = dict.fromkeys(key for row in history for key in row if key.startswith("penalty_"))
    wanted = [
        ("Loss", {"training": "loss", "validation": "val_loss"}, False),
        ("Accuracy on validation", {"accuracy": "val_accuracy"}, True),
        ("Learning rate", {"rate": "lr"} if len(rates) > 1 else {}, False),
        ("Penalties", {key.removeprefix("penalty_"): key for key in penalties}, False),
    ]
    drawn = [
        chart(
            title,
            {name: _column(history, key) for name, key in keys.items()},
            epochs,
            marks,
            percent=percent,
        )
        for title, keys, percent in wanted
    ]
    return [one for one in drawn if one is not None]


def _column(history: Sequence[Row], key: str) -> list[float]:
    return [float(row.get(key, math.nan)) for row in history]


def phases(history: Sequence[Row]) -> list[tuple[int, int, str]]:
    """First and last epoch of each step of a schedule, and what trained; none without a schedule.

    >>> rows = [{"epoch": 1, "trains": "head"}, {"epoch": 2, "trains": "fc2:", "phase": 2}]
    >>> phases(rows)
    [(1, 1, 'head'), (2, 2, 'fc2:')]
    """
    grouped = [list(g) for _, g in groupby(history, key=lambda row: row.get("phase", 1))]
    found = [(own[0]["epoch"], own[-1]["epoch"], str(own[0].get("trains", ""))) for own in grouped]
    return found if len(found) > 1 else []


def _steps(history: Sequence[Row]) -> dict[float, str]:
    """Between which epochs more began to train: half an epoch before each step's first."""
    return {first - 0.5: trains for first, _, trains in phases(history)}


# --- right and wrong -----------------------------------------------------------------------------


def _matrix(findings: Findings) -> list[dict[str, Any]]:
    """Rows of the confusion matrix, each with the share of the class that every cell has."""
    scores, targets, names = findings.scores, findings.targets, findings.names
    if scores is None or targets is None or targets.ndim == 2 or not 0 < len(names) <= MATRIX:
        return []
    rows = confusion(scores, targets, len(names)).tolist()
    return [
        {"name": name, "counts": row, "shares": [math.sqrt(n / max(sum(row), 1)) for n in row]}
        for name, row in zip(names, rows, strict=True)
    ]


def _confused(findings: Findings) -> list[dict[str, Any]]:
    """The classes most often taken for others, where a matrix would be too large."""
    scores, targets, names = findings.scores, findings.targets, findings.names
    if scores is None or targets is None or targets.ndim == 2 or len(names) <= MATRIX:
        return []
    return [
        {
            "true": names[pair.true],
            "said": names[pair.said],
            "count": pair.count,
            "total": pair.total,
        }
        for pair in most_confused(scores, targets, PAIRS)
    ]


def _mistakes(findings: Findings) -> Iterator[dict[str, Any]]:
    """The worst mistakes as pictures; what cannot be read is passed over."""
    scores, targets, pictures = findings.scores, findings.targets, findings.pictures
    if scores is None or targets is None or pictures is None:
        return
    names = findings.names
    for mistake in worst_mistakes(scores, targets, 2 * PICTURES):
        try:
            uri = data_uri(pictures.read(mistake.index))
        except Exception:  # whatever a dataset raises, a report is not worth a failed run
            continue
        true, said = ([(names[i], p) for i, p in own] for own in (mistake.true, mistake.said))
        yield {"picture": uri, "true": true, "said": said}


def _classes(metrics: Metrics | None) -> list[dict[str, Any]]:
    """How well each class is found, those found least first."""
    table = metrics["table"] if metrics else {}
    rows: list[dict[str, Any]] = [{"name": name, **row} for name, row in table.items()]
    return sorted(rows, key=lambda row: row["accuracy"])[:CLASSES]


# --- what it took --------------------------------------------------------------------------------


def _stages(findings: Findings) -> list[dict[str, Any]]:
    """The stages with what was frozen, and how far each moved, also as a share of the farthest."""
    farthest = max(findings.drift.values(), default=0.0)
    rows = []
    for stage in findings.stages:
        drift = findings.drift.get(stage["stage"])
        rows.append(
            {
                **stage,
                "output": "x".join(map(str, stage["output"])),
                "how": _how(stage["params"], stage["trainable"]),
                "drift": drift if stage["params"] else None,
                "bar": drift / farthest if drift and farthest else 0.0,
                "new": drift is None and stage["trainable"] > 0,
            }
        )
    return rows


def _how(params: int, trainable: int) -> str:
    if not params:
        return "–"
    if trainable in (0, params):
        return "trained" if trainable else "frozen"
    return f"{trainable:,} trained"


COST: dict[str, tuple[str, Callable[[Any], str]]] = {
    "seconds": ("time", duration),
    "seconds_validation": ("of it for validation", duration),
    "pictures_per_second": ("pictures per second", lambda number: f"{number:,.0f}"),
    "peak_memory": ("memory at most", byte_size),
    "device": ("device", str),
    "trained_params": ("parameters trained", lambda number: f"{number:,}"),
    "checkpoint_bytes": ("size of the weights that are kept", byte_size),
}


SECONDS = ("seconds", "without", "predicted", "building", "training")  # the last are a cache's


def _cost(cost: Mapping[str, Any], history: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """What the run took, as words and figures."""
    for key, value in cost.items():
        words, how = COST.get(key, (key.replace("_", " "), _facts))
        if value is not None:
            yield words, how(value)
    waits = [row["waiting"] for row in history if "waiting" in row]
    if waits:
        yield "waiting for pictures", f"{statistics.mean(waits):.0%} of the time"


def _facts(value: Any) -> str:
    """A value of no known kind, and what is in it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_fact(key, own)}" for key, own in value.items())
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _fact(key: str, value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and key.endswith("bytes"):
        return byte_size(value)
    return duration(value) if number and key.endswith(SECONDS) else _facts(value)
