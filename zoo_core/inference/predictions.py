"""What predict() gives: a list of predictions, which a notebook shows with their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, SupportsIndex, TypedDict, overload

from zoo_core.data.decoding import read_picture
from zoo_core.humanize import readable_name, shortened
from zoo_core.pages.fragment import Grid, Meter, Strip, fragment, unless_it_fails
from zoo_core.pages.thumbnails import data_uri

SHOWN = 12  # pictures
LONGEST = 72  # pixels of the longer side
LEAST = 0.0005  # what would be 0.0% is not named

_HEADER = ("picture", "name", "label", "probability", "then")


class Prediction(TypedDict):
    """What a model says of one picture.

    `picture`: its path, or its place among all. `label`, `probability`: the first of `top`, whose
    items are (name, probability). Of a model that was trained for several classes in a picture,
    each probability is that of a yes of its own, so that they add up to anything; `labels`: all
    classes of a probability above one half, the likeliest first, and perhaps none.
    """

    picture: str
    label: str
    probability: float
    top: list[tuple[str, float]]
    labels: NotRequired[list[str]]


class Predictions(list[Prediction]):
    """Predictions in order: a list like any other, but for how it looks at a prompt.

    `pictures`: some of the pictures, by the names that predictions have for them.
    """

    def __init__(
        self, predictions: Iterable[Prediction] = (), pictures: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(predictions)
        self._pictures = dict(pictures or {})

    def __reduce__(self) -> Any:
        return type(self), (list(self),)  # a copy is of what was said

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice, /) -> Predictions: ...
    def __getitem__(self, place: SupportsIndex | slice, /) -> Prediction | Predictions:
        if isinstance(place, slice):
            return Predictions(super().__getitem__(place), self._pictures)
        return super().__getitem__(place)

    def __repr__(self) -> str:
        if not self:
            return "<0 predictions>"
        few = [f"{shortened(one['label'], 40)} {one['probability']:.1%}" for one in self[:3]]
        more = ", …" if len(self) > 3 else ""
        said = readable_name(", ".join(few))
        return f"<{len(self):,} prediction{'' if len(self) == 1 else 's'}: {said}{more}>"

    def __str__(self) -> str:
        return super().__repr__()

    @unless_it_fails
    def _repr_html_(self) -> str:
        rows = [_row(one, self._pictures) for one in self[:SHOWN]]
        more = len(self) - SHOWN
        sentences = [f"The first {SHOWN} of {len(self):,} predictions:"] if more > 0 else []
        sentences += [] if self else ["No predictions."]
        return fragment(sentences, Grid(_HEADER, rows))


def _row(one: Prediction, pictures: Mapping[str, Any]) -> list[str | Meter | Strip]:
    share = one["probability"]
    then = ", ".join(
        f"{shortened(name, 40)} {value:.1%}" for name, value in one["top"][1:3] if value > LEAST
    )
    said = ", ".join(one["labels"]) or "none" if "labels" in one else one["label"]
    strip = Strip(_small(pictures.get(one["picture"])))
    return [strip, Path(one["picture"]).name, said, Meter(share, said=f"{share:.1%}"), then]


def _small(picture: Any) -> list[str]:
    """A picture as a data URI; none where it is not at hand, or has gone since."""
    try:
        return [data_uri(read_picture(picture) if isinstance(picture, Path) else picture, LONGEST)]
    except Exception:
        return []
