"""One model asked by 8 threads at once, as a small service does, against the same calls in turn.

Each call is `zoo.predict` with one preprocessed picture. A model in train mode, as `create` gives
it, costs a twin in eval mode for each call; one in eval mode runs as it is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.measure import Row, alternate, at_least, ms, show

ROUNDS, CALLS, THREADS = 7, 64, 8


def measure() -> list[Row]:
    import torch

    import zoo_core as zoo

    model, rows = zoo.create("resnet18", num_classes=10), []
    pictures = [torch.randn(3, 128, 128) for _ in range(CALLS)]

    def answer(picture: torch.Tensor) -> Any:
        return zoo.predict(model, picture, top=1, progress=False)

    with ThreadPoolExecutor(THREADS) as pool:
        ways = {
            "threads": lambda: list(pool.map(answer, pictures)),
            "in turn": lambda: list(map(answer, pictures)),
        }
        for mode in ("train", "eval"):
            model.train(mode == "train")
            times = alternate(ways, ROUNDS)
            name = f"`predict` {CALLS} pictures, {THREADS} threads against one; {mode} mode"
            both = ms(times.median("threads")), ms(times.median("in turn"))
            rows.append(at_least(name, *both, times.ratio("in turn", "threads"), 1))
    return rows


if __name__ == "__main__":
    show(measure())
