"""`zoo list`: the models there are."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import click

from zoo_core.browsing.choosing import chosen, wanted
from zoo_core.browsing.ordering import ordered
from zoo_core.browsing.row import Row, matching
from zoo_core.cli.choosing import choosing_options
from zoo_core.cli.output import (
    count,
    gmacs,
    known,
    note,
    note_broken,
    note_slow,
    percent,
    print_json,
    print_table,
    size,
)
from zoo_core.humanize import without_credentials
from zoo_core.types import ModelInfo


@click.command("list")
@click.argument("pattern", required=False)
@click.option("--pretrained", is_flag=True, help="Those that have weights.")
@choosing_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    pattern: str | None, pretrained: bool, sort: str | None, as_json: bool, **asked: Any
) -> None:
    """List the models, with the accuracy of their default weights.

    PATTERN is a name with shell wildcards ("resnet*"), a family (resnet), or a name of weights
    (resnet50.a1_in1k). Names with a prefix, as those of timm and of some plugins, are listed when
    it has one: "timm/convnext*", or timm.
    Where the default weights of a model do not fit the options, its most accurate that do are told.
    """
    catalogue = known()
    named, tag = matching(pattern)
    models = [model for model in named if model.weights] if pretrained else named
    rows, untold = chosen(models, wanted(**asked, tag=tag))
    if as_json:
        print_json([_record(row) for row in ordered(rows, sort)])
    elif rows:
        _print(ordered(rows, sort))
    else:
        _say_none(pattern, len(named), len(models))
    if not pattern and not as_json:
        _say_more({"pretrained": pretrained, **asked}, sort)
    if untold:
        plural = "s lack" if untold > 1 else " lacks"
        note(f"Left out: {untold:,} model{plural} a figure to tell whether they fit.")
    catalogue.examine_models(row.model for row in rows)
    note_broken()
    note_slow()


def _say_none(pattern: str | None, named: int, models: int) -> None:
    if models:
        note("The one model does not fit." if models == 1 else f"None of {models:,} models fits.")
    elif named:
        one = "The one model that matches has no weights."
        note(one if named == 1 else f"None of {named:,} models that match has weights.")
    else:
        near = known().similar(pattern or "")
        note(f'No model matches "{without_credentials(pattern)}". {near}'.strip())


def _say_more(asked: Mapping[str, Any], sort: str | None) -> None:
    """What else fits, of the names with a prefix, and the command that lists it."""
    options = "".join(f" {word}" for word in _options({**asked, "sort": sort}))
    for prefix, every in sorted(known().prefixes().items()):
        many = _fitting(prefix, **asked) if _options(asked) else every
        if many:
            note(f'{many:,} more of {prefix}: zoo list "{prefix}/*"{options}')


def _fitting(prefix: str, pretrained: bool, **asked: Any) -> int:
    models = known().models(f"{prefix}/*")
    offered = [model for model in models if model.weights or not pretrained]
    return len(chosen(offered, wanted(**asked))[0])


def _options(asked: Mapping[str, Any]) -> list[str]:
    """The options of a command, as a shell takes them."""
    words = []
    for key, value in asked.items():
        option = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        elif isinstance(value, float):
            words.append(f"{option} {Decimal(str(value)):f}".removesuffix(".0"))
        else:
            several = value if isinstance(value, tuple) else [value] if value else []
            words += [f"{option} {shlex.quote(one)}" for one in several]
    return words


def _print(listed: list[Row]) -> None:
    header = ["name", "params", "GMACs", "top-1", "on", "input", "weights", "licence"]
    rows = [_row(row) for row in listed]
    if any(not row.model.official for row in listed):
        header.append("from")
        rows = [[*row, one.model.distribution] for row, one in zip(rows, listed, strict=True)]
    print_table(header, rows, right=("params", "GMACs", "top-1"))
    if sys.stdout.isatty():
        plural = "s" if len(listed) > 1 else ""
        note("")
        note(f'{len(listed)} model{plural}. Run "zoo show NAME" for one of them.')


def _row(row: Row) -> list[str]:
    return [
        known().bare(row.model),
        count(row.model.params),
        gmacs(row.gmacs),
        percent(row.top1),
        row.data or "-",
        size(row.shape),
        row.weights.tag if row.weights else _no_default(row.model),
        row.licence or "-",
    ]


def _no_default(model: ModelInfo) -> str:
    return f"{len(model.weights)}, no default" if model.weights else "-"


def _record(row: Row) -> dict[str, Any]:
    """`license`, `metrics` and all after are of the weights that are told, as `told_weights`."""
    model, weights = row.model, row.weights
    default = model.default_weights
    return {
        "name": known().bare(model),
        "architecture": model.architecture,
        "params": model.params,
        "gmacs": row.gmacs,
        "input": list(row.shape),
        "weights": list(model.weights),
        "default_weights": default.tag if default else None,
        "license": row.licence,
        "metrics": dict(weights.metrics) if weights else {},
        "summary": model.summary,
        "distribution": model.distribution,
        "official": model.official,
        "told_weights": weights.tag if weights else None,
        "top1": row.top1,
        "top1_on": row.data or None,
        "macts": weights.macts if weights else None,
        "speed": dict(weights.speed) if weights else {},
        "measured": weights.measured if weights else "",
    }
