"""The identity of a set of tensors: one sha256 over their sorted names, types, shapes and bytes.

It does not depend on the file that holds them, so a delta can stand on a whole file or on another
delta.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from zoo_core.cache import cache_folder
from zoo_core.files import written
from zoo_core.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """64 hex digits that two sets of tensors share only when they are equal, bit for bit.

    >>> import torch
    >>> tensor_digest({"a": torch.zeros(2)}) == tensor_digest({"a": torch.zeros(2)})
    True
    >>> tensor_digest({"a": torch.zeros(2)}) == tensor_digest({"a": torch.zeros(1, 2)})
    False
    """
    import torch

    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name}\0{str(tensor.dtype)[6:]}\0{list(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def remembered_digest(files: tuple[str, ...], compute: Callable[[], str]) -> str:
    """A digest by the sha256 of the files behind the tensors: computed once, then looked up."""
    key = hashlib.sha256("\0".join((__version__, *files)).encode()).hexdigest()
    place = cache_folder() / "digests" / key
    try:
        return place.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        digest = compute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with written(place) as temporary:
            temporary.write_text(digest, encoding="ascii")
    except OSError as error:
        log.debug("the digest is not remembered: %s", error)
    return digest
