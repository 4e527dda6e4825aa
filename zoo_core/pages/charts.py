"""Curves over epochs as SVG. Colours, dashes and fonts are those of the page around it.

The page styles these classes: `axis`, `grid` and `best` (lines); `tick` and `step` (words, and a
line); `curve` and `dot`, each with `c0` to `c7`; `spot`, which tells its value when pointed at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from zoo_core.humanize import readable_name

WIDTH, HEIGHT = 400, 210
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 30, 34  # margins; steps are named in the upper one
COLORS = 8
SPOTS = 200  # epochs of a curve whose values can be pointed at; of more, as many spread out
FACTOR = 20  # values that differ by more than this are told apart on a logarithmic scale
LETTER = 6.5  # the width of a letter in a step's name, about

Point = tuple[int, float]  # epoch and value


@dataclass(frozen=True)
class Chart:
    """A title, the names of the curves in order, and the `<svg>` element.

    `styles`: of each curve, the class of its colour and dashes.
    """

    title: str
    names: list[str]
    svg: str
    styles: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Marks:
    """What a chart has marked: the best epoch, and by epoch what began to train.

    `each`: where curves are of different runs, the best epoch of each by its name.
    """

    best: int | None = None
    steps: Mapping[float, str] = field(default_factory=dict)
    each: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """From values in [low, high] to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high)


def chart(
    title: str,
    series: Mapping[str, Sequence[float]],
    epochs: Sequence[int],
    marks: Marks | None = None,
    *,
    percent: bool = False,
) -> Chart | None:
    """One curve per name over epochs, or None where no value is finite.

    `series`: as many values as `epochs`, by name; one that is not finite leaves a gap. `percent`:
    values are in [0, 1]. A curve looks as its place in `series` says: the same in other charts,
    where others may be missing. The scale is logarithmic where positive values differ 20-fold.

    >>> drawn = chart("Loss", {"training": [2.0, 1.0], "validation": [2.1, float("nan")]}, [1, 2])
    >>> drawn.names, drawn.svg[:4]
    (['training', 'validation'], '<svg')
    """
    drawn = {name: own for name, own in series.items() if any(map(math.isfinite, own))}
    if not drawn:
        return None
    marks = marks or Marks()
    margin = 0.5 if min(epochs) == max(epochs) else 0.0
    across = Scale(min(epochs) - margin, max(epochs) + margin, LEFT, WIDTH - RIGHT)
    up = _upwards([v for own in drawn.values() for v in own if math.isfinite(v)], percent)
    parts = [*_axes(across, up, percent), *_steps(across, marks.steps)]
    if marks.best is not None and marks.best in epochs:
        parts.append(_upright("best", across(marks.best)))
    styles = {name: f"c{number % COLORS}" for number, name in enumerate(series)}
    for name, values in drawn.items():
        points, style = list(zip(epochs, values, strict=True)), styles[name]
        parts.append(_curve(style, points, across, up))
        parts += _spots(style, name, points, across, up, percent, marks.each.get(name, marks.best))
    inside = "\n".join(parts)
    told = _text(f"{title}, epochs {min(epochs)} to {max(epochs)}")
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">'
    return Chart(title, list(drawn), f"{head}\n{inside}\n</svg>", [styles[name] for name in drawn])


def _upwards(values: Sequence[float], percent: bool) -> Scale:
    """The scale of the values, with a little room on both sides."""
    low, high = min(values), max(values)
    log = not percent and low > 0 and high > FACTOR * low
    if log:
        low, high = low / 1.2, high * 1.2
    else:
        room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        low, high = low - room, high + room
    if percent:
        low, high = max(low, 0.0), min(high, 1.0)
    return Scale(low, high, HEIGHT - BOTTOM, TOP, log)


def _axes(across: Scale, up: Scale, percent: bool) -> Iterator[str]:
    for value in up.ticks():
        y = up(value)
        yield f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
        yield _word("tick", LEFT - 6, y + 4, _number(value, percent), "end")
    floor = HEIGHT - BOTTOM
    yield f'<path class="axis" d="M{LEFT} {floor}H{WIDTH - RIGHT}"/>'
    for value in across.ticks():
        if value == round(value):
            yield _word("tick", across(value), floor + 15, f"{value:.0f}", "middle")
    yield _word("tick", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "epoch", "middle")


def _steps(across: Scale, steps: Mapping[float, str]) -> Iterator[str]:
    """A line where more began to train, and a name in one of two rows where there is room."""
    free = [0.0, 0.0]  # from where on each row is empty
    for epoch, word in steps.items():
        x = across(min(max(epoch, across.low), across.high))
        yield _upright("step", x)
        length = LETTER * len(word)
        start = max(min(x, WIDTH - length), 0)
        row = next((row for row, end in enumerate(free) if end <= start), None)
        if row is not None:
            free[row] = start + length + LETTER
            yield _word("step", start, TOP - 6 - 12 * row, word, "start")


def _curve(style: str, points: Sequence[Point], across: Scale, up: Scale) -> str:
    """One line through what is finite, with gaps where it is not."""
    path, pen = "", "M"
    for epoch, value in points:
        if math.isfinite(value):
            path += f"{pen}{across(epoch)} {up(value)}"
            pen = "L"
        else:
            pen = "M"
    return f'<path class="curve {style}" d="{path}"/>'


def _spots(
    style: str,
    name: str,
    points: Sequence[Point],
    across: Scale,
    up: Scale,
    percent: bool,
    best: int | None,
) -> Iterator[str]:
    """What tells the value at an epoch; seen where it is the best one, or stands alone."""
    every = math.ceil(len(points) / SPOTS)
    for number, (epoch, value) in enumerate(points):
        if not math.isfinite(value) or (number % every and epoch != best):
            continue
        at = f'cx="{across(epoch)}" cy="{up(value)}"'
        if epoch == best or len(points) == 1:
            yield f'<circle class="dot {style}" {at} r="4"/>'
        said = _text(f"{name}, epoch {epoch}: {_number(value, percent)}")
        yield f'<circle class="spot" {at} r="6"><title>{said}</title></circle>'


def _upright(style: str, x: float) -> str:
    return f'<path class="{style}" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>'


def _word(style: str, x: float, y: float, word: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{_text(word)}</text>'


def _text(words: str) -> str:
    return escape(readable_name(words))


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.4g}%" if percent else f"{value:.4g}"


# --- ticks ---------------------------------------------------------------------------------------


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Up to `most` round values in [low, high], evenly spaced by 1, 2 or 5 times a power of ten.

    >>> ticks(0, 1), ticks(0.971, 0.994, most=4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.975, 0.98, 0.985, 0.99])
    """
    power = 10 ** math.floor(math.log10((high - low) / most))
    for step in (factor * power for factor in (1, 2, 5, 10)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Up to `most` round values in [low, high] on a logarithmic scale.

    >>> log_ticks(0.03, 3), log_ticks(1e-9, 1e3)
    ([0.05, 0.1, 0.2, 0.5, 1.0, 2.0], [1e-09, 1e-06, 0.001, 1.0, 1000.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors, every in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), n) for n in range(1, 99))):
        values = [float(f"{f}e{power}") for power in powers[::every] for f in factors]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= most:
            break
    return inside
