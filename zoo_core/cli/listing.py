"""`zoo list`: the models there are."""

from __future__ import annotations

import sys
from typing import Any

import click

from zoo_core.cli.output import (
    count,
    gmacs,
    known,
    note,
    note_broken,
    note_slow,
    print_json,
    print_table,
    size,
)
from zoo_core.humanize import without_credentials
from zoo_core.types import ModelInfo, WeightsInfo


@click.command("list")
@click.argument("pattern", required=False)
@click.option("--pretrained", is_flag=True, help="Those that have weights.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(pattern: str | None, pretrained: bool, as_json: bool) -> None:
    """List the models, with the accuracy of their default weights.

    PATTERN is a name with shell wildcards ("resnet*"), or a family (resnet). Names with a prefix,
    as those of timm and of some plugins, are listed when it has one: "timm/convnext*", or timm.
    """
    catalogue = known()
    matching = catalogue.models(pattern)
    models = [model for model in matching if model.weights] if pretrained else matching
    if as_json:
        print_json([_record(catalogue.bare(model), model) for model in models])
    elif models:
        _print(models)
        for prefix, many in [] if pattern else sorted(catalogue.prefixes().items()):
            note(f'{many:,} more of {prefix}: zoo list "{prefix}/*"')
    elif matching:
        note(f"No model of {len(matching):,} that match has weights.")
    else:
        near = catalogue.similar(pattern or "")
        note(f'No model matches "{without_credentials(pattern)}". {near}'.strip())
    catalogue.examine_models(models)
    note_broken()
    note_slow()


def _print(models: list[ModelInfo]) -> None:
    header = ["name", "params", "GMACs", "top-1", "on", "input", "weights", "licence"]
    rows = [_row(model) for model in models]
    if any(not model.official for model in models):
        header.append("from")
        rows = [[*row, model.distribution] for row, model in zip(rows, models, strict=True)]
    print_table(header, rows, right=("params", "GMACs", "top-1"))
    if sys.stdout.isatty():
        plural = "s" if len(models) > 1 else ""
        note("")
        note(f'{len(models)} model{plural}. Run "zoo show NAME" for one of them.')


def _row(model: ModelInfo) -> list[str]:
    weights = model.default_weights
    score, data = top1(weights)
    return [
        known().bare(model),
        count(model.params),
        gmacs(model.gmacs),
        score,
        data,
        size(model.input.size),
        weights.tag if weights else _no_default(model),
        (weights.license if weights else None) or "-",
    ]


def _no_default(model: ModelInfo) -> str:
    return f"{len(model.weights)}, no default" if model.weights else "-"


def top1(weights: WeightsInfo | None) -> tuple[str, str]:
    """The top-1 accuracy of weights, and the data that it was measured on."""
    for name, value in (weights.metrics if weights else {}).items():
        data, _, metric = name.rpartition(".")
        if metric == "top1":
            return f"{value:.2f}", data
    return "-", "-"


def _record(name: str, model: ModelInfo) -> dict[str, Any]:
    weights = model.default_weights
    return {
        "name": name,
        "architecture": model.architecture,
        "params": model.params,
        "gmacs": model.gmacs,
        "input": list(model.input.size),
        "weights": list(model.weights),
        "default_weights": weights.tag if weights else None,
        "license": weights.license if weights else None,
        "metrics": dict(weights.metrics) if weights else {},
        "summary": model.summary,
        "distribution": model.distribution,
        "official": model.official,
    }
