"""A ResNet-50 from a local file, in a warm process: against timm, and the least it can cost.

The least: timm's class built on the meta device, the file mapped, its tensors assigned. It checks
nothing: no keys that teach, no head of another size, no stages, labels or transforms.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import Row, alternate, at_least, at_most, ms, show
from benchmarks.weights import resnet50_file

ROUNDS = 15
WHAT = "`create` ResNet-50 from a file against `timm.create_model`"


def measure() -> list[Row]:
    with resnet50_file() as path:
        ways = {
            "ours": lambda: ours(path),
            "timm": lambda: peer(path),
            "least": lambda: least(path),
        }
        times = alternate(ways, ROUNDS)
    mine, timm, floor = (ms(times.median(name)) for name in ways)
    faster, over = times.ratio("timm", "ours"), times.ratio("ours", "least")
    return [
        at_least(WHAT, mine, timm, faster, 3),
        at_most("the same against meta build and mapping alone", mine, floor, over, 1.3),
    ]


def ours(path: Path) -> object:
    import zoo_core as zoo

    return zoo.create("resnet50", pretrained=path)


def peer(path: Path) -> object:
    import timm

    overlay = {"file": str(path)}
    return timm.create_model("resnet50", pretrained=True, pretrained_cfg_overlay=overlay)


def least(path: Path) -> object:
    import timm
    import torch
    from safetensors.torch import load_file

    with torch.device("meta"):
        model = timm.create_model("resnet50")
    model.load_state_dict(load_file(path), assign=True)
    return model


if __name__ == "__main__":
    show(measure())
