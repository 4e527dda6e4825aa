"""Manifests: static facts about models and weights, in TOML, or generated JSON of the same schema.

The reader is strict: an unknown key, a wrong type or a bad hash is an error that names file, table
and the closest valid key. It imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.plugins.manifest_faults import check_model, converted, read_bytes
from zoo_core.plugins.manifest_schema import (
    HASHES,
    INSTALL,
    NAME,
    SOURCE,
    TAG,
    Input,
    Model,
    SoundManifest,
    Tables,
    Weights,
)
from zoo_core.types import InputSpec, ModelInfo, WeightsInfo

LONG = 200_000  # bytes of TOML that take a tenth of a second to read: worth remembering


def read_manifest(path: Path) -> list[ModelInfo]:
    """All models of one manifest file, in its order.

    Raises ManifestError with file, table and fault. Neither plugin nor distribution is known here.
    """
    manifest = load_manifest(path)
    return [manifest.record(name) for name in manifest.models]


def load_manifest(path: Path) -> Manifest:
    """The same without making the records; all of the file is checked."""
    body = read_bytes(path)
    if path.suffix == ".json":
        return Manifest(_decoded(body) or _by_table(path, body))
    return Manifest(_by_table(path, body) if len(body) <= LONG else _long(path, body))


def _long(path: Path, body: bytes) -> Tables:
    """The tables of much TOML, as they are remembered, or else to be remembered."""
    from zoo_core.plugins.manifest_cache import place_of, recalled, remember

    place = place_of(path)
    known = recalled(place, body) if place else None
    tables = _decoded(known) if known is not None else None
    if tables is None:
        tables = _by_table(path, body)
        if place:
            remember(place, body, tables)
    return tables


class Manifest:
    """The models of one file, checked, by name; `record` makes what zoo knows of one."""

    def __init__(self, tables: Tables) -> None:
        self.models, self.measured = tables.models, tables.measured

    def record(self, name: str, **origin: Any) -> ModelInfo:
        """`origin`: whose model it is, as in the fields of ModelInfo."""
        return _record(name, self.models[name], self.measured, origin)


# --- all at once ---------------------------------------------------------------------------------
# A generated file has thousands of tables: what has no fault is read in a few milliseconds. Where
# there is any, all is read again table by table, to tell which.


def _by_table(path: Path, body: bytes) -> Tables:
    tables = converted(path, body)
    for name, raw in tables.models.items():
        check_model(path, name, raw)
    return tables


def _decoded(body: bytes) -> Tables | None:
    """The tables of JSON without a fault; None for any other."""
    try:
        read = msgspec.json.decode(body, type=SoundManifest)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    models = read.models
    weights = [table for model in models.values() for table in model.weights.values()]
    several = any(sum(w.default for w in m.weights.values()) > 1 for m in models.values())
    sound = (
        _all(NAME, models)
        and _all(TAG, {tag for model in models.values() for tag in model.weights})
        and _all(SOURCE, (table.source for table in weights))
        and all(
            _all(pattern, (d for table in weights if (d := getattr(table, name)) is not None))
            for name, pattern in (*HASHES.items(), ("install", INSTALL))
        )
    )
    return Tables({**models}, read.measured) if sound and not several else None


def _all(pattern: re.Pattern[str], texts: Iterable[str]) -> bool:
    """Whether all texts match, in one go."""
    listed = list(texts)
    lines = "".join(f"{text}\n" for text in listed)
    alone = lines.count("\n") == len(listed)
    return alone and re.fullmatch(f"(?:(?:{pattern.pattern})\n)*", lines) is not None


# --- records -------------------------------------------------------------------------------------


def _record(name: str, raw: Model, measured: str, origin: Mapping[str, Any]) -> ModelInfo:
    own = _spec(raw.input) if raw.input else None
    weights = {tag: _weights_record(tag, w, own, measured) for tag, w in raw.weights.items()}
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
        **origin,
    )


def _weights_record(tag: str, raw: Weights, own: InputSpec | None, measured: str) -> WeightsInfo:
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
        sha1=raw.sha1,
        md5=raw.md5,
        sha512=raw.sha512,
        install=raw.install,
        gmacs=raw.gmacs,
        macts=raw.macts,
        speed=raw.speed,
        measured=measured if raw.metrics or raw.speed else "",
    )


def _spec(raw: Input) -> InputSpec:
    return InputSpec(
        *(raw.size, raw.mean, raw.std, raw.interpolation, raw.crop, raw.flip, raw.crop_mode)
    )
