"""Small folders of pictures for the tests."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image


def colours(folder: Path, classes: dict[str, tuple[int, int, int]], count: int = 4) -> Path:
    """A folder of plain pictures, a sub-folder per class."""
    for name, colour in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shade = tuple(min(255, max(0, c + 10 * i)) for c in colour)
            Image.new("RGB", (40, 30), shade).save(folder / name / f"{i}.png")
    return folder


def idx_folder(folder: Path, *, packed: bool) -> Path:
    """A folder in MNIST's format: 20 pictures of 28x28 to train with and 10 to test with."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        pictures = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 2).astype(np.uint8)
        for name, array, code in (("images-idx3", pictures, 3), ("labels-idx1", labels, 1)):
            head = bytes((0, 0, 8, code)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            path = folder / f"{part}-{name}-ubyte"
            content = head + array.tobytes()
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return folder
