"""Training on a stream from a Hub on loopback: 100,000 small pictures against 10,000, one epoch.

How much memory the process takes at its peak, file pages included, and how long it is from the
call to the first step. Each is trained in a process of its own. Linux only: the kernel's own peak
(VmHWM) is reset when all is imported.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Skipped, at_most, show

TESTS = Path(__file__).parent.parent / "tests"
COUNTS = {"peer": 10_000, "ours": 100_000}
SHARD, GROUP = 5_000, 500  # pictures of a file, and of a row group of it


def measure() -> list[Row | Skipped]:
    what = "streamed pictures"
    if not sys.platform.startswith("linux"):
        return [Skipped(what, "it needs /proc")]
    sys.path.append(str(TESTS))
    from hub.server import HubServer

    found = {}
    with HubServer() as hub, tempfile.TemporaryDirectory() as folder:
        for way, count in COUNTS.items():
            hub.seed(f"datasets/alice/{way}", shards(count))
            places = {"ZOO_CACHE": f"{folder}/zoo", "XDG_CONFIG_HOME": f"{folder}/config"}
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.streaming", way],
                env={**os.environ, **hub.environment(Path(folder) / "hf"), **places},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found[way] = json.loads(done.stdout.splitlines()[-1])
    ours, peer = found["ours"], found["peer"]
    few, many = f"{COUNTS['peer']:,}", f"{COUNTS['ours']:,}"
    whole, first = (
        [f"{each['peak'] / 1e6:,.0f} MB" for each in (ours, peer)],
        [f"{each['first']:.1f} s" for each in (ours, peer)],
    )
    return [
        at_most(f"peak memory of an epoch of {many} streamed pictures; peer: of {few}", *whole,
                ours["peak"] / peer["peak"], 1.05),
        at_most(f"the first step on {many} streamed pictures; peer: on {few}", *first,
                ours["first"], 10, " s"),
    ]  # fmt: skip


def shards(count: int) -> dict[str, bytes]:
    """Files of Parquet: grey pictures of 8x8 to 32x32 in ten classes."""
    import datasets
    import numpy as np
    from PIL import Image
    from pyarrow import parquet

    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)}
    draw, files = np.random.default_rng(0), {}
    for start in range(0, count, SHARD):
        rows: dict[str, list[Any]] = {"image": [], "label": []}
        for number in range(start, min(start + SHARD, count)):
            side, buffer = 8 + number % 25, io.BytesIO()
            Image.fromarray(draw.integers(256, size=(side, side), dtype=np.uint8)).save(
                buffer, "PNG", compress_level=1
            )
            rows["image"].append({"bytes": buffer.getvalue(), "path": None})
            rows["label"].append(number % 10)
        table = datasets.Dataset.from_dict(rows, datasets.Features(kinds)).data.table
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, row_group_size=GROUP)
        files[f"data/train-{start:06}.parquet"] = buffer.getvalue()
    return files


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


def client(way: str) -> None:
    """Train an epoch, and say how it was."""
    import time

    import datasets  # noqa: F401 - all is imported, and only then time and memory count
    from pyarrow import parquet  # noqa: F401

    import zoo_core as zoo
    from zoo_core.training.step import Stepper

    began, step = [0.0], Stepper.step

    def first(self: Any, batch: Any) -> Any:
        loss = step(self, batch)
        began.append(time.perf_counter())
        Stepper.step = step  # type: ignore[method-assign]
        return loss

    zoo.finetune("lenet5", "digits", epochs=1, out=False, progress=False)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    Stepper.step = first  # type: ignore[method-assign]
    data = f"hf://datasets/alice/{way}?stream=true"
    how = {"val": False, "epochs": 1, "batch_size": 256, "workers": 0, "freeze_until": "head"}
    start = time.perf_counter()
    zoo.finetune("lenet5", data, out=False, progress=False, **how)
    print(json.dumps({"first": began[1] - start, "peak": status("VmHWM")}))


if __name__ == "__main__":
    if sys.argv[1:]:
        client(sys.argv[1])
    else:
        show(measure())
