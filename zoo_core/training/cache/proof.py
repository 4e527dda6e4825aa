"""That a row of activations depends on nothing but its picture: seen once, and remembered.

What is remembered is that there is a store: it is made after the proof, under a name that stands
for the frozen part, its code, and all that decides which kernels run.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from zoo_core.data.samples import seeded
from zoo_core.training.cache.prefix import Prefix
from zoo_core.transfer.modes import modes_kept


class Proof:
    """Two passes over pictures (n, …) that are to be computed in any case.

    The second has pictures of the first, at other places and beside others, in the other mode and
    with other random numbers; what room is left goes to new ones, so that little is computed
    twice. `holds`: whether they came out alike. `rows`: the activations (n, …). `seconds`: what a
    pass takes.
    """

    def __init__(self, prefix: Prefix, x: Tensor) -> None:
        size = prefix.rows
        new = x[size:]
        repeated = x[: min(len(x), size - len(new))]
        places = torch.tensor([*range(1, size, 2), *range(0, size, 2)])
        mixed = x.new_zeros(size, *x.shape[1:])
        mixed[places[: len(repeated)]] = repeated
        mixed[places[len(repeated) : len(repeated) + len(new)]] = new
        with modes_kept(prefix.model):
            prefix.model.train()
            with seeded(0):
                first = prefix(x[:size])
            prefix.model.eval()
            start = time.perf_counter()  # the kernels are warm now
            with seeded(1):
                again = prefix(mixed)
            if again.is_cuda:
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - start
        alike = _near if again.is_cuda else torch.equal
        again = again[places[: len(repeated) + len(new)].to(again.device)]
        self.holds = alike(first[: len(repeated)], again[: len(repeated)])
        self.rows = torch.cat([first, again[len(repeated) :]])


def pictures_for(prefix: Prefix) -> int:
    """How many pictures a proof makes use of."""
    return prefix.rows + prefix.rows // 2


def _near(once: Tensor, again: Tensor) -> bool:
    largest = once.abs().max().item()
    return torch.allclose(once, again, rtol=1e-2, atol=1e-2 * largest)
