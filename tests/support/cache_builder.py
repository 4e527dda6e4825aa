"""Run as a process of its own: a training that fills the cache, and its weights in a file."""

from __future__ import annotations

import sys
import time

import torch
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.training.cache import store


def main(out: str, seconds: float) -> None:
    """`seconds`: what each batch of the frozen part takes besides."""
    store.PATIENCE = 0.0  # a block for each batch
    draw = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = zoo.create("lenet5", pretrained=True).freeze_until("fc1")
    model.conv1.register_forward_pre_hook(lambda module, inputs: time.sleep(seconds))
    data = TensorDataset(torch.randn(40, 1, 32, 32, generator=draw), torch.arange(40) % 3)
    zoo.finetune(model, data, epochs=1, batch_size=4, cache=True, out=False)
    torch.save(model.state_dict(), out)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
