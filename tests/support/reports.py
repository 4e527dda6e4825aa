"""Runs and findings as a report sees them, without a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from zoo_core.data.pictures import Pictures
from zoo_core.model.run import Run
from zoo_core.training.report.findings import Findings


def made(count: int, classes: int, **more: Any) -> Findings:
    """Scores of a model that is often right, with large pictures."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(classes, (count,), generator=generator)
    scores = torch.randn(count, classes, generator=generator)
    scores[torch.arange(count), targets] += 2
    names = [f"flower {i}" for i in range(classes)]
    pictures = Pictures("flowers", noise, targets.tolist(), names)
    return replace(Findings(scores, targets, pictures, names), **more)


def noise(index: int) -> Image.Image:
    """A large picture of its own."""
    pixels = np.random.default_rng(index).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((640, 480))


def run_of(rows: list[dict[str, Any]], **recipe: Any) -> Run:
    """A run as the page sees it: its rows and its recipe; the model is not looked at."""
    best = min(rows, key=lambda row: row.get("val_loss", 0.0), default={})
    model: Any = None
    return Run(model, {"schema": 1, "model": {"reference": "net"}, **recipe}, rows, best)


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    """Epochs that get better."""
    return [
        {"epoch": e, "loss": 2.0 / e, "val_loss": 1 + 1 / e, "val_accuracy": 1 - 0.5 / e, **more}
        for e in range(1, count + 1)
    ]
