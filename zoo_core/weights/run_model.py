"""[model] of a recipe as typed facts, read as strictly as a config.json.

It may have been made by anybody. So it names an installed model, options of that model, and
weights that its manifest has, that a publisher has, or that were fetched here before; nothing in it
makes zoo ask another place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.errors import RecipeError, WeightsError
from zoo_core.humanize import one_line, readable_name, without_credentials
from zoo_core.plugins.catalogue import catalogue
from zoo_core.runs.recipe import RECIPE
from zoo_core.types import InputSpec, ModelInfo
from zoo_core.weights.config_json import check_input
from zoo_core.weights.lock import was_had
from zoo_core.weights.published import Channels, Count, Input, Sha256
from zoo_core.weights.sources import split_reference

# What is said of a model beside the options of its architecture: arguments of create().
NO_OPTIONS = frozenset(
    "name pretrained num_classes in_chans labels freeze_until device dtype config".split()
)
DEEPEST, MOST_VALUES, LARGEST_NUMBER = 4, 10_000, 100_000


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is below a run on this machine; see `local.LocalBase`."""

    path: str
    sha256: Sha256
    beside: str = "."


class RunModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [model] of a recipe."""

    reference: str
    in_chans: Channels
    input: Input
    num_classes: Count
    plugin: str = ""
    config: dict[str, Any] = {}
    weights: str | None = None
    sha256: Sha256 | None = None
    labels: tuple[str, ...] | None = None
    multilabel: bool = False
    base: Base | None = None

    @property
    def spec(self) -> InputSpec:
        return self.input.spec


def model_of(facts: Mapping[str, Any], folder: Path) -> RunModel:
    """The facts, checked. Raises RecipeError with the recipe's path and what is wrong in it."""
    path = folder / RECIPE
    for name in ("reference", "in_chans", "input", "num_classes"):
        if name not in facts:
            raise RecipeError(f"{path} lacks something in [model]: '{name}'.")
    try:
        told = msgspec.convert(dict(facts), RunModel, strict=True)
        check_input(told.input, str(path))
    except WeightsError as error:
        raise RecipeError(error.message) from error
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        text = _plain(error)
        fault = "lacks something" if "unknown field" in text else "is wrong"
        raise RecipeError(f"{path} {fault} in [model]: {text}.") from error
    if not _is_bounded([told.config]):
        raise RecipeError(f"{path} has in [model.config] what no option of a model is.")
    return told


def _plain(error: Exception) -> str:
    """msgspec's words, with the key where it is wrong: `num_classes: Expected int, got str`."""
    text, _, place = one_line(error).rpartition(" - at `$.")
    key, fault = (place.rstrip("`"), text) if text else ("", one_line(error))
    return readable_name(f"{key}: {fault}".removeprefix(": ").replace("`", "'"))


def check_options(told: RunModel, info: ModelInfo, folder: Path) -> None:
    """Raise RecipeError for arguments of create(), and for another variant than the model's own."""
    for key, value in told.config.items():
        is_other = key == "variant" and value != info.config.get("variant")
        if key in NO_OPTIONS or is_other:
            raise RecipeError(
                f"{folder / RECIPE} has {key} in [model.config], which is no option of {info.name}."
            )


def check_weights(told: RunModel, info: ModelInfo, folder: Path) -> None:
    """Raise RecipeError for weights that a recipe of anybody may not have zoo fetch."""
    weights = told.weights
    if weights is None or weights in info.weights:
        return
    if "://" not in weights and not weights.startswith("file:"):
        catalogue().weights(info, weights)  # raises, with the tags there are
    known = any(weights == own.source for own in info.weights.values())
    scheme = split_reference(weights)[0]
    if known or (told.sha256 is not None and _is_had(weights, scheme, told.sha256)):
        return
    shown = readable_name(without_credentials(weights))
    raise RecipeError(
        f"{folder / RECIPE} names weights at {shown:.200}, which a recipe may not have zoo fetch.",
        hint=f"Where you trust that place: zoo fetch {shown:.200}",
    )


def _is_had(weights: str, scheme: str, sha256: str) -> bool:
    """Whether it is a published model, or a file that this user has had from there before."""
    if scheme != "file" and catalogue().publisher(scheme) is not None:
        return True
    return was_had(weights, sha256)


def _is_bounded(values: list[Any], depth: int = 0) -> bool:
    """Whether all are texts, moderate numbers, yes or no, or not very deep lists of these."""
    inner: list[Any] = []
    for value in values:
        if isinstance(value, dict):
            inner += value.values()
        elif isinstance(value, list):
            inner += value
        elif isinstance(value, int):
            if abs(value) > LARGEST_NUMBER:
                return False
        elif not isinstance(value, str | float):
            return False
    few = len(inner) <= MOST_VALUES
    return not inner or (few and depth < DEEPEST and _is_bounded(inner, depth + 1))
