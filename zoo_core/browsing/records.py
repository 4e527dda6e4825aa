"""All models as the data of a page: JSON for its script, which no name can break out of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from zoo_core.browsing.ordering import most_measured
from zoo_core.browsing.row import Row
from zoo_core.humanize import readable_name
from zoo_core.plugins.manager import BUILT_IN

KEYS = (
    "name kind params gmacs macts top1 data input licence default installed classes metrics speed "
    "measured summary paper install"
).split()


def data_of(rows: Sequence[Row], installed: Iterable[str] = ()) -> dict[str, Any]:
    """What the page shows of `rows`; `installed`: references to weights on this machine.

    Texts that many rows share (`kinds`, `measured`) are there once, and rows have their places.
    """
    kinds, measured, present = _Places(), _Places(), frozenset(installed)
    told = (_of(row, kinds, measured, present) for row in rows)
    listed = [[one[key] for key in KEYS] for one in told]
    return {
        "keys": KEYS,
        "rows": listed,
        "kinds": [{"name": name, "third": third} for name, third in kinds.listed],
        "measured": measured.listed,
        "main": most_measured(rows),
    }


class _Places:
    """Values in the order in which they came, each once."""

    def __init__(self) -> None:
        self._place: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        return self._place.setdefault(value, len(self._place))

    @property
    def listed(self) -> list[Any]:
        return list(self._place)


def _of(row: Row, kinds: _Places, measured: _Places, installed: frozenset[str]) -> dict[str, Any]:
    model, weights = row.model, row.weights
    told: dict[str, Any] = {
        "name": row.reference,
        "kind": kinds(kind(row)),
        "params": model.params,
        "gmacs": row.gmacs,
        "top1": row.top1,
        "data": row.data,
        "input": row.shape,
        "default": weights is not None and weights.default,
        "installed": row.reference in installed,
        "classes": model.num_classes,
        "summary": model.summary,
        "paper": model.paper if (model.paper or "").startswith("https://") else None,
    }
    if weights is None:
        return dict.fromkeys(KEYS) | told
    return (
        dict.fromkeys(KEYS)
        | told
        | {
            "macts": weights.macts,
            "licence": weights.license or "",
            "classes": model.num_classes if weights.num_classes is None else weights.num_classes,
            "metrics": dict(weights.metrics),
            "speed": dict(weights.speed),
            "measured": measured(weights.measured) if weights.measured else None,
            "install": weights.install,
        }
    )


def kind(row: Row) -> tuple[str, bool]:
    """Whose model it is, and whether that is a third party: official, a prefix of zoo's own
    plugins, or the distribution of others.

    >>> from zoo_core.browsing.row import all_models
    >>> [kind(Row(model)) for model in all_models("lenet5")]
    [('official', False)]
    """
    if row.model.official:
        return "official", False
    if row.model.distribution == BUILT_IN:
        return row.model.name.partition("/")[0], False
    return row.model.distribution, True


def as_script(value: Any) -> str:
    r"""JSON for inside a `<script>`: nothing in it ends the element, or turns text around.

    >>> print(as_script(["</script>", "a\u202eb", 1.0]))
    ["\u003c/script\u003e","a\\u202eb",1.0]
    """
    text = json.dumps(_readable(value), separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return readable_name(value)
    if isinstance(value, dict):
        return {readable_name(key): _readable(one) for key, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, list | tuple) else value
