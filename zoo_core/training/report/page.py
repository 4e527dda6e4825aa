"""report.html: a run on one page.

One file that asks no network and runs no script: charts are SVG, pictures are data URIs. What is
shown is gathered section by section; page.html beside this file says how it looks, and escapes all
text.
"""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import tomli_w

from zoo_core.files import written
from zoo_core.humanize import duration
from zoo_core.inference.metrics import Metrics, measured
from zoo_core.model.run import Run
from zoo_core.pages.template import rendered
from zoo_core.runs.comparison import RunSummary, summary
from zoo_core.runs.writing import without_none
from zoo_core.training.report.confusions import PICTURES, classes, confused, matrix, mistakes
from zoo_core.training.report.costs import cost_lines, stages
from zoo_core.training.report.curves import charts, phases
from zoo_core.training.report.findings import Findings


def write_report(run: Run, findings: Findings, path: Path) -> None:
    """Write the page about a run to `path`, whole or not at all. Raises OSError."""
    page = render(run, findings)
    with written(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(run: Run, findings: Findings) -> str:
    """The page about a run as HTML."""
    whole = summary(run.path or Path(), run.recipe | {"result": run.best}, run.history)
    metrics = _metrics(findings)
    return rendered(
        Path(__file__).with_suffix(".html"),
        run=whole,
        path=str(run.path or ""),
        tiles=list(_tiles(whole, findings, metrics)),
        charts=charts(run.history, whole.best_epoch),
        phases=phases(run.history),
        metrics=metrics,
        matrix=matrix(findings),
        confused=confused(findings),
        mistakes=list(islice(mistakes(findings), PICTURES)),
        classes=classes(metrics),
        stages=stages(findings),
        cost=list(cost_lines(findings.cost, run.history)),
        recipe=tomli_w.dumps(without_none(run.recipe)),
        commands=_commands(run),
    )


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
        remark = f"{metrics['count']:,} pictures, several classes each"
        yield "mean average precision", f"{metrics.get('map', 0.0):.3f}", remark
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


def _commands(run: Run) -> list[str]:
    if run.path is None:
        return []
    folder = shlex.quote(str(run.path))
    known = run.held_out is not None and run.recipe["start"]["object"] != "the data"
    data = "" if known else " --data folder:PICTURES"
    return [
        f"zoo predict {folder} PICTURE...",
        f"zoo evaluate {folder}{data}",
        f"zoo push {folder} OWNER/NAME",
    ]
