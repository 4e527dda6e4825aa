"""config.json: a published model as data: the name of an installed model, and typed arguments.

zoo's own facts are under `zoo`; around them stands what timm and transformers read, where the
network is one of timm's. A repository that only has timm's part is understood too. Nothing in it is
a path to code, an endpoint or a host, and what is not known here is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from zoo_core.errors import WeightsError
from zoo_core.plugins.manifest_schema import INTERPOLATIONS
from zoo_core.types import InputSpec

CONFIG = "config.json"
SCHEMA = 1
FILES = {"whole": "model.safetensors", "delta": "delta.safetensors"}
LARGEST = 4 * 2**20  # bytes of a config.json; the longest label sets have a few hundred thousand

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Few = Annotated[int, Meta(ge=1, le=100_000)]
Value = str | Annotated[int, Meta(ge=-100_000, le=100_000)] | float | bool


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """InputSpec, as it is written down."""

    size: tuple[Few, Few, Few]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop: float
    flip: bool = True


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model was fine-tuned from: `resnet50.a1_in1k`, or `hf://owner/repository@commit`.

    `sha256`: of the file. `digest`: of its tensors. `dropped`: those that the model has no more.
    """

    name: str
    sha256: Sha256
    digest: Sha256
    dropped: tuple[str, ...] = ()


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The part of config.json under `zoo`."""

    schema: int
    format: Literal["whole", "delta"]
    model: str
    distribution: str
    version: str
    num_classes: Count
    in_chans: Few
    input: Input
    sha256: Sha256 | None = None
    config: dict[str, Value | list[Value]] = {}
    dtype: Literal["float32", "float16", "bfloat16", "float64"] = "float32"
    labels: tuple[str, ...] | None = None
    license: str | None = None
    base: Base | None = None

    @property
    def file(self) -> str:
        """The name of the file with the tensors."""
        return FILES[self.format]

    @property
    def spec(self) -> InputSpec:
        return InputSpec(**{name: getattr(self.input, name) for name in Input.__struct_fields__})


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
    model_args: dict[str, Any] = {}
    pretrained_cfg: _TimmInput = _TimmInput()


def saved_input(spec: InputSpec) -> Input:
    """An InputSpec, to be written down."""
    return Input(**asdict(spec))


def read_config(path: Path, where: str) -> Saved:
    """The facts in a config.json. Raises WeightsError, with `where` it came from."""
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{where}: {CONFIG} is larger than any description of a model.")
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise WeightsError(f"{where}: {CONFIG} is no table.")
        if "zoo" in data:
            _check_schema(data["zoo"], where)
            return _checked(msgspec.convert(data["zoo"], Saved, strict=True), where)
        return _checked(_from_timm(data, where), where)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        text = " ".join(str(error).replace("`", '"').split())
        raise WeightsError(
            f"{where}: {CONFIG} does not describe a model of zoo: {text}.",
            hint="It was made by something else, or was changed since.",
        ) from error


def _check_schema(table: Any, where: str) -> None:
    schema = table.get("schema") if isinstance(table, dict) else None
    if schema != SCHEMA:
        raise WeightsError(
            f"{where}: {CONFIG} has schema {str(schema)[:40]}; this zoo reads {SCHEMA}.",
            hint="Upgrade it: pip install --upgrade zoo-core",
        )


def _checked(saved: Saved, where: str) -> Saved:
    channels = saved.input.size[0]
    if len(saved.input.mean) != channels or len(saved.input.std) != channels:
        raise WeightsError(f"{where}: mean and std need {channels} numbers each.")
    if saved.input.interpolation not in INTERPOLATIONS:
        raise WeightsError(f"{where}: no interpolation {saved.input.interpolation!r:.40}.")
    if not all(0 < value < 1e6 for value in saved.input.std) or not 0 < saved.input.crop <= 1:
        raise WeightsError(f"{where}: std must be above 0, and crop in (0, 1].")
    if not all(abs(value) < 1e6 for value in saved.input.mean):
        raise WeightsError(f"{where}: a mean is no number.")
    if saved.labels is not None and len(saved.labels) != saved.num_classes:
        raise WeightsError(f"{where}: {len(saved.labels)} labels for {saved.num_classes} classes.")
    if saved.format == "delta" and saved.base is None:
        raise WeightsError(f"{where}: a delta without the base that it stands on.")
    return saved


def _from_timm(data: dict[str, Any], where: str) -> Saved:
    """A repository in timm's layout, as if zoo had pushed it."""
    if "architecture" not in data and "model_type" in data:
        raise WeightsError(f"{where} is a model of another library ({data['model_type']!s:.40}).")
    timm = msgspec.convert(data, _Timm)
    cfg, names = timm.pretrained_cfg, timm.label_names
    listed = tuple(names) if isinstance(names, list) else None
    classes = timm.num_classes if timm.num_classes is not None else 1000
    channels = timm.model_args.get("in_chans", cfg.input_size[0])
    given = {k: v for k, v in timm.model_args.items() if k not in ("num_classes", "in_chans")}
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
        "config": given,
        "labels": listed if listed and len(listed) == classes else None,
        "license": cfg.license,
    }
    return msgspec.convert(table, Saved)
