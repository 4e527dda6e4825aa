"""A repository in timm's layout, read as if zoo had pushed it."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import msgspec

from zoo_core.errors import WeightsError
from zoo_core.types import Architecture, InputSpec
from zoo_core.weights.published import MULTILABEL, SCHEMA, Count, Few, Saved


def config_of(saved: Saved, architecture: Architecture) -> dict[str, Any]:
    """The arguments that a published model was built with.

    timm writes average pooling down also where there is no other.
    """
    config = dict(saved.config)
    if saved.distribution == "timm" and config.get("global_pool") == "avg":
        if "global_pool" not in inspect.signature(architecture.build).parameters:
            del config["global_pool"]
    return config


class _TimmInput(msgspec.Struct, frozen=True):
    """What counts of timm's `pretrained_cfg`; timm's other keys say nothing that zoo needs."""

    input_size: tuple[Few, Few, Few] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    license: str | None = None


class _Timm(msgspec.Struct, frozen=True):
    architecture: str
    num_classes: Count | None = None
    label_names: list[str] | dict[str, str] | None = None
    problem_type: str | None = None
    model_args: dict[str, Any] = {}
    pretrained_cfg: _TimmInput = _TimmInput()


def from_timm(data: dict[str, Any], reference: str) -> Saved:
    """A repository in timm's layout, as if zoo had pushed it."""
    if "architecture" not in data and "model_type" in data:
        raise WeightsError(
            f"{reference} is a model of another library ({data['model_type']!s:.40})."
        )
    timm = msgspec.convert(data, _Timm)
    cfg, names = timm.pretrained_cfg, timm.label_names
    listed = tuple(names) if isinstance(names, list) else None
    classes = timm.num_classes if timm.num_classes is not None else 1000
    channels = timm.model_args.get("in_chans", cfg.input_size[0])
    config = {k: v for k, v in timm.model_args.items() if k not in ("num_classes", "in_chans")}
    spec = InputSpec(cfg.input_size, cfg.mean, cfg.std, cfg.interpolation, cfg.crop_pct)
    table = {
        "schema": SCHEMA,
        "format": "whole",
        "model": timm.architecture,
        "distribution": "timm",
        "version": "",
        "num_classes": classes,
        "in_chans": channels,
        "input": asdict(spec.with_channels(channels)) if isinstance(channels, int) else {},
        "config": config,
        "labels": listed if listed and len(listed) == classes else None,
        "multilabel": timm.problem_type == MULTILABEL,
        "license": cfg.license,
    }
    return msgspec.convert(table, Saved)
