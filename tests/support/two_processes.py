"""Run by two processes: regularizers under data-parallel training, against one process alone."""

from __future__ import annotations

import sys

import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import zoo_core as zoo
from support.plain_loop import step
from zoo_core.regularize.regularizer import Verdict
from zoo_core.transfer.sharded import whole


def trained(name: str, rank: int, world: int, *, parted: bool = False) -> nn.Module:
    """A short training on this rank's share of each batch; the seed of masks differs by rank.

    `parted`: each rank has a part of the weights; three outputs do not divide evenly.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    parallel: nn.Module = DistributedDataParallel(model) if world > 1 and not parted else model
    if parted:
        fully_shard(model[1])
        fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    stack = zoo.regularizers(name).attach(parallel, optimizer=optimizer)
    draw = torch.Generator().manual_seed(1)
    torch.manual_seed(100 + rank)
    for number in range(6):
        x = torch.randn(16, 12, dtype=torch.float64, generator=draw)
        y = torch.randint(3, (16,), generator=draw)
        step(parallel, optimizer, stack, x.chunk(world)[rank], y.chunk(world)[rank])
        with stack.evaluating():
            pass
        # What each rank sees of the validation differs: they must stop together all the same.
        loss = [3.0, 2.0, 2.5, 2.6][number] if rank == 0 else 1.0 / (number + 1)
        if stack.validation({"loss": loss, "accuracy": 0.5}) is Verdict.STOP:
            break
        if number == 3:
            break
    stack.detach()
    return model


def main(names: list[str], store: str, rank: int) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for name in names:
        alone = trained_alone(name)
        for parted in (False, True):
            together = trained(name, rank, 2, parted=parted)
            for a, b in zip(together.parameters(), alone.parameters(), strict=True):
                a = whole(a)
                if not torch.allclose(a, b, atol=1e-12):
                    how = "parted" if parted else "copied"
                    print(f"{name}, {how}, differs on rank {rank} by {(a - b).abs().max():g}")
                    break
    distributed.destroy_process_group()


def trained_alone(name: str) -> nn.Module:
    """The same without the group: early stopping asks the other ranks wherever there is one."""
    initialised = distributed.is_initialized
    distributed.is_initialized = lambda: False
    try:
        return trained(name, 0, 1)
    finally:
        distributed.is_initialized = initialised


if __name__ == "__main__":
    main(sys.argv[3:], sys.argv[1], int(sys.argv[2]))
