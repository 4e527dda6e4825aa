"""16-bit pictures that are nearly black, since their values have 12 bits: counted and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_core.data.decoding import Chosen, Encoded
from zoo_core.data.pictures import Pictures

MOST = 256  # pictures with 16 bits that are decoded to know it; of more, those spread evenly


def faint_pictures(pictures: Pictures) -> list[str]:
    """A line on those with 16 bits of which no value reaches 4096; none where there are none.

    Only headers are read of pictures with 8 bits.
    """
    reader: Any = pictures.read
    places: Sequence[int] = range(len(pictures))
    if isinstance(reader, Chosen):
        reader, places = reader.read, reader.indices
    if not isinstance(reader, Encoded) or reader.bits is not None:
        return []
    deep = [place for place in places if reader.is_deep(place)]
    looked_at = deep[:: -(-len(deep) // MOST)] if deep else []
    faint = [place for place in looked_at if reader.is_faint(place)]
    if not faint:
        return []
    some = f" (of {len(deep)})" if len(looked_at) < len(deep) else ""
    return [
        f"{len(faint)} of {len(looked_at)} pictures{some} with 16 bits a pixel hold no value of "
        f"4096 or more, and so are nearly black; the first is {reader.name_of(faint[0])}. "
        "If their values have 12 bits, say so with ?bits=12."
    ]
