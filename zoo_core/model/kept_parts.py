"""What a model that keeps an early part has of its own: the pooling before its head."""

from __future__ import annotations

from torch import Tensor, nn

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
