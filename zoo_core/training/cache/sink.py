"""The file that rows of activations are written to, while they are computed."""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

VALUES, NAME = "values.safetensors", "activations"
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


class Sink:
    """Where rows of activations go while they are computed: a file that others can write, too.

    `temporary`: a folder of its own beside the place of the entry.
    """

    def __init__(self, temporary: Path, rows: int, like: Tensor) -> None:
        shape = (rows, *like.shape[1:])
        self.row = like[0].numel() * like.element_size()
        header = _header(shape, like.dtype)
        self.start = len(header)
        # Each process writes the same header: none may empty a file with another's rows.
        opened = os.open(temporary / VALUES, os.O_RDWR | os.O_CREAT, 0o600)
        self.file = os.fdopen(opened, "r+b")
        self._write(0, header)

    def put(self, first: int, values: Tensor) -> None:
        """Write some rows, the first of them at `first`. Raises OSError on a full disk."""
        data = values.contiguous().reshape(-1).view(torch.uint8).numpy().data
        self._write(self.start + first * self.row, data)

    def _write(self, place: int, data: Any) -> None:
        self.file.seek(place)
        self.file.write(data)
        self.file.flush()  # a full disk is to be noticed here

    def close(self) -> None:
        self.file.close()


def _header(shape: tuple[int, ...], dtype: torch.dtype) -> bytes:
    size = math.prod(shape) * dtype.itemsize
    tensor = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({NAME: tensor}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
