"""report.html: a run on one page.

One file that asks no network and runs no script: charts are SVG, pictures are data URIs. What is
shown is gathered section by section; page.html beside this file says how it looks, and escapes all
text.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import tomli_w

from zoo_core.files import written
from zoo_core.humanize import clipped
from zoo_core.inference.metrics import Metrics, measured
from zoo_core.model.run import Run
from zoo_core.pages.template import rendered
from zoo_core.runs.comparison import summary
from zoo_core.runs.curves import from_the_start
from zoo_core.runs.writing import without_none
from zoo_core.training.report.confusions import classes, matrix, pairs
from zoo_core.training.report.costs import cost_lines, stages
from zoo_core.training.report.curves import charts, phases
from zoo_core.training.report.findings import Findings
from zoo_core.training.report.reliability import reliability
from zoo_core.training.report.tiles import tiles
from zoo_core.training.report.worst import mistakes

SHORT = 3  # letters of class names that have room side by side, above the matrix
LONGEST_RECIPE = 200_000  # letters: class names may be any number of any length


def write_report(run: Run, findings: Findings, path: Path) -> None:
    """Write the page about a run to `path`, whole or not at all. Raises OSError."""
    page = render(run, findings)
    with written(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(run: Run, findings: Findings) -> str:
    """The page about a run as HTML."""
    findings = replace(findings, names=[clipped(name) for name in findings.names])
    whole = summary(run.path or Path(), run.recipe | {"result": run.best}, run.history)
    metrics = _metrics(findings)
    confused = pairs(findings)
    worst, looked = mistakes(findings)
    history = from_the_start(run.history, run.best)
    return rendered(
        Path(__file__).with_suffix(".html"),
        title=" on ".join(clipped(name) for name in (whole.model, whole.data) if name),
        run=whole,
        path=str(run.path or ""),
        tiles=list(tiles(whole, findings, metrics)),
        charts=charts(history, whole.best_epoch),
        phases=phases(run.history),
        metrics=metrics,
        matrix=matrix(findings, confused),
        short=all(len(name) <= SHORT for name in findings.names),
        pairs=confused,
        mistakes=worst,
        looked=looked,
        reliability=reliability(findings),
        classes=classes(metrics),
        stages=stages(findings),
        cost=list(cost_lines(findings.cost, run.history)),
        recipe=_recipe(run),
        commands=_commands(run),
    )


def _metrics(findings: Findings) -> Metrics | None:
    if findings.scores is None or findings.targets is None or len(findings.scores) == 0:
        return None
    return measured(findings.scores, findings.targets, findings.names)


def _recipe(run: Run) -> str:
    text = tomli_w.dumps(without_none(run.recipe))
    if len(text) <= LONGEST_RECIPE:
        return text
    return f"{text[:LONGEST_RECIPE]}\n… The rest is in recipe.toml."


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
