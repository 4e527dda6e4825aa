"""Stochastic depth: residual blocks that are skipped at random (Huang et al., 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.layers import DropPath
from torch import nn

from zoo_core.regularize import Regularizer, a_share
from zoo_regularizers.places import holds, kept_in_eval

# Where timm's residual blocks have, or would have, their DropPath; those of transformers have two.
SLOTS = ("drop_path", "drop_path1", "drop_path2")


def drop_rates(p: float, depth: int) -> list[float]:
    """p·i/(depth-1) for block i = 0, …, depth-1: from 0 to `p`; a block alone has `p`."""
    return [p] if depth == 1 else [p * i / (depth - 1) for i in range(depth)]


class StochasticDepth(Regularizer):
    """Skips residual blocks at random, for each picture, the deeper the more often.

    Block i of L (from 0) gives x + m·F(x)/(1-p_i) in training, with m ~ Bernoulli(1-p_i), one for
    each picture, and p_i = p·i/(L-1); in testing x + F(x). `p` in [0, 1). Works on timm's blocks,
    which have a place for it (`drop_path`): L counts all of them, and those that train get a
    DropPath until `detach()`, instead of one that they have. Activations (N, ...), on their device.
    With `torch.compile`, a schedule compiles anew as the rate moves.
    https://arxiv.org/abs/1603.09382

    Raises ValueError for a bad number; `attach()` raises RecipeError where no residual block after
    the first one trains.
    """

    def __init__(self, p: float = 0.1, **common: Any) -> None:
        super().__init__(**common)
        a_share(p=p)
        self.p = p
        # (block, name of the place, what was there, what is there, share of p)
        self.placed: list[tuple[nn.Module, str, nn.Module | None, DropPath, float]] = []

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        blocks = [(path, m, _slots(m)) for path, m in self.model.named_modules() if _slots(m)]
        shares = drop_rates(1.0, len(blocks))
        still = kept_in_eval(self.model)
        for (path, block, slots), share in zip(blocks, shares, strict=True):
            if share and path not in still and holds(path, self.trained):
                self._place(block, slots, share)
        if not self.placed:
            after = " after the first" if len(blocks) > 1 else ""
            raise self.nothing_to_act_on(f"trained residual block of timm's kind{after}")
        self._set_rates()

    def weights(self) -> None:
        """The rates of the next step."""
        self._set_rates()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._set_rates()  # the stack knows its steps again

    def _set_rates(self) -> None:
        p = self.now(self.p)
        for *_, path, share in self.placed:
            path.drop_prob = p * share

    def _place(self, block: nn.Module, slots: list[str], share: float) -> None:
        for slot in slots:
            path = DropPath().train(block.training)
            self.placed.append((block, slot, getattr(block, slot), path, share))
            setattr(block, slot, path)

    def release(self) -> None:
        super().release()
        for block, slot, before, _, _ in self.placed:
            if before is None:
                delattr(block, slot)  # else the None would stay among the block's modules
            else:
                before.train(block.training)
            setattr(block, slot, before)
        self.placed = []


def _slots(module: nn.Module) -> list[str]:
    """The places for a DropPath that a module has."""
    has = {**vars(module), **module._modules}
    fits = (nn.Identity, DropPath, type(None))
    return [name for name in SLOTS if name in has and isinstance(has[name], fits)]
