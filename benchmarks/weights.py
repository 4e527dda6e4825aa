"""A ResNet-50 weights file of the usual size: its values are random, which loading never sees."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def resnet50_file() -> Iterator[Path]:
    """A safetensors file of a ResNet-50 (102 MB) in a temporary folder.

    It has been read once, so that it is in the page cache.
    """
    import timm
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet50.safetensors"
        save_file(timm.create_model("resnet50").state_dict(), path, metadata={"format": "pt"})
        path.read_bytes()
        yield path
