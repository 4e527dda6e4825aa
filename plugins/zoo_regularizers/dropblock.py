"""DropBlock: squares of a feature map are left out at random (Ghiasi, Lin and Le, 2018)."""

from __future__ import annotations

from typing import Any

from timm.layers import drop_block_2d
from torch import Tensor, nn

from zoo_core.chain import chain_of
from zoo_core.regularize import Regularizer, a_share
from zoo_regularizers.places import holds, modules_of, places, trained_layers


def drop_blocks(x: Tensor, p: float, block: int) -> Tensor:
    """Zero about a share `p` of the places of each map, in squares, and scale up the rest.

    Each place of a map is the centre of a dropped square with probability γ = p/(b_h·b_w), in all
    channels at once, and squares are cut at the border. What stays is multiplied by
    (places)/(places that stay), counted over the batch.

    `x`: (N, C, H, W), any float type and device. `p` in [0, 1). `block`: side of the squares, 1 or
    more; b_h and b_w are at most H and W.
    """
    height, width = x.shape[-2:]
    inside = (height - min(block, height) + 1) * (width - min(block, width) + 1)
    # The paper draws centres only where a whole square fits, and has a factor H·W/inside in γ for
    # that. timm 1.0.31 has the factor but draws everywhere: on a map of the size of a block it
    # would drop nearly all. So the factor goes.
    return drop_block_2d(x, p, block, gamma_scale=inside / (height * width))


class DropBlock(Regularizer):
    """Drops squares of the feature maps that leave a stage with convolutions, in training.

    About a share `p` of each map, in [0, 1), in squares of `block` x `block` places, 1 or more; the
    formula is that of `drop_blocks`. Maps (N, C, H, W), on their device. `stages`: by default the
    last one that trains convolutions (larger than 1x1); in a module without stages its last such
    convolution. The paper's growing rate is `schedule=warmup`.
    https://arxiv.org/abs/1810.12890

    Raises ValueError for a bad number; `attach()` raises RecipeError where no convolution trains,
    and so does training where what leaves a stage is no map.
    """

    def __init__(self, p: float = 0.1, block: int = 7, **common: Any) -> None:
        super().__init__(**common)
        a_share(p=p)
        if block < 1:
            raise ValueError(f"block must be 1 or more, not {block}")
        self.p, self.block = p, block

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        words = places(self, self.stages) if self.stages else [self._last()]
        paths = dict.fromkeys(self._exit(word) for word in words)
        modules = [self.model.get_submodule(path) for path in paths]
        self.handles = [module.register_forward_hook(self._drop) for module in modules]

    def _drop(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if not module.training:
            return output
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise self.nothing_to_act_on(f"map (N, C, H, W) out of {type(module).__name__}")
        p = self.now(self.p)
        return drop_blocks(output, p, self.block) if p else output

    def _last(self) -> str:
        """The last stage with a trained convolution, or else the last trained convolution."""
        large = trained_layers(self, nn.Conv2d, largest_only=True)
        if not large:
            raise self.nothing_to_act_on("trained convolution")
        stages = [s.name for s in chain_of(self.model).values() if any(map(s.has, large))]
        return stages[-1] if stages else large[-1]

    def _exit(self, word: str) -> str:
        """The last module of a stage with a trained convolution in it."""
        layers = trained_layers(self, nn.Conv2d)
        paths = [path for path in modules_of(self.model, word) if holds(path, layers)]
        if not paths:
            raise self.nothing_to_act_on(f'trained convolution in "{word}"')
        return paths[-1]
