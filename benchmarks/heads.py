"""Solved heads against heads trained by steps, on features of real pictures.

LeNet-5 from MNIST on scanned digits, MNIST and Fashion-MNIST; EfficientNet-Lite0 from ImageNet on
solar cells of two and of four classes, and on photographs of stamps (benchmarks/picture_sets.py). A
task has 10, 25, 50 or 200 pictures a class (never more than two thirds of them), drawn by seed, and
is tested on all others, 2,000 at most. All classes count alike, also in what leaving out promises.
By steps: AdamW at 1e-3 in batches of 64, 10 epochs as in `zoo.finetune` by default, 100 or 300.

    python -m benchmarks.heads FOLDER                  every task whose features are there
    python -m benchmarks.heads FOLDER --features       first computes those that can be
    python -m benchmarks.heads FOLDER --balance        classes count alike in training, too

FOLDER holds NAME.npz of `x` (N, D) and `y` (N,).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.picture_sets import opened
from zoo_core.data.balance import class_weights
from zoo_core.training.solving.solve import solve

SIZES, SEEDS, TESTED = (10, 25, 50, 200), range(5), 2000
MODELS = {
    "lenet5": ("digits", "mnist5k", "fashion"),
    "efficientnet_lite0": ("elpv", "elpv?classes=4", "stamps"),
}
Classifier = tuple[Tensor, Tensor, float]  # weight, bias, accuracy left out or NaN


def by_steps(x: Tensor, y: Tensor, weights: Tensor, seed: int, epochs: int) -> Classifier:
    """A linear head trained as `zoo.finetune` does by default; `weights`: of classes (C,)."""
    torch.manual_seed(seed)
    head = nn.Linear(x.shape[1], len(weights))
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(head(x[batch]), y[batch], weight=weights).backward()
            optimizer.step()
    return head.weight.detach().double(), head.bias.detach().double(), float("nan")


def solved(x: Tensor, y: Tensor, weights: Tensor, seed: int, epochs: int) -> Classifier:
    found = solve(x, y, classes=len(weights), weights=weights[y])
    promised = _of_all_classes((found.left_out.margins > 0).double(), y)
    return found.weight, found.bias, promised


WAYS = {
    "10 epochs": (by_steps, 10),
    "100 epochs": (by_steps, 100),
    "300 epochs": (by_steps, 300),
    "solved": (solved, 0),
}


def drawn(y: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to learn from and to test on; every class keeps a third of its pictures to test."""
    order = np.random.default_rng(seed).permutation(len(y))
    numbers = y.numpy()[order]
    counts = np.bincount(numbers)
    places = np.empty(len(y), dtype=int)
    for number in range(len(counts)):
        places[numbers == number] = np.arange(counts[number])
    learned = places < np.minimum(size, np.maximum(2 * counts // 3, 1))[numbers]
    return torch.tensor(order[learned]), torch.tensor(order[~learned][:TESTED])


def rows(name: str, x: Tensor, y: Tensor, balance: bool) -> list[str]:
    """A row of the table for each size: mean accuracy, log-loss, and what leaving out promised."""
    table = []
    for size in SIZES:
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
        for seed in SEEDS:
            learned, tested = drawn(y, size, seed)
            counts = y[learned].bincount()
            weights = class_weights(counts.tolist()) if balance else torch.ones(len(counts))
            for way, (make, epochs) in WAYS.items():
                weight, bias, promised = make(x[learned], y[learned], weights, seed, epochs)
                scores = x[tested].double() @ weight.T + bias
                right = _of_all_classes((scores.argmax(1) == y[tested]).double(), y[tested])
                lost = functional.cross_entropy(scores, y[tested], reduction="none")
                loss = _of_all_classes(lost, y[tested])
                found[way].append((100 * right, loss, 100 * (promised - right)))
        means = {way: np.mean(each, 0) for way, each in found.items()}
        accuracies = " | ".join(f"{mean[0]:.1f}" for mean in means.values())
        losses = " | ".join(f"{mean[1]:.3f}" for mean in means.values())
        table.append(f"| {name} | {size} | {accuracies} | {losses} | {means['solved'][2]:+.1f} |")
        print(table[-1], flush=True)
    return table


def _of_all_classes(values: Tensor, y: Tensor) -> float:
    """The mean over classes of their means: as many of each are learned from."""
    return float(torch.stack([values[y == number].mean() for number in y.unique()]).mean())


def features(model: str, spec: str) -> tuple[Tensor, Tensor]:
    """What enters the head of a pretrained model, of all pictures in order."""
    import zoo_core as zoo

    network = zoo.create(model, pretrained=True).eval()
    pictures, transform, entering = opened(spec), network.transform(), []
    with torch.inference_mode():
        for start in range(0, len(pictures), 64):
            some = range(start, min(start + 64, len(pictures)))
            batch = torch.stack([transform(pictures.read(index)) for index in some])
            entering.append(network.forward_until(batch, "head").flatten(1))
    return torch.cat(entering), pictures.target_tensor()


def main() -> None:
    folder = Path(sys.argv[1])
    if "--features" in sys.argv:
        for model, specs in MODELS.items():
            for spec in specs:
                x, y = features(model, spec)
                name = f"{model} {spec.replace('?classes=', '')}"
                np.savez(folder / name, x=x.numpy(), y=y.numpy())
    names = "accuracy, ", "log-loss, "
    columns = " | ".join(f"{what}{way}" for what in names for way in WAYS)
    print(f"| features | a class | {columns} | left out |")
    print("|---|---" + "|---" * (2 * len(WAYS) + 1) + "|")
    for path in sorted(folder.glob("*.npz")):
        data = np.load(path)
        x, y = torch.tensor(data["x"]), torch.tensor(data["y"]).long()
        rows(path.stem, x, y, "--balance" in sys.argv)


if __name__ == "__main__":
    main()
