"""Manifests: static facts about models and weights, in TOML, or generated JSON of the same schema.

The reader is strict: an unknown key, a wrong type or a bad hash is an error that names file, table
and the closest valid key. It imports no torch.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from zoo_core.errors import ManifestError, did_you_mean
from zoo_core.types import InputSpec, ModelInfo, WeightsInfo

SCHEMA = 1
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/-]*")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SOURCE = re.compile(r"(hf|https|pkg|[a-z][a-z0-9+-]*)://.+|file:.+")

Scalar = str | int | float | bool


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop: float = 0.875
    flip: bool = True


class _Weights(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    source: str
    default: bool = False
    sha256: str | None = None
    license: str | None = None
    labels: str | list[str] | None = None
    num_classes: int | None = None
    input: _Input | None = None
    metrics: dict[str, float] = {}
    recipe: str | None = None


class _Model(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    architecture: str
    default: bool = False
    config: dict[str, Scalar | list[Scalar]] = {}
    params: int | None = None
    gmacs: float | None = None
    paper: str | None = None
    summary: str = ""
    num_classes: int = 1000
    input: _Input | None = None
    weights: Mapping[str, _Weights] = {}


def read_manifest(path: Path) -> list[ModelInfo]:
    """All models of one manifest file, in its order.

    Raises ManifestError with file, table and fault. Neither plugin nor distribution is known here.
    """
    manifest = load_manifest(path)
    return [manifest.record(name) for name in manifest.models]


def load_manifest(path: Path) -> Manifest:
    """The same without making the records; all of the file is checked."""
    models = _decoded(path) if path.suffix == ".json" else None
    if models is None:
        models = _converted(path)
        for name, raw in models.items():
            _check_model(path, name, raw)
    return Manifest(models)


class Manifest:
    """The models of one file, checked, by name; `record` makes what zoo knows of one."""

    def __init__(self, models: dict[str, _Model]) -> None:
        self.models = models

    def record(self, name: str) -> ModelInfo:
        return _record(name, self.models[name])


# --- all at once ---------------------------------------------------------------------------------
# A generated file has thousands of tables: what has no fault is read in a few milliseconds. Where
# there is any, all is read again table by table, to tell which.

Positive = Annotated[int, Meta(gt=0)]


class _SoundInput(_Input, forbid_unknown_fields=True):
    size: tuple[Positive, Positive, Positive] = (3, 224, 224)
    std: tuple[Annotated[float, Meta(gt=0)], ...] = (0.229, 0.224, 0.225)
    interpolation: Interpolation = "bilinear"
    crop: Annotated[float, Meta(gt=0, le=1)] = 0.875

    def __post_init__(self) -> None:
        if not self.size[0] == len(self.mean) == len(self.std):
            raise ValueError("channels")


class _SoundWeights(_Weights, forbid_unknown_fields=True):
    num_classes: Annotated[int, Meta(ge=0)] | None = None
    input: _SoundInput | None = None


class _SoundModel(_Model, forbid_unknown_fields=True):
    params: Positive | None = None
    gmacs: Annotated[float, Meta(gt=0)] | None = None
    num_classes: Positive = 1000
    input: _SoundInput | None = None
    weights: Mapping[str, _SoundWeights] = {}


class _SoundManifest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    schema: Literal[1]
    models: dict[str, _SoundModel] = {}


def _decoded(path: Path) -> dict[str, _Model] | None:
    """The tables of a JSON file without a fault; None for any other."""
    try:
        models = msgspec.json.decode(path.read_bytes(), type=_SoundManifest).models
    except (OSError, msgspec.MsgspecError):
        return None
    weights = [table for model in models.values() for table in model.weights.values()]
    several = any(sum(w.default for w in m.weights.values()) > 1 for m in models.values())
    sound = (
        _all(_NAME, models)
        and _all(_TAG, {tag for model in models.values() for tag in model.weights})
        and _all(_SOURCE, (table.source for table in weights))
        and _all(_SHA256, (table.sha256 for table in weights if table.sha256 is not None))
    )
    return {**models} if sound and not several else None


def _all(pattern: re.Pattern[str], texts: Iterable[str]) -> bool:
    """Whether all texts match, in one go."""
    listed = list(texts)
    lines = "".join(f"{text}\n" for text in listed)
    alone = lines.count("\n") == len(listed)
    return alone and re.fullmatch(f"(?:(?:{pattern.pattern})\n)*", lines) is not None


# --- table by table ------------------------------------------------------------------------------


def _converted(path: Path) -> dict[str, _Model]:
    """The tables, one by one, so that a fault is told with its table."""
    data = _parse(path)
    schema = data.pop("schema", None)
    if schema != SCHEMA:
        raise ManifestError(
            f"{path}: schema is {schema!r}, this version of zoo reads schema {SCHEMA}.",
            hint=f"Write schema = {SCHEMA} at the top, or upgrade zoo-core.",
        )
    models = data.pop("models", {})
    if data:
        key = next(iter(data))
        raise ManifestError(f"{path}: {_unknown_key(key, ('schema', 'models'))}")
    if not isinstance(models, dict):
        raise ManifestError(f"{path}: models must be tables, such as [models.resnet50].")
    return {name: _table(path, name, table) for name, table in models.items()}


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:  # UnicodeDecodeError, TOMLDecodeError, JSONDecodeError are such
        raise ManifestError(f"{path}: not valid {path.suffix[1:].upper()}: {error}.") from error
    if not isinstance(data, dict):
        raise ManifestError(f"{path}: the top level must be a table.")
    return data


def _table(path: Path, name: str, table: Any) -> _Model:
    where = f"{path}, [models.{name}]"
    _check_name(where, "model", name, _NAME)
    weights = table.get("weights") if isinstance(table, dict) else None
    if not isinstance(weights, dict):
        return _convert(where, table, _Model)
    raw: _Model = _convert(where, {**table, "weights": {}}, _Model)
    raw.weights = {tag: _weights_table(path, name, tag, inner) for tag, inner in weights.items()}
    return raw


def _weights_table(path: Path, name: str, tag: str, table: Any) -> _Weights:
    where = f"{path}, [models.{name}.weights.{tag}]"
    _check_name(where, "weights", tag, _TAG)
    return _convert(where, table, _Weights)


# --- what a schema does not say ------------------------------------------------------------------


def _check_model(path: Path, name: str, raw: _Model) -> None:
    where = f"{path}, [models.{name}]"
    _check_name(where, "model", name, _NAME)
    for value in (raw.params, raw.gmacs, raw.num_classes):
        if value is not None and value <= 0:
            raise ManifestError(f"{where}: params, gmacs and num_classes must be positive.")
    if raw.input:
        _check_input(where, raw.input)
    for tag, weights in raw.weights.items():
        _check_weights(f"{path}, [models.{name}.weights.{tag}]", tag, weights)
    defaults = [tag for tag, weights in raw.weights.items() if weights.default]
    if len(defaults) > 1:
        raise ManifestError(f"{where}: more than one default weights: {', '.join(defaults)}.")


def _check_weights(where: str, tag: str, raw: _Weights) -> None:
    _check_name(where, "weights", tag, _TAG)
    if raw.sha256 is not None and not _SHA256.fullmatch(raw.sha256):
        raise ManifestError(f"{where}: sha256 must be 64 lower-case hex digits: {raw.sha256!r}.")
    if not _SOURCE.fullmatch(raw.source):
        raise ManifestError(
            f"{where}: source {raw.source!r} has no scheme.",
            hint="Write hf://owner/name@revision/file, https://…, file:PATH or pkg://package/path.",
        )
    if raw.num_classes is not None and raw.num_classes < 0:
        raise ManifestError(f"{where}: num_classes must be positive, or 0 for no classifier.")
    if raw.input:
        _check_input(where, raw.input)


def _check_input(where: str, raw: _Input) -> None:
    channels = raw.size[0]
    if raw.interpolation not in INTERPOLATIONS:
        valid = f"Valid: {', '.join(INTERPOLATIONS)}."
        near = did_you_mean(raw.interpolation, INTERPOLATIONS) or valid
        raise ManifestError(f'{where}: interpolation is "{raw.interpolation}". {near}')
    if min(raw.size) < 1 or not 0 < raw.crop <= 1:
        raise ManifestError(f"{where}: input sizes must be positive and crop in (0, 1].")
    if len(raw.mean) != channels or len(raw.std) != channels or min(raw.std) <= 0:
        needed = f"{channels} numbers in mean, and {channels} > 0 in std"
        raise ManifestError(f"{where}: input needs {needed}.")


def _check_name(where: str, what: str, name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name):
        rule = 'letters, digits, "_" and "-" only'
        raise ManifestError(f'{where}: "{name}" is no {what} name: {rule}.')


def _convert(where: str, table: Any, kind: Any) -> Any:
    if isinstance(table, dict):
        _check_keys(where, table, kind)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace(" - at `$.", ", at `").replace("`", '"')
        raise ManifestError(f"{where}: {text}.") from error


def _check_keys(where: str, table: dict[str, Any], kind: Any) -> None:
    """Refuse unknown keys of a table, and of the input table in it."""
    fields = kind.__struct_fields__
    for key in table:
        if key not in fields:
            raise ManifestError(f"{where}: {_unknown_key(key, fields)}")
    inner, fields = table.get("input"), _Input.__struct_fields__
    if isinstance(inner, dict):
        for key in inner:
            if key not in fields:
                raise ManifestError(f"{where}: {_unknown_key(key, fields, ' in input')}")


def _unknown_key(key: str, valid: tuple[str, ...], where: str = "") -> str:
    near = did_you_mean(key, valid) or f"Valid: {', '.join(valid)}."
    return f'unknown key "{key}"{where}. {near}'


# --- records -------------------------------------------------------------------------------------


def _record(name: str, raw: _Model) -> ModelInfo:
    own = _spec(raw.input) if raw.input else None
    weights = {tag: _weights_record(tag, w, own) for tag, w in raw.weights.items()}
    if own is None:
        first = next((w for w in weights.values() if w.default), None)
        own = first.input if first else InputSpec()
    return ModelInfo(
        name=name,
        architecture=raw.architecture,
        config=raw.config,
        default=raw.default,
        params=raw.params,
        gmacs=raw.gmacs,
        paper=raw.paper,
        summary=raw.summary,
        num_classes=raw.num_classes,
        input=own,
        weights=weights,
    )


def _weights_record(tag: str, raw: _Weights, own: InputSpec | None) -> WeightsInfo:
    named = tuple(raw.labels) if isinstance(raw.labels, list) else None
    return WeightsInfo(
        tag=tag,
        source=raw.source,
        sha256=raw.sha256,
        license=raw.license,
        labels=named or raw.labels,  # type: ignore[arg-type]
        num_classes=len(named) if named and raw.num_classes is None else raw.num_classes,
        input=_spec(raw.input) if raw.input else (own or InputSpec()),
        metrics=raw.metrics,
        default=raw.default,
        recipe=raw.recipe,
    )


def _spec(raw: _Input) -> InputSpec:
    return InputSpec(raw.size, raw.mean, raw.std, raw.interpolation, raw.crop, raw.flip)
