"""What zoo's trainer is measured against: a loop with timm's parts, and the barest one of PyTorch.

On the GPU that there is, both run in bf16 and channels last, as zoo does there.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
LAYOUT = torch.channels_last if GPU else torch.contiguous_format
CLASSES = 10


@dataclass(frozen=True)
class Training:
    """Seconds of one training, and of each of its epochs."""

    seconds: float
    epochs: Sequence[float]

    def of(self, count: int) -> float:
        """Those of `count` epochs: what was outside of epochs, and as often the median one."""
        outside = self.seconds - sum(self.epochs)
        return outside + count * statistics.median(self.epochs)


class Noise(Dataset[Any]):
    """PIL pictures of noise in memory, with their classes in turn; timm sets `transform`."""

    transform: Callable[[Any], Tensor] | None = None

    def __init__(self, count: int, side: int = 224) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
        self.pictures = [Image.fromarray(values) for values in noise]
        self.targets = [index % CLASSES for index in range(count)]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = self.pictures[index]
        return self.transform(picture) if self.transform else picture, self.targets[index]


def with_timm(
    data: Noise,
    val: Noise | None,
    transform: Callable[[Any], Tensor],
    *,
    head_only: bool,
    epochs: int,
    batch: int,
    lr: float,
    workers: int,
) -> Training:
    """A ResNet-50 with timm's loaders, optimizer and scheduler, as its train.py joins them.

    `head_only`: all other weights require no gradients; each step still runs the whole network.
    """
    import timm
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    model = timm.create_model("resnet50", num_classes=CLASSES)
    model.requires_grad_(not head_only).get_classifier().requires_grad_(True)
    start = time.perf_counter()
    model.to(DEVICE).to(memory_format=LAYOUT)
    loader = timms_loader(data, transform, batch, workers, is_training=True)
    held_out = timms_loader(val, transform, batch, workers, is_training=False) if val else ()
    optimizer = create_optimizer_v2(model, "adamw", lr=lr)
    scheduler, _ = create_scheduler_v2(
        optimizer, "cosine", num_epochs=epochs, step_on_epochs=False, updates_per_epoch=len(loader)
    )
    spent = []
    for epoch in range(epochs):
        begun = time.perf_counter()
        model.train()
        for number, (x, y) in enumerate(loader, epoch * len(loader) + 1):
            step(model, optimizer, x, y)
            scheduler.step_update(number)
        validate(model, held_out)
        wait()
        spent.append(time.perf_counter() - begun)
    return Training(time.perf_counter() - start, spent)


def timms_loader(
    data: Noise, transform: Callable[[Any], Tensor], batch: int, workers: int, *, is_training: bool
) -> Any:
    """timm's loader of pictures; the transform is zoo's, so that reading costs both the same."""
    from timm.data import create_loader

    loader: Any = create_loader(
        copy.copy(data), 224, batch, is_training=is_training, no_aug=True, num_workers=workers,
        use_prefetcher=False, pin_memory=GPU, device=DEVICE,
    )  # fmt: skip
    loader.dataset.transform = transform
    return loader


@torch.inference_mode()
def validate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """How many are right, as train.py counts after each epoch."""
    model.eval()
    right = 0.0
    for x, y in batches:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            outputs = model(x.to(DEVICE))
        right += (outputs.argmax(1) == y.to(DEVICE)).sum().item()
    return right


def bare(
    model: nn.Module, held: Tensor, targets: Tensor, batches: Sequence[Sequence[Tensor]], lr: float
) -> Training:
    """The least that a training can do; `batches`: for each epoch the indices of its batches."""
    start = time.perf_counter()
    model.to(DEVICE).to(memory_format=LAYOUT).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0, fused=True)
    spent = []
    for epoch in batches:
        begun = time.perf_counter()
        for indices in epoch:
            step(model, optimizer, held[indices], targets[indices])
        wait()
        spent.append(time.perf_counter() - begun)
    return Training(time.perf_counter() - start, spent)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """One step of either loop."""
    if GPU:
        x, y = x.to(DEVICE, non_blocking=True), y.to(DEVICE, non_blocking=True)
    optimizer.zero_grad()
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        loss = cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()


def wait() -> None:
    """Until the GPU has done what it was told."""
    if GPU:
        torch.cuda.synchronize()
