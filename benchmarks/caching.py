"""The activation cache: what a first training costs, another one, and one picture more.

EfficientNet-Lite0 with its ImageNet weights on photographs of solar cells (300x300, PNG), head
alone, ten epochs, by a process of this one's own CPU time (no reader processes). The first training
starts with an empty cache. Its peer is what nobody can do without: each picture decoded and brought
to the model's size, and one pass of the network over it in batches of the same size.

`python -m benchmarks.caching [PICTURES]` takes fewer than 2,000 where time is short.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Skipped, at_least, at_most, ms, show
from benchmarks.photographs import cells, laid_out, missing

FEW, MANY, BATCH = 400, 2000, 64
MODEL = "efficientnet_lite0"


def measure(many: int = MANY) -> list[Row | Skipped]:
    from zoo_core.cache import using_cache

    if reason := missing():
        return [Skipped("head alone on photographs, cached", reason)]
    photographs = cells()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, most = photographs[:FEW], photographs[:many]
        with using_cache(folder / "empty"):
            rows: list[Row | Skipped] = [first_training(folder / "few", few)]
        with using_cache(folder / "cache"):
            return rows + later_trainings(folder / "many", most, photographs[many])


def first_training(folder: Path, chosen: Sequence[tuple[Path, str]]) -> Row:
    """Against decoding and one pass."""
    least, _ = spent(lambda: decode_and_pass([path for path, _ in chosen]))
    ours, _ = spent(lambda: trained(laid_out(folder, chosen)))
    what = f"head alone, first training, {len(chosen)} photographs: CPU time against one pass"
    return at_most(what, ms(ours), ms(least), ours / least, 1.3)


def later_trainings(
    folder: Path, chosen: Sequence[tuple[Path, str]], new: tuple[Path, str]
) -> list[Row]:
    """Another seed, and then a picture more."""
    first, _ = spent(lambda: trained(laid_out(folder, chosen)))
    second, other = spent(lambda: trained(laid_out(folder, chosen), seed=1))
    third, more = spent(lambda: trained(laid_out(folder, [new]), seed=2))
    count = f"{len(chosen):,} photographs"
    what = f"another seed, {count}: the first training against it"
    new_ones = "a picture more, and another seed: pictures computed"
    return [
        at_least(what, ms(second), ms(first), first / second, 10),
        Row("pictures computed for it", f"{other}", "-", other, "", "0", other == 0),
        Row(new_ones, f"{more}, {ms(third)}", "-", more, "", "1", more == 1),
    ]


def trained(data: str, seed: int = 0) -> int:
    """How many pictures a training computes."""
    import zoo_core as zoo

    quiet: dict[str, Any] = {"out": False, "progress": False, "workers": 0}
    model = zoo.create(MODEL, pretrained=True, num_classes=2).freeze_until("head")
    run = zoo.finetune(model, data, seed=seed, batch_size=BATCH, cache=True, **quiet)
    return int(run.recipe["cost"]["cache"]["computed"])


def decode_and_pass(paths: Sequence[Path]) -> None:
    import torch
    from PIL import Image

    import zoo_core as zoo

    model = zoo.create(MODEL, pretrained=True).eval()
    transform = model.transform()
    for first in range(0, len(paths), BATCH):
        pictures = [Image.open(path) for path in paths[first : first + BATCH]]
        with torch.inference_mode():
            model(torch.stack([transform(picture) for picture in pictures]))


def spent(do: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of CPU time that it takes, and what it returns."""
    start = time.process_time()
    result = do()
    return time.process_time() - start, result


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
