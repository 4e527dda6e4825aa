"""What matters most of a run, in large type."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from torch import Tensor

from zoo_core.humanize import clipped, duration
from zoo_core.inference.metrics import Metrics
from zoo_core.inference.unequal import are_unequal, auroc, balanced_accuracy, macro_f1
from zoo_core.pages.sections import Tile
from zoo_core.runs.comparison import RunSummary
from zoo_core.training.report.findings import Findings

NOTICED = 0.05  # the share of the time that the cache takes from which on it is worth a word


def tiles(run: RunSummary, findings: Findings, metrics: Metrics | None) -> Iterator[Tile]:
    """How good it is, when it was best, what trained, and the time."""
    if metrics is None:
        yield Tile("accuracy", "–", "There was no validation: these are the last weights.")
    elif "ece" in metrics:
        yield _accuracy(metrics)
        yield from _of_unequal_classes(findings)
    else:
        remark = f"{metrics['count']:,} pictures, several classes each"
        yield Tile("mean average precision", f"{metrics.get('map', 0.0):.3f}", remark)
    yield _best_epoch(run)
    total = sum(row["params"] for row in findings.stages)
    trained = sum(row["trainable"] for row in findings.stages)
    if total:
        of_all = f"{clipped(_in_words(run.trains))}; {trained:,} of {total:,} parameters"
        yield Tile("trained", f"{100 * trained / total:.3g}%", of_all)
    yield _time(run, findings)


def _in_words(trains: str) -> str:
    """What trained, without the colon of a range to the end.

    >>> _in_words("head:"), _in_words("fc2:"), _in_words("norm")
    ('head', 'fc2 to head', 'norm')
    """
    first = trains.removesuffix(":")
    return first if first in (trains, "head") else f"{first} to head"


def _accuracy(metrics: Metrics) -> Tile:
    count = metrics["count"]
    low, high = wilson(metrics["accuracy"], count)
    right = round(metrics["accuracy"] * count)
    remark = f"{right:,} of {count:,}; 95% interval {low:.1%} to {high:.1%}"
    return Tile("accuracy", f"{metrics['accuracy']:.1%}", remark)


def _of_unequal_classes(findings: Findings) -> Iterator[Tile]:
    """What accuracy hides where one class has many pictures more than another."""
    scores, targets = findings.scores, findings.targets
    if scores is None or targets is None or not are_unequal(targets):
        return
    said = scores.argmax(1)
    remarks = [f"mean over classes; macro F1 {macro_f1(said, targets):.3f}"]
    area = _area(scores, targets)
    if area is not None:
        remarks.append(f"AUROC {area:.3f}")
    yield Tile("balanced accuracy", f"{balanced_accuracy(said, targets):.1%}", "; ".join(remarks))


def _area(scores: Tensor, targets: Tensor) -> float | None:
    """The area under the ROC curve of two classes; None of more."""
    if scores.shape[1] != 2:
        return None
    return auroc(scores[:, 1].double() - scores[:, 0].double(), targets == 1)


def _best_epoch(run: RunSummary) -> Tile:
    if run.best_epoch is None:
        return Tile("best epoch", "–", f"of {run.epochs_done}")
    loss = "" if run.val_loss is None else f"; validation loss {run.val_loss:.4f}"
    solved = "; the head as solved, before any step" if run.best_epoch == 0 else ""
    return Tile("best epoch", f"{run.best_epoch}", f"of {run.epochs_done}{loss}{solved}")


def _time(run: RunSummary, findings: Findings) -> Tile:
    seconds = findings.cost.get("seconds", run.seconds)
    caching = findings.cost.get("seconds_caching", 0.0)
    remark = f"on {clipped(findings.cost.get('device', 'this machine'))}"
    if caching > NOTICED * seconds:
        remark += f"; {duration(caching)} of it caching"
    return Tile("time", duration(seconds), remark)


def wilson(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval in which the true share lies with this confidence, where `share` of `count` was.

    Wilson's score interval (1927): within [0, 1], and of some width for a share of 1, too.
    https://doi.org/10.1080/01621459.1927.10502953

    >>> low, high = wilson(0.9, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max((middle - reach) / scale, 0.0), min((middle + reach) / scale, 1.0)
