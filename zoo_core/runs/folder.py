"""A run: the result of one fine-tune, in memory and as a folder.

    recipe.toml         everything that repeats it, and what came out
    metrics.jsonl       one line per epoch
    best.safetensors    the best weights: where the pretrained ones are pinned, only what differs
    trained_on.npz      which pictures it saw, by 8 bytes each
    last/               where the training stands, to go on from there, and the sha256 of both
    .owner              while it trains: the process that does
    report.html         what came out, to look at

Files are written whole beside their place and then renamed, so that a stopped process leaves no
half file.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from safetensors.torch import save_file
from torch import Tensor

from zoo_core.errors import RecipeError
from zoo_core.files import sync
from zoo_core.runs.owner import Owner, make_private
from zoo_core.runs.recipe import BEST, METRICS, RECIPE, STATE
from zoo_core.runs.sealed import Sealed
from zoo_core.runs.writing import is_empty, kept_whole, remains, unwritten, without_none

LONGEST = 40  # letters of the data's name in that of a folder: of objects it may be any text


class RunFolder:
    """Where a run is written, by this process alone until `release`.

    `resume`: it may hold a run already. Raises RecipeError where it cannot be written or another
    process is training in it, before any work is done.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self.best = Sealed(path, BEST, lasting=False)  # the state has the same weights
        self.state = Sealed(path, STATE, lasting=True)
        try:
            self.owner = Owner(path)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self._refuse_taken(resume)
            for left in remains(path):
                left.unlink()
        except BaseException as error:
            self.release()
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Other processes of a training know where the run is; the main one owns it."""
        return {"path": self.path}

    def _refuse_taken(self, resume: bool) -> None:
        is_run = (self.path / RECIPE).exists()
        if is_empty(self.path) or (resume and is_run):
            return
        hint = "Choose another run folder with out=, or remove it."
        if is_run:
            hint = f"Go on with it (zoo finetune --resume {self.path}; resume=True), or choose "
            hint += "another (--out)."
        raise RecipeError(f"{self.path} is not empty.", hint=hint)

    def release(self) -> None:
        """Others may write here from now on. A folder in which nothing came to be is removed."""
        owner = vars(self).get("owner")
        if owner is not None:
            owner.release()
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def write_recipe(self, recipe: Mapping[str, Any]) -> None:
        with kept_whole(self.path / RECIPE, lasting=True) as temporary:
            temporary.write_text(tomli_w.dumps(without_none(recipe)), encoding="utf-8")

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        path = self.path / METRICS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise unwritten(path, error) from error

    def write_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All rows anew: those of a resumed run, without what came after its last save."""
        with kept_whole(self.path / METRICS) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    def write_best(self, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
        with self.best.written() as temporary:
            whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(whole, temporary, metadata=metadata)

    def settle(self) -> None:
        """What was written so far survives a power cut, before a recipe says that it is done."""
        try:
            for path in (*filter(Path.is_file, self.path.iterdir()), self.path):
                sync(path)
        except OSError as error:
            raise unwritten(self.path, error) from error


def new_folder(model: str, data: str) -> Path:
    """`runs/MODEL-DATA-1`, or the next number that is free; made at once, so that it stays ours.

    Raises RecipeError.
    """
    last = data.rstrip("/").rpartition("/")[2]
    word = "".join(c if c.isalnum() else "-" for c in last)[:LONGEST].strip("-") or "data"
    runs = Path("runs")
    try:
        runs.mkdir(exist_ok=True)  # a file of that name is no number that is taken
    except OSError as error:
        raise _unusable(runs, error) from error
    for number in itertools.count(1):
        path = runs / f"{model.replace('/', '-')}-{word}-{number}"
        try:
            make_private(path)
        except FileExistsError:
            continue
        except OSError as error:
            raise _unusable(path, error) from error
        return path
    raise AssertionError("numbers do not end")


def _unusable(path: Path, error: OSError) -> RecipeError:
    return RecipeError(
        f"The run folder {path} cannot be written: {error.strerror or error}.",
        hint="Choose another folder (--out).",
    )
