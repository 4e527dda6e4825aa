"""ELPV: 2,624 photographs of solar cells, taken of the light that they give off under current.

Functional and defective cells of 44 modules (Buerhop-Lutz et al., 2018; Deitsch et al., 2019 and
2021), 300x300 pixels, grey, from the package `elpv-dataset`. The pictures are CC BY-NC-SA 4.0: zoo
reads them where that package put them, and passes none on.
https://github.com/zae-bayern/elpv-dataset
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zoo_core import files
from zoo_core.data.decoding import Files
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec
from zoo_core.data.splitting import stratified
from zoo_core.errors import DataError

TEST = 656  # a quarter
LICENCE = (
    "elpv: CC BY-NC-SA 4.0, not for commercial use: https://github.com/zae-bayern/elpv-dataset"
)
# The names of the classes, by how many there are; people gave each cell 0, 1/3, 2/3 or 3/3.
CLASSES = {
    "2": ("functional", "defective"),
    "4": ("functional", "possibly defective", "probably defective", "defective"),
}


def open_elpv(spec: Spec) -> Pictures:
    """Cells with two classes, split at a probability of 1/2, or with `?classes=4` one for each.

    The parts are the same for both: by a fixed seed, each probability and each kind of cell (mono-
    and polycrystalline) with its share. The package does not say which cells are of one module, so
    a module has cells in both parts, and accuracy on the test part says nothing of new modules.
    Raises DataError where the package is not installed, or not whole.
    """
    number = spec.options.get("classes", "2")
    if number not in CLASSES:
        raise DataError(f'classes in "{spec.text}" is 2 or 4, not "{number}".')
    folder = _folder()
    rows = _rows(folder / "labels.csv")
    thirds = [third for _, third, _ in rows]
    targets = thirds if number == "4" else [third // 2 for third in thirds]
    reader = Files([folder / path for path, _, _ in rows])
    cells = Pictures(spec.name, reader, targets, CLASSES[number], notes=[LICENCE])
    if not spec.part:
        return cells
    kinds = sorted({kind for *_, kind in rows})
    strata = [len(kinds) * third + kinds.index(kind) for _, third, kind in rows]
    rest, held_out = stratified(strata, TEST, seed=0)
    return cells.subset(held_out if spec.part == "test" else rest)


def _folder() -> Path:
    found = find_spec("elpv_dataset")
    if found is None or not found.submodule_search_locations:
        hint = "Run: pip install 'zoo-core[photos]'"
        raise DataError('The data "elpv" needs elpv-dataset.', hint=hint)
    return Path(found.submodule_search_locations[0], "data")


def _rows(path: Path) -> list[tuple[str, int, str]]:
    """Each cell's file, how many thirds of it are said to be defective, and its kind."""
    try:
        lines = files.text(path).split("\n")
        cells = [line.split() for line in lines if line.strip()]
        rows = [(name, round(3 * float(probability)), kind) for name, probability, kind in cells]
    except (OSError, ValueError) as error:
        hint = "Run: pip install --force-reinstall --no-deps elpv-dataset"
        raise DataError(f"{path} is not the table of elpv-dataset.", hint=hint) from error
    if {third for _, third, _ in rows} != {0, 1, 2, 3}:
        raise DataError(f"{path} is not the table of elpv-dataset.")
    return rows
