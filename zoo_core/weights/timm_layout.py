"""A repository in timm's layout, read as if zoo had pushed it."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import msgspec

from zoo_core.errors import WeightsError
from zoo_core.humanize import readable_name
from zoo_core.types import Architecture, InputSpec
from zoo_core.weights.published import CONFIG, MULTILABEL, SCHEMA, Channels, Count, Saved, Side


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

    input_size: tuple[Channels, Side, Side] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str | None = None
    license: str | None = None
    num_classes: Count | None = None


class _Timm(msgspec.Struct, frozen=True):
    architecture: str
    num_classes: Count | None = None
    label_names: list[str] | dict[str, str] = []
    problem_type: str | None = None
    model_args: dict[str, Any] = {}
    pretrained_cfg: _TimmInput = _TimmInput()


class _Asked(msgspec.Struct, frozen=True):
    in_chans: Channels


def from_timm(data: dict[str, Any], reference: str) -> Saved:
    """A repository in timm's layout, as if zoo had pushed it."""
    if "architecture" not in data and "model_type" in data:
        raise WeightsError(
            f"{reference} is a model of another library ({readable_name(data['model_type'])[:40]})."
        )
    timm = msgspec.convert(data, _Timm)
    cfg, classes = timm.pretrained_cfg, _classes(timm)
    channels = _channels(timm, reference)
    config = {k: v for k, v in timm.model_args.items() if k not in ("num_classes", "in_chans")}
    spec = InputSpec(
        *(cfg.input_size, cfg.mean, cfg.std, cfg.interpolation, cfg.crop_pct),
        crop_mode=cfg.crop_mode or "center",
    )
    table = {
        "schema": SCHEMA,
        "format": "whole",
        "model": timm.architecture,
        "distribution": "timm",
        "version": "",
        "num_classes": classes,
        "in_chans": channels,
        "input": asdict(spec.with_channels(channels)),
        "config": config,
        "labels": _labels(timm.label_names, classes, reference) if classes else None,
        "multilabel": timm.problem_type == MULTILABEL,
        "license": cfg.license,
    }
    return msgspec.convert(table, Saved)


def _classes(timm: _Timm) -> int:
    stated = (timm.num_classes, timm.pretrained_cfg.num_classes)
    listed = len(timm.label_names) if isinstance(timm.label_names, list) else 0
    return next((count for count in stated if count is not None), listed or 1000)


def _channels(timm: _Timm, reference: str) -> int:
    """The channels that a network is built for, which its input may not know of."""
    cfg = timm.pretrained_cfg
    if not len(cfg.mean) == len(cfg.std) == cfg.input_size[0]:
        raise WeightsError(
            f"{reference}: {CONFIG}: mean and std need {cfg.input_size[0]} numbers each."
        )
    asked = timm.model_args.get("in_chans", cfg.input_size[0])
    return msgspec.convert({"in_chans": asked}, _Asked).in_chans


def _labels(
    names: list[str] | dict[str, str], classes: int, reference: str
) -> tuple[str, ...] | None:
    """The names of all classes in order. timm also writes a table by number, which may have gaps.

    A class without a name there is called by its number.
    """
    if isinstance(names, list):
        return tuple(names) or None
    numbered = {str(number): str(number) for number in range(classes)} if names else {}
    unknown = next((number for number in names if number not in numbered), None)
    if unknown is not None:
        shown = readable_name(unknown)[:40]
        raise WeightsError(
            f'{reference}: {CONFIG}: label_names has "{shown}", '
            f"which is no number of its {classes} classes."
        )
    return tuple((numbered | names).values()) or None
