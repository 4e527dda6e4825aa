"""Small pictures as data URIs, for a page that needs no files beside it."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LONGEST = 160  # pixels of the longer side
EXACT = 64  # up to this size a PNG is small enough, and nothing is lost


def data_uri(item: Any, longest: int = LONGEST, exact: int = EXACT) -> str:
    """A PIL picture, or a tensor (C, H, W) or (H, W) of any range, as a small PNG or JPEG.

    `longest`: pixels that its longer side has at most. `exact`: up to so many it is a PNG.

    >>> data_uri(Image.new("L", (8, 8)))[:22], data_uri(torch.rand(3, 99, 99))[:23]
    ('data:image/png;base64,', 'data:image/jpeg;base64,')
    """
    picture = from_tensor(item) if isinstance(item, Tensor) else item
    if picture.mode.startswith(("I", "F")):  # more than eight bits: converted, all would be white
        picture = from_tensor(torch.tensor(np.asarray(picture, dtype=np.float32)))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    picture.thumbnail((longest, longest))
    encoding = "png" if max(picture.size) <= exact else "jpeg"
    file = BytesIO()
    picture.save(file, encoding, quality=80)
    return f"data:image/{encoding};base64,{b64encode(file.getvalue()).decode('ascii')}"


def from_tensor(tensor: Tensor) -> Image.Image:
    """A tensor as a picture: its smallest value black, its largest white.

    One channel is grey, the first three of several are red, green and blue.
    """
    planes = tensor.detach().float().cpu()
    planes = planes[None] if planes.ndim == 2 else planes[:3] if len(planes) > 2 else planes[:1]
    planes = planes.nan_to_num()
    low, high = planes.min(), planes.max()
    shades = (planes - low) / (high - low).clamp(min=1e-12) * 255
    array = shades.round().to(torch.uint8).permute(1, 2, 0).squeeze(2).numpy()
    return Image.fromarray(array)
