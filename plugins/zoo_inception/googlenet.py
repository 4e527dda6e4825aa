"""The module: GoogLeNet with batch norm, with the state-dict keys and outputs of torchvision's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

POOLS: dict[str, Callable[[], nn.Module]] = {
    "avg": lambda: nn.AdaptiveAvgPool2d(1),
    "max": lambda: nn.AdaptiveMaxPool2d(1),
    "": nn.Identity,
}


class Scores(NamedTuple):
    """Class scores (N, num_classes) of the classifier and of the two auxiliary ones."""

    logits: Tensor
    aux2: Tensor
    aux1: Tensor


class GoogLeNet(nn.Module):
    """GoogLeNet (Inception v1): pictures (N, in_chans, 224, 224) -> scores (N, num_classes).

    `forward` gives the classifier's scores alone, in training too, so that every loop can train it;
    with auxiliary heads, `forward_with_aux` gives all three, to be weighed 1, 0.3 and 0.3 as the
    paper does. `naive=True`: the module of the paper's figure 2(a), without 1x1 reductions; pooled
    channels pass through whole.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        naive: bool = False,
        aux_heads: bool = False,
        dropout: float = 0.2,
        global_pool: str = "avg",
    ) -> None:
        super().__init__()
        if global_pool not in POOLS:
            raise ValueError(f"global_pool is one of {', '.join(map(repr, POOLS))}: {global_pool}")
        if not 0 <= dropout < 1:
            raise ValueError(f"drop_rate must be in [0, 1): {dropout}")
        module = NaiveInception if naive else Inception
        self.conv1 = BasicConv2d(in_chans, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = module(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = module(self.inception3a.channels, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = module(self.inception3b.channels, 192, 96, 208, 16, 48, 64)
        self.inception4b = module(self.inception4a.channels, 160, 112, 224, 24, 64, 64)
        self.inception4c = module(self.inception4b.channels, 128, 128, 256, 24, 64, 64)
        self.inception4d = module(self.inception4c.channels, 112, 144, 288, 32, 64, 64)
        self.inception4e = module(self.inception4d.channels, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = module(self.inception4e.channels, 256, 160, 320, 32, 128, 128)
        self.inception5b = module(self.inception5a.channels, 384, 192, 384, 48, 128, 128)
        self.aux1 = AuxiliaryHead(self.inception4a.channels, num_classes) if aux_heads else None
        self.aux2 = AuxiliaryHead(self.inception4d.channels, num_classes) if aux_heads else None
        self.avgpool = POOLS[global_pool]()
        self.flatten = nn.Flatten() if global_pool else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.inception5b.channels, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        _, _, x = self._features(x)
        return self.fc(self.dropout(self.flatten(self.avgpool(x))))

    def forward_with_aux(self, x: Tensor) -> Scores:
        """The scores of all three classifiers.

        Raises ValueError when built without the auxiliary ones.
        """
        if self.aux1 is None or self.aux2 is None:
            raise ValueError("built without auxiliary heads: create it with aux_logits=True")
        first, second, x = self._features(x)
        logits = self.fc(self.dropout(self.flatten(self.avgpool(x))))
        return Scores(logits, self.aux2(second), self.aux1(first))

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of inception4a and 4d, which the auxiliary heads read, and of inception5b."""
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        first = self.inception4a(x)
        second = self.inception4d(self.inception4c(self.inception4b(first)))
        x = self.maxpool4(self.inception4e(second))
        return first, second, self.inception5b(self.inception5a(x))


class Inception(nn.Module):
    """Four branches, concatenated: 1x1; 1x1 and 3x3; 1x1 and 3x3; pooling and 1x1.

    The third branch is 5x5 in the paper; torchvision's weights, converted from TensorFlow's, have
    3x3 there.
    """

    def __init__(
        self, in_chans: int, ch1: int, reduce3: int, ch3: int, reduce5: int, ch5: int, pooled: int
    ) -> None:
        super().__init__()
        self.channels = ch1 + ch3 + ch5 + pooled
        self.branch1 = BasicConv2d(in_chans, ch1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_chans, reduce3, kernel_size=1),
            BasicConv2d(reduce3, ch3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_chans, reduce5, kernel_size=1),
            BasicConv2d(reduce5, ch5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(in_chans, pooled, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class NaiveInception(nn.Module):
    """The same branches without the 1x1 reductions, so that channels only grow.

    Arguments as for Inception.
    """

    def __init__(
        self, in_chans: int, ch1: int, reduce3: int, ch3: int, reduce5: int, ch5: int, pooled: int
    ) -> None:
        super().__init__()
        self.channels = ch1 + ch3 + ch5 + in_chans
        self.branch1 = BasicConv2d(in_chans, ch1, kernel_size=1)
        self.branch2 = BasicConv2d(in_chans, ch3, kernel_size=3, padding=1)
        self.branch3 = BasicConv2d(in_chans, ch5, kernel_size=3, padding=1)
        self.branch4 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class AuxiliaryHead(nn.Module):
    """A small classifier on an inner boundary: in 2014 it helped gradients reach early layers."""

    def __init__(self, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.conv = BasicConv2d(in_chans, 128, kernel_size=1)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(2048, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(self.conv(self.avgpool(x)))
        return self.fc2(self.dropout(self.relu(self.fc1(x))))


class BasicConv2d(nn.Module):
    """A convolution without bias, batch norm, ReLU."""

    def __init__(
        self, in_chans: int, out_chans: int, *, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_chans, out_chans, kernel_size=kernel_size, stride=stride, padding=padding, bias=False
        )
        self.bn = nn.BatchNorm2d(out_chans, eps=0.001)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))
