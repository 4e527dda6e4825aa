"""What is wrong with a manifest: file, table and the closest valid key."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.errors import ManifestError, closest, did_you_mean
from zoo_core.files import content
from zoo_core.humanize import readable_name
from zoo_core.plugins.manifest_schema import (
    CROP_MODES,
    DIGITS,
    HASHES,
    INSTALL,
    INTERPOLATIONS,
    LARGEST,
    LARGEST_CROP,
    LONGEST_NAME,
    LONGEST_SIDE,
    MOST,
    NAME,
    SCHEMA,
    SOURCE,
    TAG,
    Input,
    Model,
    Tables,
    Weights,
)


def read_bytes(path: Path) -> bytes:
    """The bytes of a manifest. Raises ManifestError where it is no file, or larger than one is."""
    try:
        return content(path, most=MOST)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = getattr(error, "strerror", None) or error
        if path.is_dir():
            reason = os.strerror(errno.EISDIR)
        raise ManifestError(f"{readable_name(path)}: cannot be read: {reason}.") from error


def converted(path: Path, body: bytes) -> Tables:
    """The tables, one by one, so that a fault is told with its table."""
    data = _parse(path, body)
    schema = data.pop("schema", None)
    if schema != SCHEMA or isinstance(schema, bool | float):
        shown = repr(schema) if isinstance(schema, str | None) else f"a {type(schema).__name__}"
        shown = str(schema) if isinstance(schema, int) and abs(schema) <= LARGEST else shown
        raise ManifestError(
            f"{path}: schema is {shown[:40]}, this version of zoo reads schema {SCHEMA}.",
            hint=f"Write schema = {SCHEMA} at the top, or upgrade zoo-core.",
        )
    models, measured = data.pop("models", {}), data.pop("measured", "")
    if data:
        key = next(iter(data))
        raise ManifestError(f"{path}: {_unknown_key(key, ('schema', 'measured', 'models'))}")
    if not isinstance(measured, str):
        raise ManifestError(f"{path}: measured must be text: whose the figures are, and of when.")
    if not isinstance(models, dict):
        raise ManifestError(f"{path}: models must be tables, such as [models.resnet50].")
    return Tables({name: _table(path, name, table) for name, table in models.items()}, measured)


def _parse(path: Path, body: bytes) -> dict[str, Any]:
    kind = path.suffix[1:].upper()
    try:
        text = body.decode("utf-8")
        data = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except RecursionError as error:
        raise ManifestError(f"{path}: not valid {kind}: nested too deeply.") from error
    except ValueError as error:  # UnicodeDecodeError, TOMLDecodeError, JSONDecodeError are such
        raise ManifestError(f"{path}: not valid {kind}: {error}.") from error
    if not isinstance(data, dict):
        raise ManifestError(f"{path}: the top level must be a table.")
    return data


def _table(path: Path, name: str, table: Any) -> Model:
    place = f"{path}, [models.{name}]"
    _check_name(place, "model", name, NAME)
    weights = table.get("weights") if isinstance(table, dict) else None
    if not isinstance(weights, dict):
        return _convert(place, table, Model)
    raw: Model = _convert(place, {**table, "weights": {}}, Model)
    raw.weights = {tag: _weights_table(path, name, tag, inner) for tag, inner in weights.items()}
    return raw


def _weights_table(path: Path, name: str, tag: str, table: Any) -> Weights:
    place = f"{path}, [models.{name}.weights.{tag}]"
    _check_name(place, "weights", tag, TAG)
    return _convert(place, table, Weights)


def check_model(path: Path, name: str, raw: Model) -> None:
    """Raise ManifestError where a table of a model says what cannot be."""
    place = f"{path}, [models.{name}]"
    _check_name(place, "model", name, NAME)
    for value in (raw.params, raw.gmacs, raw.num_classes):
        if value is not None and not 0 < value <= LARGEST:
            raise ManifestError(
                f"{place}: params, gmacs and num_classes must be positive, and of 63 bits."
            )
    _check_numbers(place, "config", raw.config)
    if raw.input:
        _check_input(place, raw.input)
    for tag, weights in raw.weights.items():
        _check_weights(f"{path}, [models.{name}.weights.{tag}]", tag, weights)
    defaults = [tag for tag, weights in raw.weights.items() if weights.default]
    if len(defaults) > 1:
        raise ManifestError(f"{place}: more than one default weights: {', '.join(defaults)}.")


def _check_weights(place: str, tag: str, raw: Weights) -> None:
    _check_name(place, "weights", tag, TAG)
    for name, pattern in HASHES.items():
        digest = getattr(raw, name)
        if digest is not None and not pattern.fullmatch(digest):
            rule = f"{name} must be {DIGITS[name]} lower-case hex digits"
            raise ManifestError(f"{place}: {rule}: {digest[:200]!r}.")
    if not SOURCE.fullmatch(raw.source):
        raise ManifestError(
            f"{place}: source {raw.source!r} has no scheme.",
            hint="Write hf://owner/name@revision/file, https://…, file:PATH or pkg://package/path.",
        )
    if raw.install is not None and not INSTALL.fullmatch(raw.install):
        raise ManifestError(
            f"{place}: install {raw.install[:200]!r} is no name of a distribution.",
            hint='Write one that pip takes, with or without an extra, such as "zoo-acme[weights]".',
        )
    _check_numbers(place, "metrics", raw.metrics)
    for value in (raw.gmacs, raw.macts, *raw.speed.values()):
        if value is not None and not 0 < value <= LARGEST:
            rule = "gmacs, macts and what is in speed must be positive, and of 63 bits"
            raise ManifestError(f"{place}: {rule}.")
    if raw.num_classes is not None and not 0 <= raw.num_classes <= LARGEST:
        raise ManifestError(f"{place}: num_classes must be positive, or 0 for no classifier.")
    if raw.input:
        _check_input(place, raw.input)


def _check_numbers(place: str, what: str, table: Mapping[str, Any]) -> None:
    """No infinite ones, none that is not a number, and none that takes pages to print."""
    for key, value in table.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int | float) and not abs(one) <= LARGEST:
                raise ManifestError(f'{place}: {what} has "{key[:40]}", a number out of bounds.')


def _check_input(place: str, raw: Input) -> None:
    channels = raw.size[0]
    _check_choice(place, "interpolation", raw.interpolation, INTERPOLATIONS)
    _check_choice(place, "crop_mode", raw.crop_mode, CROP_MODES)
    if not 1 <= min(raw.size) <= max(raw.size) <= LONGEST_SIDE or not 0 < raw.crop <= LARGEST_CROP:
        raise ManifestError(
            f"{place}: input sizes must be positive, up to {LONGEST_SIDE:,}, "
            f"and crop in (0, {LARGEST_CROP}]."
        )
    finite = all(map(math.isfinite, (*raw.mean, *raw.std)))
    if not finite or len(raw.mean) != channels or len(raw.std) != channels or min(raw.std) <= 0:
        needed = f"{channels} numbers in mean, and {channels} > 0 in std"
        raise ManifestError(f"{place}: input needs {needed}.")


def _check_choice(place: str, what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        near = did_you_mean(value, valid) or f"Valid: {', '.join(valid)}."
        raise ManifestError(f'{place}: {what} is "{value}". {near}')


def _check_name(place: str, what: str, name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name):
        rule = f'letters, digits, "_" and "-" only, and at most {LONGEST_NAME}'
        raise ManifestError(f'{place}: "{name[:LONGEST_NAME]}" is no {what} name: {rule}.')


def _convert(place: str, table: Any, struct: Any) -> Any:
    if isinstance(table, dict):
        _check_keys(place, table, struct)
    try:
        return msgspec.convert(table, struct)
    except RecursionError as error:
        raise ManifestError(f"{place}: nested too deeply.") from error
    except msgspec.ValidationError as error:
        text = str(error).replace(" - at `$.", ", at `").replace("`", '"')
        raise ManifestError(f"{place}: {text}.") from error


def _check_keys(place: str, table: dict[str, Any], struct: Any) -> None:
    """Refuse unknown keys of a table, and of the input table in it."""
    fields = struct.__struct_fields__
    for key in table:
        if key not in fields:
            raise ManifestError(f"{place}: {_unknown_key(key, fields)}")
    inner, fields = table.get("input"), Input.__struct_fields__
    if isinstance(inner, dict):
        for key in inner:
            if key not in fields:
                raise ManifestError(f"{place}: {_unknown_key(key, fields, ' in input')}")


def _unknown_key(key: str, valid: tuple[str, ...], place: str = "") -> str:
    key = key[:LONGEST_NAME]
    near = did_you_mean(key, closest(key, valid)[:1]) or f"Valid: {', '.join(valid)}."
    return f'unknown key "{key}"{place}. {near}'
