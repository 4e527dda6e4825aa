"""What identifies a content, and a picture that is decoded already."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zoo_core.errors import DataError


def digest_of(*parts: bytes) -> bytes:
    """16 bytes that identify a content (BLAKE2b).

    >>> digest_of(b"cat") == digest_of(b"c", b"at") != digest_of(b"dog")
    True
    """
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def item_digest(item: Any) -> bytes:
    """What identifies a picture, or a tensor, that is decoded already.

    Raises DataError where it is neither.
    """
    if isinstance(item, Tensor):
        flat = item.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return digest_of(f"{item.dtype}{tuple(item.shape)}".encode(), flat.numpy().tobytes())
    if isinstance(item, Image.Image):
        head = f"{item.mode}{item.size}{item.getpalette()}".encode()
        return digest_of(head, item.tobytes())
    raise DataError(f"A {type(item).__name__} is neither a PIL picture nor a tensor.")
