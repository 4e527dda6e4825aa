"""16-bit pictures that are nearly black, since their values have 12 bits: counted and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_core.data.decoding import Chosen, Encoded
from zoo_core.data.pictures import Pictures

HEADERS, DECODED = 20_000, 256  # looked at in a set at most; of more, those spread evenly


def faint_pictures(pictures: Pictures) -> list[str]:
    """A line on those with 16 bits of which no value reaches 4096; none where there are none."""
    reader: Any = pictures.read
    places: Sequence[int] = range(len(pictures))
    if isinstance(reader, Chosen):
        reader, places = reader.read, reader.indices
    return faint_in(reader, places, "?bits=12") if isinstance(reader, Encoded) else []


def faint_in(reader: Encoded, places: Sequence[int], remedy: str) -> list[str]:
    """The line on the pictures of a reader at some places. Pictures of 8 bits are not decoded."""
    if reader.bits is not None:
        return []
    deep = [place for place in spread(places, HEADERS) if reader.is_deep(place)]
    decoded = spread(deep, DECODED)
    faint = [place for place in decoded if reader.is_faint(place)]
    if not faint:
        return []
    all_of_them = len(places) <= HEADERS and len(deep) <= DECODED
    some = "" if all_of_them else " that were looked at"
    return [
        f"{len(faint)} of {len(decoded)} pictures with 16 bits a pixel{some} hold no value of "
        f"4096 or more, and so are nearly black; the first is {reader.name_of(faint[0])}. "
        f"If their values have 12 bits, say so: {remedy}."
    ]


def spread(places: Sequence[int], most: int) -> Sequence[int]:
    """As many of the places as are wanted at most, from all over."""
    return places[:: -(-len(places) // most)] if places else places
