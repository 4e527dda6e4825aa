"""What a notebook, or a prompt, shows of a model: where its weights are from, and what trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo_core.humanize import readable_name, shortened, some, without_credentials
from zoo_core.model.pretrained_cfg import LOADED, Loaded
from zoo_core.pages.fragment import fragment
from zoo_core.transfer.parts import as_grid, how_much_trains, parts_of

NAMED = 40  # letters of a name among others


def html(model: Any) -> str:
    """The stages as a table, and above it what the model is. Nothing is computed, nor changed."""
    parts = parts_of(model)
    return fragment(_sentences(model, how_much_trains(parts)), as_grid(parts, "stage"),
                    title=model.info.name)  # fmt: skip


def in_a_line(model: Any) -> str:
    """The same for a prompt."""
    kind, name = type(model).__name__, shortened(model.info.name, NAMED)
    return readable_name(f"<{kind} {name}: {how_much_trains(parts_of(model))}>")


def _sentences(model: Any, trains: str) -> Iterator[str]:
    until = f"; frozen until {model._freezing.layer}" if model._freezing else ""
    yield f"{trains}{until}."
    yield f"Weights: {_weights(model)}."
    yield f"{_classes(model)}; pictures of {'×'.join(map(str, model.input.size))}."


def _weights(model: Any) -> str:
    origin, loaded = model.origin, vars(model).get(LOADED)
    if not origin.trained:
        return "random, unless you trained them: zoo knows of no training"
    known = without_credentials(origin.weights or model.loaded_from or "trained here")
    licence = loaded.license if isinstance(loaded, Loaded) else None
    told = f"{known} ({licence})" if licence else known
    told = f"trained by zoo, from {told}" if model._trained_on and origin.weights else told
    return f"{told}; the head is new" if origin.new_head else told


def _classes(model: Any) -> str:
    count = model.num_outputs
    if not count:
        return "No classes: features come out"
    named = [shortened(name, NAMED) for name in (model.labels or ())[:6]]
    return f"{count:,} class{'' if count == 1 else 'es'}" + (f" ({some(named)})" if named else "")
