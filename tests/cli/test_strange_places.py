"""Where results go, and what a command is given: files, and nothing that would be lost or waits."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo_core as zoo
from zoo_core.cli.saving import OutFile
from zoo_core.data.formats import cells, ranges
from zoo_core.data.opening import open_data
from zoo_core.data.trained_on import TRAINED_ON, read_trained_on
from zoo_core.humanize import natural
from zoo_core.model.convert.reading import read_checkpoint


@pytest.mark.parametrize("place", ["pipe", "/dev/null", "https://me:secret@host/a.csv"])
def test_results_go_to_files_alone(tmp_path: Path, monkeypatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(Exception, match=r"a device or a pipe|not an address|no folder"):
        OutFile().convert(place, None, None)
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


def packed(folder: Path, how: int, **arrays: np.ndarray) -> None:
    with zipfile.ZipFile(folder / TRAINED_ON, "w", how) as archive:
        for name, array in arrays.items():
            body = io.BytesIO()
            np.save(body, array)
            archive.writestr(f"{name}.npy", body.getvalue())


def test_what_a_run_was_trained_on_is_read_with_care(tmp_path: Path) -> None:
    good = np.arange(3, dtype=np.uint64)
    packed(tmp_path, zipfile.ZIP_STORED, stored=good, decoded=good)
    assert read_trained_on(tmp_path) is not None
    for how, array in (
        (zipfile.ZIP_DEFLATED, good),
        (zipfile.ZIP_STORED, good.astype(float)),
        (zipfile.ZIP_STORED, good.reshape(1, 3)),
    ):
        packed(tmp_path, how, stored=array, decoded=good)
        with pytest.raises(zoo.RecipeError, match="cannot be read"):
            read_trained_on(tmp_path)
    (tmp_path / TRAINED_ON).unlink()
    os.mkfifo(tmp_path / TRAINED_ON)
    with pytest.raises(zoo.RecipeError, match="is a pipe, no file"):
        read_trained_on(tmp_path)


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(zoo.WeightsError, match="is a pipe, no file"):
        read_checkpoint(tmp_path / "a.pth")


def with_a_hole(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_files_with_a_hole_in_them_are_not_read_whole(tmp_path: Path) -> None:
    picture = with_a_hole(tmp_path / "a.png", 2**34)
    with pytest.raises(zoo.DataError, match=r"more than the 1,073,741,824 of such a file"):
        zoo.predict(zoo.create("lenet5", pretrained=True), picture)
    table = with_a_hole(tmp_path / "a.csv", cells.LARGEST + 1)
    with pytest.raises(zoo.DataError, match=r"is larger than 1\.1 GB"):
        open_data(f"csv:{table}")


@pytest.mark.parametrize(
    "name", ["{0..99999999999}.tar", "{0..9}" * 8 + ".tar", "{00..99999}{0..1}"]
)
def test_a_pattern_of_endless_shards_is_refused(name: str) -> None:
    with pytest.raises(zoo.DataError, match="names more than 100,000 shards"):
        ranges.ranged(name)


def test_a_pattern_of_some_shards() -> None:
    assert ranges.ranged("{0..1}-{08..09}.tar") == [f"{a}-0{b}.tar" for a in (0, 1) for b in (8, 9)]


def test_a_pattern_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(zoo.DataError, match="is no pattern"):
        open_data(f"wds/{tmp_path}/**x.tar")


def test_an_idx_file_of_pictures_without_a_side(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(
        b"\0\0\x08\x03" + (2).to_bytes(4, "big") + bytes(4) + (28).to_bytes(4, "big")
    )
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(
        b"\0\0\x08\x01" + (2).to_bytes(4, "big") + b"\0\1"
    )
    with pytest.raises(zoo.DataError, match="is not an IDX file"):
        open_data(f"idx:{tmp_path}")


def test_numbers_of_any_length_have_an_order() -> None:
    names = ["9" * 5000, "10", "9", "010", "a"]
    assert sorted(names, key=natural) == ["9", "010", "10", "9" * 5000, "a"]


def test_readers_are_not_started_by_the_thousand() -> None:
    with pytest.raises(zoo.RecipeError, match="workers=100000 is more than 256 processes"):
        zoo.finetune("lenet5", "digits", workers=100_000, out=False, progress=False)


def test_scores_that_are_no_numbers_are_no_answer() -> None:
    model = zoo.create("lenet5", pretrained=True)
    with torch.no_grad():
        model.head.weight.fill_(float("nan"))
    with pytest.raises(zoo.WeightsError, match="scores that are no numbers"):
        zoo.predict(model, torch.rand(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"schedule": "head=" + "9" * 5000}, "the epochs of"),
        ({"schedule": "head=²"}, "the epochs of"),
        ({"out": "https://me:secret@host/run"}, "is an address"),
    ],
)
def test_arguments_of_anybody_are_one_line(
    given: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(zoo.RecipeError, match=message) as raised:
        zoo.finetune("lenet5", "digits", **{"out": False, **given}, progress=False)
    assert "secret" not in str(raised.value)
    assert not list(tmp_path.iterdir())
