"""config.json: a published model as data: the name of an installed model, and typed arguments.

zoo's own facts are under `zoo`; around them stands what timm and transformers read, where the
network is one of timm's. A repository that only has timm's part is understood too. Nothing in it is
a path to code, an endpoint or a host, and what is not known here is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.errors import WeightsError
from zoo_core.plugins.manifest_schema import INTERPOLATIONS
from zoo_core.weights.published import CONFIG, SCHEMA, Input, Saved
from zoo_core.weights.timm_layout import from_timm

LARGEST = 4 * 2**20  # bytes of a config.json; the longest label sets have a few hundred thousand


def read_config(path: Path, reference: str) -> Saved:
    """The facts in a config.json. Raises WeightsError, with the `reference` that it came from."""
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{reference}: {CONFIG} is larger than any description of a model.")
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise WeightsError(f"{reference}: {CONFIG} is no table.")
        if "zoo" in data:
            _check_schema(data["zoo"], reference)
            return _checked(msgspec.convert(data["zoo"], Saved, strict=True), reference)
        return _checked(from_timm(data, reference), reference)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        text = " ".join(str(error).replace("`", '"').split())
        raise WeightsError(
            f"{reference}: {CONFIG} does not describe a model of zoo: {text}.",
            hint="It was made by something else, or was changed since.",
        ) from error


def _check_schema(table: Any, reference: str) -> None:
    schema = table.get("schema") if isinstance(table, dict) else None
    if schema != SCHEMA:
        raise WeightsError(
            f"{reference}: {CONFIG} has schema {str(schema)[:40]}; this zoo reads {SCHEMA}.",
            hint="Upgrade it: pip install --upgrade zoo-core",
        )


def check_input(input: Input, reference: str) -> None:
    """Raise WeightsError for an input that no picture could be prepared for."""
    channels = input.size[0]
    if len(input.mean) != channels or len(input.std) != channels:
        raise WeightsError(f"{reference}: mean and std need {channels} numbers each.")
    if input.interpolation not in INTERPOLATIONS:
        raise WeightsError(f"{reference}: no interpolation {input.interpolation!r:.40}.")
    if not all(0 < value < 1e6 for value in input.std) or not 0 < input.crop <= 1:
        raise WeightsError(f"{reference}: std must be above 0, and crop in (0, 1].")
    if not all(abs(value) < 1e6 for value in input.mean):
        raise WeightsError(f"{reference}: a mean is no number.")


def _checked(saved: Saved, reference: str) -> Saved:
    check_input(saved.input, reference)
    if saved.labels is not None and len(saved.labels) != saved.num_classes:
        raise WeightsError(
            f"{reference}: {len(saved.labels)} labels for {saved.num_classes} classes."
        )
    if saved.format == "delta" and saved.base is None:
        raise WeightsError(f"{reference}: a delta without the base that it stands on.")
    return saved
