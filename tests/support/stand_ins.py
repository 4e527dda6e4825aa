"""What the pages of docs/coming-from/ find: photographs, and weights where each library looks.

EfficientNet-Lite0 has ImageNet's weights there, those of the package; torchvision's ResNet-18 and
Keras's MobileNetV2, which no package brings, have random ones.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from hub.server import HubServer

import zoo_core as zoo
from zoo_core.data import open_data

TIMM = "timm/tf_efficientnet_lite0.in1k"
TORCHVISION = "hub/checkpoints/resnet18-f37072fd.pth"


def stand_ins(hub: HubServer, folder: Path) -> dict[str, str]:
    """Fill `folder`, a page's, and the Hub; the variables by which libraries find their weights."""
    photographs(folder / "cells", count=12)
    model = zoo.create("efficientnet_lite0", pretrained=True)
    exported = zoo.save_pretrained(model, folder / ".exported")
    hub.seed(TIMM, {path.name: path.read_bytes() for path in exported.iterdir()})
    for_torchvision(folder / ".torch" / TORCHVISION)
    return {"TORCH_HOME": str(folder / ".torch"), "FASTAI_HOME": str(folder / ".fastai")}


def photographs(folder: Path, count: int) -> None:
    """Of solar cells that people were sure of, so many of each class, in sub-folders."""
    cells = open_data("elpv?classes=4", progress=False)
    for number, name in {0: "sound", 3: "broken"}.items():
        (folder / name).mkdir(parents=True)
        these = [i for i, n in enumerate(cells.targets) if n == number]
        for i in these[:: len(these) // count][:count]:
            cells.read(i).save(folder / name / f"{i:04}.png")


def for_torchvision(file: Path) -> None:
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), file)
