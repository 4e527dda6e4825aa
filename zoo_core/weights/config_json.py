"""config.json: a published model as data: the name of an installed model, and typed arguments.

zoo's own facts are under `zoo`; around them stands what timm and transformers read, where the
network is one of timm's. A repository that only has timm's part is understood too. Nothing in it is
a path to code, an endpoint or a host, and what is not known here is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.errors import WeightsError
from zoo_core.files import NoRegularFile, text
from zoo_core.humanize import one_line, readable_name, without_credentials
from zoo_core.plugins.manifest_schema import CROP_MODES, INTERPOLATIONS, LARGEST_CROP
from zoo_core.weights.published import CONFIG, SCHEMA, Input, Saved
from zoo_core.weights.timm_layout import from_timm

# what a builder, such as timm's, would take for a file or an address to load from
FORBIDDEN = (
    *("pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay"),
    *("pretrained_model_args", "scriptable", "exportable", "no_jit", "num_classes", "in_chans"),
)
PLAIN = re.compile(r"[^/\\:\x00-\x1f\x7f]*")  # no path, no scheme

LARGEST = 4 * 2**20  # bytes of a config.json; the longest label sets have a few hundred thousand


def read_config(path: Path, reference: str) -> Saved:
    """The facts in a config.json. Raises WeightsError, with the `reference` that it came from."""
    reference = readable_name(without_credentials(reference))
    try:
        data = _parsed(text(path, most=LARGEST, encoding="utf-8-sig"))
        if "zoo" not in data:
            return _checked(from_timm(data, reference), reference)
        _check_schema(data["zoo"], reference)
        return _checked(msgspec.convert(data["zoo"], Saved, strict=True), reference)
    except OSError as error:
        reason = f"{path} {error}" if isinstance(error, NoRegularFile) else error.strerror
        raise WeightsError(f"{reference}: {CONFIG} cannot be read: {reason}.") from error
    except RecursionError as error:
        raise _unreadable(reference, "it is nested too deeply") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise _unreadable(reference, one_line(error).replace("`", '"')) from error


def _unreadable(reference: str, why: str) -> WeightsError:
    return WeightsError(
        f"{reference}: {CONFIG} does not describe a model of zoo: {readable_name(why)}.",
        hint="It was made by something else, or was changed since.",
    )


def _parsed(body: str) -> dict[str, Any]:
    """JSON as its standard has it: no NaN, no name twice. Raises ValueError."""
    data = json.loads(
        body, object_pairs_hook=_table, parse_constant=_no_number, parse_int=_whole_number
    )
    if not isinstance(data, dict):
        raise ValueError("it is no table")
    return data


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f'"{name[:100]}" stands there twice')
        table[name] = value
    return table


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _whole_number(digits: str) -> int:
    if len(digits) > 19:
        raise ValueError(f"{digits[:19]}… is too large a number")
    return int(digits)


def _check_schema(table: Any, reference: str) -> None:
    if not isinstance(table, dict):
        raise ValueError("zoo is no table")
    schema = table.get("schema")
    if schema != SCHEMA:
        shown = readable_name(str(schema)[:40])
        raise WeightsError(
            f"{reference}: {CONFIG} has schema {shown}; this zoo reads {SCHEMA}.",
            hint="Upgrade it: pip install --upgrade zoo-core",
        )


def check_input(input: Input, where: str) -> None:
    """Raise WeightsError for an input that no picture could be prepared for."""
    channels = input.size[0]
    if len(input.mean) != channels or len(input.std) != channels:
        raise WeightsError(f"{where}: mean and std need {channels} numbers each.")
    if input.interpolation not in INTERPOLATIONS:
        raise WeightsError(f"{where}: no interpolation {input.interpolation!r:.40}.")
    if input.crop_mode not in (None, *CROP_MODES):
        raise WeightsError(f"{where}: no crop_mode {input.crop_mode!r:.40}.")
    if not all(0 < value < 1e6 for value in input.std) or not 0 < input.crop <= LARGEST_CROP:
        raise WeightsError(f"{where}: std must be above 0, and crop in (0, {LARGEST_CROP}].")
    if not all(abs(value) < 1e6 for value in input.mean):
        raise WeightsError(f"{where}: a mean is no number.")


def _checked(saved: Saved, reference: str) -> Saved:
    check_input(saved.input, f"{reference}: {CONFIG}")
    if saved.labels is not None and len(saved.labels) != saved.num_classes:
        raise WeightsError(
            f"{reference}: {CONFIG}: {len(saved.labels)} labels for {saved.num_classes} classes."
        )
    _check_options(saved.config, reference)
    if saved.format == "delta" and saved.base is None:
        raise WeightsError(f"{reference}: {CONFIG}: a delta without the base that it stands on.")
    return saved


def _check_options(config: Mapping[str, Any], reference: str) -> None:
    """An option says how a network is built; none leads to a place, or asks for other weights."""
    for name, value in config.items():
        for part in value if isinstance(value, list) else [value]:
            if name in FORBIDDEN or (isinstance(part, str) and not PLAIN.fullmatch(part)):
                shown = readable_name(f"{name} = {part!r}"[:120])
                raise WeightsError(
                    f"{reference}: {CONFIG}: no option may say {shown}.",
                    hint="An option is a number or a plain word: no path, no address, no weights.",
                )
