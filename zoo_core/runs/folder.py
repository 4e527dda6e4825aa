"""A run: the result of one fine-tune, in memory and as a folder.

    recipe.toml         everything that repeats it, and what came out
    metrics.jsonl       one line per epoch
    best.safetensors    the best weights: where the pretrained ones are pinned, only what differs
    trained_on.npz      which pictures it saw, by 8 bytes each
    last/               where the training stands, to go on from there
    report.html         what came out, to look at

Files are written whole beside their place and then renamed, so that a stopped process leaves no
half file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from zoo_core.errors import RecipeError
from zoo_core.files import written
from zoo_core.humanize import printable
from zoo_core.runs.recipe import BEST, METRICS, RECIPE


class RunFolder:
    """Where a run is written. Raises RecipeError where it cannot be, before any work is done.

    `resume`: it may hold a run already.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                path.chmod(0o700)  # whatever the umask: a run tells of somebody's pictures
            taken = next(path.iterdir(), None)
            if resume and (path / RECIPE).exists():
                taken = None
            if taken is None and not (path / RECIPE).exists():
                (path / RECIPE).touch()
                (path / RECIPE).unlink()
        except OSError as error:
            raise RecipeError(
                f"The run folder {path} cannot be written: {error.strerror}.",
                hint="Choose another folder (--out).",
            ) from error
        if taken is not None:
            hint = "Choose another run folder with out=, or remove it."
            if (path / RECIPE).exists():
                hint = f"Go on with it (zoo finetune --resume {path}; resume=True), or choose "
                hint += "another (--out)."
            raise RecipeError(f"{path} is not empty.", hint=hint)

    def remove_if_empty(self) -> None:
        """Leave no folder behind where nothing came of it."""
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def write_recipe(self, recipe: Mapping[str, Any]) -> None:
        with kept_whole(self.path / RECIPE) as temporary:
            temporary.write_text(tomli_w.dumps(without_none(recipe)), encoding="utf-8")

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        path = self.path / METRICS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise _unwritten(path, error) from error

    def write_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All rows anew: those of a resumed run, without what came after its last save."""
        with kept_whole(self.path / METRICS) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    def write_best(self, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
        with kept_whole(self.path / BEST) as temporary:
            whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(whole, temporary, metadata=metadata)


def new_folder(model: str, data: str) -> Path:
    """`runs/MODEL-DATA-1`, or the next number that is free."""
    last = data.rstrip("/").rpartition("/")[2]
    word = "".join(c if c.isalnum() else "-" for c in last).strip("-") or "data"
    number = 1
    while (path := Path("runs") / f"{model.replace('/', '-')}-{word}-{number}").exists():
        number += 1
    return path


@contextlib.contextmanager
def kept_whole(path: Path) -> Iterator[Path]:
    """As `files.written`, with an error that a person can do something about."""
    try:
        path.parent.mkdir(exist_ok=True)
        with written(path) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: Exception) -> RecipeError:
    reason = getattr(error, "strerror", None) or error
    return RecipeError(
        f"{path} cannot be written: {reason}.",
        hint="What was written before it is whole: the run can go on from its last save.",
    )


def without_none(value: Any) -> Any:
    """The same without what TOML cannot say: None goes, and bytes of a path that are no text are
    shown."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list | tuple) else value
