"""A network as a row of solids, one for each stage: how large its maps are, how many, what trains.

A map's side is as long as its number of places says, a solid as thick as there are maps; numbers
without a place are a thin bar. Under each stand its name, what leaves it and its parameters, with
a bar for their share. What trains is filled, what is frozen is dashed, what has no weights is bare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from zoo_core.errors import ZooError
from zoo_core.files import written
from zoo_core.humanize import readable_name, shortened

COLUMN = 80  # pixels from one solid to the next
FLOOR = 132  # on which all of them stand
HEIGHT = 222
SIDE, LENGTH = 88, 8  # pixels of the side of the largest map; of a bar, for each doubling
SLANT = 0.32  # how far a solid goes back, for each pixel of its side
BAR = 64  # pixels of the bar of the stage with most parameters
SMALLEST = 0.85  # of its width: in a narrower place it scrolls, so that words can be read
LONGEST = 14  # letters of a stage's name
HUE = "#2f86c5"  # a middle tone, which stands out on light and dark
THEME = (
    "<style>svg { color: #1c2128 } @media (prefers-color-scheme: dark) { svg { color: #e4e9ee } }"
    "</style>"
)


@dataclass(frozen=True)
class Solid:
    """A stage: `shape` of what leaves it, such as (6, 14, 14); `params`; whether it is frozen.

    The first one is the picture: `params` is None.
    """

    name: str
    shape: Sequence[int]
    params: int | None = None
    frozen: bool = False

    @property
    def size(self) -> str:
        return "×".join(map(str, self.shape))

    @property
    def maps(self) -> tuple[int, float]:
        """How many maps there are, and the places of a side of each."""
        if len(self.shape) == 2:  # tokens, each of so many numbers
            return self.shape[1], math.sqrt(self.shape[0])
        first, *sides = self.shape
        if len(sides) == 2 and first == sides[0] != sides[1]:  # channels last
            return sides[1], first
        return first, max(sides, default=1)

    def told(self) -> str:
        weights = f", {self.params:,} parameters" if self.params else ""
        return f"{readable_name(self.name)} {self.size}{weights}{', frozen' * self.frozen}"


class Drawing(str):
    """An `<svg>` element, in the colours of what is around it; a notebook shows the picture."""

    def __repr__(self) -> str:
        return f"<Drawing of {len(self):,} letters of SVG: save(path) writes it>"

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto" tabindex="0">{self}</div>'

    def save(self, path: str | Path) -> Path:
        """Write it as a file of SVG, dark on light or light on dark as a reader prefers.

        Raises ZooError where it cannot be written.
        """
        place = Path(path).expanduser()
        try:
            with written(place) as temporary:
                temporary.write_text(self.replace(">", f">{THEME}", 1), encoding="utf-8")
        except OSError as error:
            raise ZooError(
                f"{readable_name(place)} cannot be written: {error.strerror}."
            ) from error
        return place


def drawing(title: str, solids: Sequence[Solid]) -> Drawing:
    """The picture of a chain: what goes in, and all stages in order.

    >>> drawn = drawing("two", [Solid("picture", (1, 8, 8)), Solid("head", (10,), 650)])
    >>> drawn[:4], drawn.count("<g>"), "two: picture 1×8×8; head 10, 650 parameters" in drawn
    ('<svg', 2, True)
    """
    width = COLUMN * len(solids)
    largest = max(solid.maps[1] for solid in solids)
    most = max((solid.params or 0 for solid in solids), default=0)
    parts = [
        f"<g>\n{''.join([*_solid(solid, number, largest), *_words(solid, number, most)])}</g>"
        for number, solid in enumerate(solids)
    ]
    told = escape(f"{readable_name(title)}: {'; '.join(solid.told() for solid in solids)}")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" '
        f'height="{HEIGHT}" role="img" aria-label="{told}" font-family="system-ui, sans-serif" '
        'font-size="11" fill="currentColor" text-anchor="middle" '
        'style="display: block; height: auto; max-width: 100%; '
        f'min-width: {SMALLEST * width:.0f}px">'
    )
    return Drawing("\n".join([head, *parts, "</svg>"]))


def _solid(solid: Solid, number: int, largest: float) -> Iterator[str]:
    """Front, top and side of what leaves a stage, and the way to it from the one before."""
    count, side = solid.maps
    if side > 1:
        tall = max(SIDE * math.sqrt(side / largest), 6)
        thick, back = 3 + 3 * math.log2(count + 1), SLANT * tall
    else:
        tall, thick, back = LENGTH * math.log2(count + 1), 9.0, 3.0
    left = COLUMN * (number + 0.5) - (thick + back) / 2
    if number:
        yield _arrow(COLUMN * (number - 0.5) + 30, COLUMN * (number + 0.5) - 28)
    up = f"l{back:.1f} -{back:.1f}"
    faces = {
        "front": (left, f"h{thick:.1f}v{tall:.1f}h-{thick:.1f}z"),
        "top": (left, f"{up}h{thick:.1f}l-{back:.1f} {back:.1f}z"),
        "side": (left + thick, f"{up}v{tall:.1f}l-{back:.1f} {back:.1f}z"),
    }
    for start, way in faces.values():
        yield f'<path d="M{start:.1f} {FLOOR - tall:.1f}{way}" {_look(solid)}/>\n'


def _arrow(start: float, end: float) -> str:
    way = f"M{start:.0f} {FLOOR - 9}H{end:.0f}m-4 -3l4 3l-4 3"
    return f'<path d="{way}" fill="none" stroke="currentColor" stroke-opacity="0.6"/>\n'


def _look(solid: Solid) -> str:
    if not solid.params:
        return 'fill="none" stroke="currentColor" stroke-linejoin="round"'
    if solid.frozen:
        return (
            'fill="currentColor" fill-opacity="0.08" stroke="currentColor" stroke-dasharray="3 3" '
            'stroke-linejoin="round"'
        )
    return f'fill="{HUE}" fill-opacity="0.45" stroke="{HUE}" stroke-linejoin="round"'


def _words(solid: Solid, number: int, most: int) -> Iterator[str]:
    middle = COLUMN * (number + 0.5)
    name = escape(shortened(readable_name(solid.name), LONGEST))
    count = "" if solid.params is None else f"{solid.params:,}" if solid.params else "no weights"
    lines = [(name, ' font-weight="600"'), (solid.size, ""), (count, "")]
    if solid.frozen:
        lines.append(("frozen", ' font-style="italic"'))
    for row, (words, how) in enumerate(lines):
        yield f'<text x="{middle:.0f}" y="{FLOOR + 22 + 16 * row}"{how}>{words}</text>\n'
    if solid.params:
        length = max(BAR * solid.params / most, 1)
        colour = "currentColor" if solid.frozen else HUE
        yield f'<rect x="{middle - length / 2:.1f}" y="{HEIGHT - 12}" width="{length:.1f}" '
        yield f'height="6" fill="{colour}"/>\n'
