"""Writes `models.json`: the facts about every timm network that zoo can build.

    python -m zoo_timm.generate

It builds each network without values, to count its parameters and to see that it has stages; that
takes some minutes. The same timm gives the same file. What was measured of weights stays as it is;
`python -m zoo_timm.results` renews it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo_core.errors import PluginError
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manifest_schema import SCHEMA
from zoo_core.types import InputSpec
from zoo_timm.chains import stages
from zoo_timm.networks import network
from zoo_timm.results import MEASURED, kept, read

MANIFEST = Path(__file__).parent / "models.json"

CLASSES = 1000  # what zoo builds without weights, whatever the weights have
# parts of the names of licences that do not allow commercial use
NON_COMMERCIAL = ("-nc-", "noncommercial", "apple-amlr", "seer-license", "sapiens")


# official models of other networks than timm's of that name: these are its tf_efficientnet_lite*
OTHERS = {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"}


def names() -> list[str]:
    """The networks of the installed timm that are not official models of the zoo."""
    import timm

    official = {model.name for model in catalogue().models() if model.official} - OTHERS
    return [name for name in timm.list_models() if name not in official]


def entry(name: str) -> dict[str, Any] | None:
    """What the manifest says of a network; None for one that has no stages."""
    import torch

    with torch.device("meta"):
        model = network(name, num_classes=CLASSES)
    try:
        stages(model)
    except PluginError:
        return None
    return facts(name, sum(parameter.numel() for parameter in model.parameters()))


def facts(name: str, params: int) -> dict[str, Any]:
    """What timm states about a network and its weights, without building it."""
    from timm.models import get_pretrained_cfg

    table: dict[str, Any] = {"architecture": "timm", "config": {"variant": name}, "params": params}
    weights = dict(_weights(name))
    default = next((tag for tag in weights if commercial(weights[tag].get("license"))), None)
    if default is None:
        cfg = get_pretrained_cfg(name, allow_unregistered=False)
        table |= _unusual(_input(cfg) if cfg else InputSpec())
    else:
        weights[default] = {"default": True, **weights[default]}
    return table | ({"weights": weights} if weights else {})


def _weights(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every trained set by its tag, in timm's order: the first is timm's own choice."""
    from timm.data import infer_imagenet_subset
    from timm.models import get_pretrained_cfg, list_pretrained

    tags = [full.partition(".")[2] for full in list_pretrained(f"{name}.*")]
    preferred = get_pretrained_cfg(name)
    first = preferred.tag if preferred else None
    for tag in sorted(tags, key=lambda tag: tag != first):
        cfg = get_pretrained_cfg(f"{name}.{tag}")
        source = _source(cfg, f"{name}.{tag}") if cfg else None
        if cfg is None or source is None:
            continue
        table: dict[str, Any] = {"source": source}
        if cfg.license and cfg.license != "unknown":
            table["license"] = cfg.license
        subset = infer_imagenet_subset(cfg.to_dict())
        if subset:
            table["labels"] = subset
        if cfg.num_classes != 1000 or not subset:
            table["num_classes"] = cfg.num_classes
        yield tag, table | _unusual(_input(cfg))


def _source(cfg: Any, full: str) -> str | None:
    """The Hub's safetensors, or a plain checkpoint; nothing for what zoo could not read."""
    if not cfg.hf_hub_id:
        return str(cfg.url) if (cfg.url or "").endswith(".pth") else None
    repository = f"timm/{full}" if cfg.hf_hub_id == "timm/" else cfg.hf_hub_id
    return f"hf://{repository}/{cfg.hf_hub_filename or 'model.safetensors'}"


def commercial(license: str | None) -> bool:
    """Whether a licence allows commercial use, as far as its name tells."""
    return not any(part in f"{license}-" for part in NON_COMMERCIAL)


def _input(cfg: Any) -> InputSpec:
    return InputSpec(
        size=tuple(cfg.input_size),
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        interpolation=cfg.interpolation,
        crop=cfg.crop_pct,
        crop_mode=cfg.crop_mode,
    )


def _unusual(spec: InputSpec) -> dict[str, Any]:
    """The input, as far as it is not what a manifest means anyway."""
    usual = asdict(InputSpec())
    changed = {name: value for name, value in asdict(spec).items() if value != usual[name]}
    return {"input": changed} if changed else {}


def text(models: dict[str, dict[str, Any]]) -> str:
    """The file: a line for each model, in the order of names, so that a change shows as one."""
    lines = [f"{json.dumps(f'timm/{name}')}: {json.dumps(models[name])}" for name in sorted(models)]
    head = f'{{"schema": {SCHEMA}, "measured": {json.dumps(MEASURED)}, "models": {{\n'
    return head + ",\n".join(lines) + "\n}}\n"


def _generated(listed: Iterable[str]) -> dict[str, dict[str, Any]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    models = {}
    for name in track(list(listed), "timm", console=console):
        table = entry(name)
        if table is None:
            console.print(f"{name} is left out: no layer of it gives scores")
        else:
            models[name] = table
    return models


def main() -> None:
    models = _generated(names())
    kept(read(MANIFEST), models)
    MANIFEST.write_text(text(models), encoding="utf-8")
    print(f"{len(models)} models in {MANIFEST}", file=sys.stderr)


if __name__ == "__main__":
    main()
