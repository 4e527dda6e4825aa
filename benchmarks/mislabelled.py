"""Labels flipped at random, and who finds them: leave-one-out margins beside cleanlab's.

5% of the labels of a set that is right, as far as anybody knows, become another class, by seed.
Both see the same features. zoo: the head solved on them, each picture left out. cleanlab 2:
`find_label_issues` with probabilities of scikit-learn's logistic regression, out of sample by five
folds. Average precision: of the ranking of all pictures, those with no issue last. Its ranking of
all pictures by self-confidence, `get_label_quality_scores`, is shown beside it.

    python -m benchmarks.mislabelled [MODEL SPEC ...]   SPEC: stamps, fashion, or as of zoo.finetune
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Row, Skipped, at_least, show
from benchmarks.picture_sets import opened
from zoo_core.advice.mislabelled import Doubts, doubts
from zoo_core.advice.probe import probe
from zoo_core.inference.matching import as_model

SHARE, SEEDS = 0.05, range(3)
TASKS = (
    ("lenet5", "digits"),
    ("lenet5", "mnist5k"),
    ("efficientnet_lite0", "elpv"),
    ("efficientnet_lite0", "stamps"),
)


def flipped(y: Tensor, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """The labels with some made another class, and which those are."""
    generator = torch.Generator().manual_seed(seed)
    wrong = torch.zeros(len(y), dtype=torch.bool)
    wrong[torch.randperm(len(y), generator=generator)[: int(SHARE * len(y))]] = True
    other = torch.randint(1, classes, (len(y),), generator=generator)
    return torch.where(wrong, (y + other) % classes, y), wrong


def by_zoo(x: Tensor, y: Tensor) -> np.ndarray:
    """How doubtful each label is: its margin, turned around."""
    found = doubts({"head": x}, y)
    assert isinstance(found, Doubts), found
    return -found.margins.nan_to_num(0.0).numpy()


def by_cleanlab(x: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How doubtful each label is: by the list of issues, 0 where there is none; and by quality."""
    from cleanlab.filter import find_label_issues  # type: ignore[import-not-found]
    from cleanlab.rank import get_label_quality_scores  # type: ignore[import-not-found]
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    shares = cross_val_predict(head, x.numpy(), y.numpy(), cv=5, method="predict_proba")
    order = find_label_issues(y.numpy(), shares, return_indices_ranked_by="self_confidence")
    found = np.zeros(len(y))
    found[order] = np.arange(len(order), 0, -1)
    return found, -get_label_quality_scores(y.numpy(), shares)


def rows(name: str, spec: str) -> list[Row]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    pictures = opened(spec)
    x = probe(as_model(name), pictures, stages=["head"]).features["head"]
    y, found = pictures.target_tensor(), []
    for seed in SEEDS:
        given, wrong = flipped(y, pictures.num_classes, seed)
        ways = (by_zoo(x, given), *by_cleanlab(x, given))
        each = [average_precision_score(wrong, doubt) for doubt in ways]
        found.append((*each, roc_auc_score(wrong, ways[0])))
    ours, peer, scores, area = np.mean(found, axis=0)
    what = (
        f"{len(y):,} pictures, {name} on {spec}: average precision (AUROC {area:.3f}; cleanlab's "
        f"scores {scores:.3f})"
    )
    return [at_least(what, f"{ours:.3f}", f"{peer:.3f}", ours / peer, 1.0)]


def measure(tasks: tuple[tuple[str, str], ...] = TASKS) -> list[Row | Skipped]:
    try:
        import cleanlab  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return [Skipped("labels flipped at random", "cleanlab is not installed")]
    return [row for task in tasks for row in rows(*task)]


if __name__ == "__main__":
    given = sys.argv[1:]
    show(measure(tuple(zip(given[::2], given[1::2], strict=True)) or TASKS))
