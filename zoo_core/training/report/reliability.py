"""Whether a model's confidence can be believed: accuracy over confidence, in bins, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from zoo_core.inference.metrics import BINS, calibration_bins
from zoo_core.pages.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Scale
from zoo_core.pages.sections import Table
from zoo_core.training.report.findings import Findings

ACROSS = Scale(0, 1, LEFT, WIDTH - RIGHT)
UP = Scale(0, 1, HEIGHT - BOTTOM, TOP)


@dataclass(frozen=True)
class Bin:
    """`count` pictures whose confidence is in (low, high]; its mean, and the share that is right"""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float

    def words(self) -> tuple[str, str, str, str]:
        """How confident, how many, mean confidence, and how many are right."""
        span = f"{self.low:.0%} to {self.high:.0%}"
        return span, f"{self.count:,}", f"{self.confidence:.1%}", f"{self.accuracy:.1%}"


def reliability(findings: Findings) -> tuple[Chart, Table] | None:
    """Accuracy over confidence as a chart and as a table; None where a picture has several classes
    or there are no pictures."""
    scores, targets = findings.scores, findings.targets
    if scores is None or targets is None or targets.ndim == 2 or not len(scores):
        return None
    counts, confidence, right = calibration_bins(scores.softmax(1), targets)
    bins = [
        Bin(i / BINS, (i + 1) / BINS, n, float(confidence[i]) / n, float(right[i]) / n)
        for i, n in enumerate(counts.tolist())
        if n
    ]
    header = ("confidence", "pictures", "mean confidence", "right")
    table = Table(header, [one.words() for one in bins], header[1:], "Accuracy by confidence")
    title = "Reliability: accuracy over confidence"
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
    inside = "\n".join([*_axes(), *map(_bar, bins)])
    diagonal = f'<path class="step" d="M{ACROSS(0)} {UP(0)}L{ACROSS(1)} {UP(1)}"/>'
    return Chart(title, [], f"{head}\n{inside}\n{diagonal}\n</svg>"), table


def _axes() -> Iterator[str]:
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        yield f'<path class="grid" d="M{LEFT} {UP(tick)}H{WIDTH - RIGHT}"/>'
        yield _word(LEFT - 6, UP(tick) + 4, f"{tick:.0%}", "end")
        anchor = "end" if tick == 1 else "middle"  # which would stand out on the right
        yield _word(ACROSS(tick), HEIGHT - BOTTOM + 15, f"{tick:.0%}", anchor)
    yield _word((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "confidence", "middle")
    yield _word(LEFT - 6, TOP - 12, "pictures", "end")


def _bar(one: Bin) -> str:
    left, right, top = ACROSS(one.low), ACROSS(one.high), UP(one.accuracy)
    span, count, confidence, accuracy = one.words()
    told = f"confidence {span}: {count} pictures, {confidence} on average, {accuracy} right"
    return (
        f'<rect class="column" x="{left + 1:.1f}" y="{top}" width="{right - left - 2:.1f}" '
        f'height="{UP(0) - top:.1f}"><title>{escape(told)}</title></rect>'
        + _word((left + right) / 2, TOP - 12, _short(one.count), "middle")
    )


def _short(count: int) -> str:
    """A count in four characters, as a bin has room for.

    >>> _short(87), _short(1234), _short(56_789), _short(3_400_000)
    ('87', '1.2k', '57k', '3.4M')
    """
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.{1 if count < 10 * size else 0}f}{unit}"
    return str(count)


def _word(x: float, y: float, word: str, anchor: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{word}</text>'
