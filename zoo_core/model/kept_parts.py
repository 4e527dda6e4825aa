"""What a model has of its own that keeps the early part of a network: the pooling before its head."""

from __future__ import annotations

from torch import Tensor, nn

from zoo_core.errors import ZooError

# where the new modules are: names that no network has, so that its files can be told apart
POOL, DROP, HEAD = "kept_pool", "kept_drop", "kept_head"


class MeanPool(nn.Module):
    """The mean over the places of a picture: of a map, or of its tokens but for the first `skip`.

    >>> import torch
    >>> MeanPool((2, 3))(torch.ones(2, 5, 4, 4)).shape, MeanPool((1,), 1)(torch.ones(2, 7, 5)).shape
    (torch.Size([2, 5]), torch.Size([2, 5]))
    """

    def __init__(self, axes: tuple[int, ...], skip: int = 0) -> None:
        super().__init__()
        self.axes, self.skip = axes, skip

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, self.skip :] if self.skip else x).mean(self.axes)

    def extra_repr(self) -> str:
        return f"axes={self.axes}, skip={self.skip}"


def refuse_other_maps(model: nn.Module) -> None:
    """Raise ZooError for a network that was cut where no map (N, C, H, W) is."""
    pool = getattr(model, POOL, None)
    if not isinstance(pool, MeanPool) or pool.axes != (2, 3):
        raise ZooError(
            "What this model keeps does not end with maps (N, C, H, W): it has no such features.",
            hint="forward_until(pictures, stage) gives what enters a stage.",
        )
