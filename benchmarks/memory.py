"""Peak memory that creating a ResNet-50 from a file adds, in a new process, file pages included.

Linux only: the kernel's own peak (VmHWM) is reset when all is imported and read again at the end.
Every weight is read once, since a mapped file costs nothing until then.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from benchmarks.measure import Row, Skipped, at_most, run, show
from benchmarks.weights import resnet50_file

ROUNDS = 3

PROBE = """
import json, sys
from pathlib import Path
import torch
from benchmarks import creating

way, path = getattr(creating, sys.argv[1]), Path(sys.argv[2])

def status(key):
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(key))
    return int(line.split()[1]) * 1024

def forward(model):
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 3, 224, 224))

import timm, safetensors.torch, zoo_core
forward(zoo_core.create("resnet18"))  # imports, thread pools and kernels are no part of the weights
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
model = way(path)
for tensor in model.state_dict().values():
    tensor.double().sum() if tensor.ndim < 2 else tensor.sum()
created = status("VmHWM") - before
forward(model)
print(json.dumps({"created": created, "forward": status("VmHWM") - before}))
"""


def measure() -> list[Row | Skipped]:
    what = "peak memory, in files: `create` ResNet-50 and read every weight"
    if not sys.platform.startswith("linux"):
        return [Skipped(what, "the kernel's peak is read from /proc, which only Linux has")]
    with resnet50_file() as path:
        size = path.stat().st_size
        seen: dict[str, list[dict[str, int]]] = {"ours": [], "peer": []}
        for _ in range(ROUNDS):
            for way, found in seen.items():
                found.append(probe(way, path))
    rows: list[Row | Skipped] = []
    for key in ("created", "forward"):
        ours, peer = (statistics.median(f[key] for f in found) / size for found in seen.values())
        mine, theirs = (f"{n:.2f} ({n * size / 1e6:.0f} MB)" for n in (ours, peer))
        if key == "created":
            rows.append(at_most(what, mine, theirs, ours, 1.1))
        else:
            after = "the same, and one forward pass of one picture"
            rows.append(extra(after, mine, theirs, ours))
    return rows


def extra(name: str, mine: str, theirs: str, value: float) -> Row:
    """A row without a target: activations and the kernels' scratch memory come on top for both."""
    return Row(name, mine, theirs, value, "x", "-", None)


def probe(way: str, path: Path) -> dict[str, int]:
    return json.loads(run([sys.executable, "-c", PROBE, way, str(path)]).splitlines()[-1])


if __name__ == "__main__":
    show(measure())
