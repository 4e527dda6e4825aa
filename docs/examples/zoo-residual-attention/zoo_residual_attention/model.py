"""Residual Attention Network: residual blocks, and masks that say where they matter.

Wang et al., Residual Attention Network for Image Classification, 2017. A module of attention is
(1 + M(x)) · T(x): the trunk T is two residual units, the mask M, in (0, 1), comes from a small
hourglass that sees the picture at lower resolutions. Because of the 1, a mask can weaken nothing
to zero, and modules can be stacked.  https://arxiv.org/abs/1704.06904
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


def conv(in_chans: int, out_chans: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Batch norm, ReLU, convolution: units here are activated before they compute."""
    convolution = nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2, bias=False)
    return [nn.BatchNorm2d(in_chans), nn.ReLU(), convolution]


class Unit(nn.Module):
    """A bottleneck with activation before each convolution: (N, C, H, W) -> (N, out, H/s, W/s)."""

    def __init__(self, in_chans: int, out_chans: int, stride: int = 1) -> None:
        super().__init__()
        inner = out_chans // 4
        self.residual = nn.Sequential(
            *conv(in_chans, inner, 1), *conv(inner, inner, 3, stride), *conv(inner, out_chans, 1)
        )
        same = in_chans == out_chans and stride == 1
        across = nn.Conv2d(in_chans, out_chans, 1, stride, bias=False)
        self.shortcut = nn.Identity() if same else across

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)


class Hourglass(nn.Module):
    """Half the resolution, a unit, the same again inside (`depth` - 1 times), a unit, and back."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.halve = nn.MaxPool2d(3, stride=2, padding=1)
        self.down = Unit(channels, channels)
        self.across = Unit(channels, channels) if depth > 1 else None
        self.inner = Hourglass(channels, depth - 1) if depth > 1 else None
        self.up = Unit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(self.halve(x))
        if self.across is not None and self.inner is not None:
            y = self.across(y) + self.inner(y)
        return functional.interpolate(self.up(y), size=x.shape[-2:], mode="bilinear")


class Attention(nn.Module):
    """(1 + M(x)) · T(x) between two units: (N, C, H, W) -> the same. `depth`: of the hourglass."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.before = Unit(channels, channels)
        self.trunk = nn.Sequential(Unit(channels, channels), Unit(channels, channels))
        self.mask = nn.Sequential(
            Hourglass(channels, depth),
            *conv(channels, channels, 1),
            *conv(channels, channels, 1),
            nn.Sigmoid(),
        )
        self.after = Unit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        return self.after((1 + self.mask(x)) * self.trunk(x))


class ResidualAttentionNet(nn.Module):
    """Pictures (N, in_chans, H, W) -> class scores (N, num_classes).

    `modules`: how many modules of attention follow each of the first three blocks: (1, 1, 1) is
    Attention-56, (1, 2, 3) Attention-92. `width`: channels after the stem; blocks have 4, 8, 16 and
    32 times as many. `small_pictures`: for 32x32 instead of 224x224 pixels, the stem keeps the
    resolution.
    """

    def __init__(
        self,
        num_classes: int,
        in_chans: int,
        *,
        modules: Sequence[int],
        width: int,
        small_pictures: bool,
    ) -> None:
        super().__init__()
        one, two, three, four = (width * times for times in (4, 8, 16, 32))
        first, second, third = modules
        self.stem = stem(in_chans, width, small_pictures)
        self.layer1 = block(width, one, 1, first, depth=3)
        self.layer2 = block(one, two, 2, second, depth=2)
        self.layer3 = block(two, three, 2, third, depth=1)
        self.layer4 = nn.Sequential(
            Unit(three, four, 2),
            Unit(four, four),
            Unit(four, four),
            nn.BatchNorm2d(four),
            nn.ReLU(),
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(four, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.head(self.pool(self.layer4(x)))


def stem(in_chans: int, width: int, small_pictures: bool) -> nn.Sequential:
    """A quarter of the resolution; all of it for small pictures."""
    kernel, stride = (3, 1) if small_pictures else (7, 2)
    first = nn.Conv2d(in_chans, width, kernel, stride, kernel // 2, bias=False)
    shrink = [] if small_pictures else [nn.MaxPool2d(3, stride=2, padding=1)]
    return nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), *shrink)


def block(in_chans: int, out_chans: int, stride: int, modules: int, depth: int) -> nn.Sequential:
    """A unit and modules of attention: where maps are larger, their hourglasses are deeper."""
    attention = [Attention(out_chans, depth) for _ in range(modules)]
    return nn.Sequential(Unit(in_chans, out_chans, stride), *attention)
