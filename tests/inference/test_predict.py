"""predict() on files, folders, arrays and tensors, and the command."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.in_process import run

import zoo_core as zoo
from zoo_core.data.opening import open_data

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def model():
    return zoo.create("lenet5", pretrained=True)


@pytest.fixture(scope="module")
def digits() -> list[Image.Image]:
    data = open_data("mnist5k#test")
    return [data.read(i) for i in range(0, 1000, 50)]


@pytest.fixture
def folder(tmp_path: Path, digits) -> Path:
    """Pictures at two depths, with names that are not easy, and what is none."""
    place = tmp_path / "some pictures"
    (place / "b" / "ä").mkdir(parents=True)
    (place / ".hidden").mkdir()
    for name, digit in zip(
        ("c.PNG", "a 1.png", "b/ä/x.bmp", ".hidden/y.png"), digits, strict=False
    ):
        digit.save(place / name)
    (place / "notes.txt").write_text("no picture")
    return place


def plain(model, digits) -> list[str]:
    x = torch.stack([model.transform()(digit) for digit in digits])
    with torch.no_grad():
        return [str(i) for i in model.eval()(x).argmax(1).tolist()]


def labels(found) -> list[str]:
    return [one["label"] for one in found]


def test_every_form_of_a_picture_gives_the_same(model, digits, tmp_path):
    wanted = plain(model, digits)
    assert len(set(wanted)) == 10
    grey = np.stack([np.asarray(digit) for digit in digits])
    for i, digit in enumerate(digits):
        digit.save(tmp_path / f"{i:02}.png")
    x = torch.stack([model.transform()(digit) for digit in digits])
    forms = {
        "PIL": digits,
        "a generator": (digit for digit in digits),
        "a folder": tmp_path,
        "files": sorted(tmp_path.iterdir()),
        "an array (N, H, W, 1)": grey[..., None],
        "an array (N, H, W, 3)": grey[..., None].repeat(3, axis=3),
        "arrays (H, W)": list(grey),
        "a tensor (N, C, H, W)": x,
        "tensors (C, H, W)": tuple(x),
        "all kinds": [*digits[:5], x[5:9], x[9], grey[10:15, :, :, None], *digits[15:]],
    }
    for name, pictures in forms.items():
        found = zoo.predict(model, pictures, batch_size=7, **QUIET)
        assert labels(found) == wanted, name
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    assert [one["picture"] for one in zoo.predict(model, tmp_path, **QUIET)] == paths
    numbers = [str(i) for i in range(len(digits))]
    assert [one["picture"] for one in zoo.predict(model, digits, **QUIET)] == numbers


def test_probabilities_are_softmax_in_order(model, digits):
    found = zoo.predict(model, digits, top=99, **QUIET)
    with torch.no_grad():
        scores = model.eval()(torch.stack([model.transform()(digit) for digit in digits]))
    for one, row in zip(found, scores.softmax(1), strict=True):
        values = [value for _, value in one["top"]]
        assert len(values) == 10 and values == sorted(values, reverse=True)
        assert values == pytest.approx(row.sort(descending=True).values.tolist(), abs=1e-5)
        assert (one["label"], one["probability"]) == one["top"][0]


def test_batches_are_of_the_size_asked_for(model, digits):
    sizes = []
    hook = model.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    zoo.predict(model, iter(digits), batch_size=8, **QUIET)
    hook.remove()
    assert sizes == [8, 8, 4]


def test_a_generator_is_read_as_it_is_needed(model, digits):
    taken = []

    def endless():
        for i in range(10_000):
            taken.append(i)
            yield digits[i % len(digits)] if i < 40 else "/nowhere.png"

    with pytest.raises(zoo.DataError, match=r"No picture at /nowhere\.png"):
        zoo.predict(model, endless(), batch_size=4, **QUIET)
    assert len(taken) < 100


def test_folders_recursively_in_order_without_what_is_hidden(model, folder):
    found = [
        Path(one["picture"]).relative_to(folder) for one in zoo.predict(model, folder, **QUIET)
    ]
    assert list(map(str, found)) == ["a 1.png", "b/ä/x.bmp", "c.PNG"]
    (folder / "empty").mkdir()
    with pytest.raises(zoo.DataError, match=r"empty holds no pictures.*\.jpg"):
        zoo.predict(model, folder / "empty", **QUIET)


def broken(folder: Path) -> list[str]:
    """Files that are no picture, each in its own way."""
    whole = (folder / "a 1.png").read_bytes()
    contents = {"cut.png": whole[: len(whole) // 2], "empty.png": b"", "text.jpg": b"hello"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(contents)


def test_what_cannot_be_read_is_named_or_left_out(model, folder, capsys):
    names = broken(folder)
    with pytest.raises(zoo.DataError, match=r"cut\.png cannot be read"):
        zoo.predict(model, folder, **QUIET)
    found = zoo.predict(model, folder, unreadable="skip", batch_size=2)
    assert [Path(one["picture"]).name for one in found] == ["a 1.png", "x.bmp", "c.PNG"]
    said = capsys.readouterr().err
    assert "Skipped 3 that cannot be read" in said and all(name in said for name in names)
    with pytest.raises(zoo.DataError, match=r"None of the 3 pictures can be read\. .*cut\.png"):
        zoo.predict(model, [folder / name for name in names], unreadable="skip", **QUIET)
    with Image.open(folder / "cut.png") as opened, pytest.raises(zoo.DataError, match=r"cut\.png"):
        zoo.predict(model, opened, **QUIET)


def readers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if "ThreadPool" in each.name]


def test_no_thread_is_left_when_reading_ends_early(model, folder):
    """Left to the garbage collector, they could wait for one another for ever, and did."""
    broken(folder)
    with pytest.raises(zoo.DataError) as held:  # and with it every frame that it came through
        zoo.predict(model, [folder / "cut.png"] * 20, batch_size=2, **QUIET)
    assert readers() == [] and held.value.__traceback__ is not None

    def fails(module, args, output):
        raise RuntimeError("in the model")

    hook = model.register_forward_hook(fails)
    with pytest.raises(RuntimeError, match=r"in the model") as held:
        zoo.predict(model, [folder / "a 1.png"] * 20, batch_size=2, **QUIET)
    hook.remove()
    assert readers() == [] and held.value.__traceback__ is not None


def test_arrays_in_files(model, digits, tmp_path):
    array = np.stack([np.asarray(picture) for picture in digits])[..., None]
    np.save(tmp_path / "digits.npy", array)
    found = zoo.predict(model, tmp_path / "digits.npy", progress=False)
    assert found == zoo.predict(model, array, progress=False)
    damaged = tmp_path / "damaged.npy"
    damaged.write_bytes((tmp_path / "digits.npy").read_bytes()[:200])
    np.save(tmp_path / "objects.npy", np.array([print]), allow_pickle=True)
    for name in ("damaged.npy", "objects.npy", "gone.npy"):
        with pytest.raises(zoo.DataError, match=rf"{name} cannot be read as an array"):
            zoo.predict(model, tmp_path / name)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (np.full((28, 28), 7.0), r"holds 7 to 7.* from 0 to 1.*array / 255"),
        (np.zeros((5, 28, 28), np.uint8), r"not \(5, 28, 28\).*\[\.\.\., None\]"),
        (np.zeros((28, 28, 2), np.uint8), r"not \(28, 28, 2\)"),
        (torch.zeros(1, 32, 32, dtype=torch.int64), r"holds int64; pictures are uint8, or floats"),
        (torch.zeros(32, 32), r"\(C, H, W\) or \(N, C, H, W\), not \(32, 32\)"),
        (torch.zeros(3, 32, 32), r"Tensors of 3x32x32 do not go through .* 1x32x32"),
        (torch.zeros(1, 28, 28), r"Tensors of 1x28x28 do not go through .* 1x32x32"),
        ([torch.zeros(1, 32, 32), torch.zeros(1, 30, 32)], r"different shapes"),
        (7, r"A int is no picture"),
        ([b"bytes"], r"A bytes is no picture"),
    ],
)
def test_what_is_no_picture_is_an_error_that_says_what_to_do(model, pictures, message):
    with pytest.raises(zoo.DataError, match=message):
        zoo.predict(model, pictures, **QUIET)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top": 0}, r"top must be a whole number, 1 or more: 0"),
        ({"batch_size": 2.5}, r"batch_size must be a whole number"),
        ({"unreadable": "ignore"}, r'"stop" or "skip"'),
    ],
)
def test_bad_arguments(model, digits, given, message):
    with pytest.raises(zoo.DataError, match=message):
        zoo.predict(model, digits, **given, **QUIET)


def test_no_pictures_no_predictions_and_no_classifier_an_error(model, digits):
    assert zoo.predict(model, [], **QUIET) == []
    with pytest.raises(zoo.DataError, match=r"no classifier"):
        zoo.predict(zoo.create("lenet5", num_classes=0), digits, **QUIET)


# --- zoo predict ---------------------------------------------------------------------------------


def test_the_command_prints_csv_that_says_what_predict_says(model, folder):
    done = run("predict", "lenet5", folder, "--csv", "--top", "2")
    rows = list(csv.reader(done.stdout.splitlines()))
    assert rows[0] == ["picture", "label", "probability", "label_2", "probability_2"]
    for row, one in zip(rows[1:], zoo.predict(model, folder, top=2, **QUIET), strict=True):
        assert (row[0], row[1], row[3]) == (one["picture"], one["label"], one["top"][1][0])
        assert float(row[2]) == pytest.approx(one["probability"], abs=1e-6)


def test_the_command_writes_files_that_are_whole(folder, tmp_path):
    for name in ("out.json", "out.csv"):
        done = run("predict", "lenet5", folder, "--out", tmp_path / name)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "3 predictions are in" in done.stderr
    assert len(json.loads((tmp_path / "out.json").read_text())) == 3
    assert (tmp_path / "out.csv").read_text().startswith("picture,label,probability,label_2")
    broken(folder)
    before = (tmp_path / "out.json").read_bytes()
    done = run("predict", "lenet5", folder, "--out", tmp_path / "out.json")
    assert done.returncode == 1 and "cut.png" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "out.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"out.json", "out.csv", folder.name}
    done = run("predict", "lenet5", folder, "--skip-unreadable", "--json")
    assert len(json.loads(done.stdout)) == 3 and "Skipped 3" in done.stderr


def test_the_command_refuses_what_makes_no_sense(folder, tmp_path):
    for words in (["--json", "--csv"], ["--top", "0"], ["--out", str(tmp_path / "no" / "x.csv")]):
        done = run("predict", "lenet5", folder, *words)
        assert (done.returncode, done.stdout) == (2, "")


def test_a_file_after_csv_is_no_picture(folder):
    done = run("predict", "lenet5", folder, "--csv", "said.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--out said.csv writes it there" in done.stderr


def test_out_replaces_nothing_but_predictions(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Path("recipe.toml")
    recipe.write_text("[model]\nname = 1\n")
    for place in (folder / "c.PNG", recipe):
        before = place.read_bytes()
        done = run("predict", "lenet5", folder, "--out", place)
        assert (done.returncode, done.stdout, place.read_bytes()) == (2, "", before)
        assert "is there, and holds no predictions." in done.stderr
    Path("empty.csv").touch()
    for name in ("empty.csv", "empty.csv", "new.json", "new.json"):
        assert run("predict", "lenet5", folder, "--out", name).returncode == 0


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["predict", "lenet5", "none.png", "--out", "a.html"], "--html and --out"),
        (["advise", "lenet5", "digits", "--out", "a.html"], "--html and --out"),
        (["inspect", "digits", "--csv", "a.html"], "--html and --csv"),
    ],
)
def test_a_page_and_a_file_are_two(tmp_path, monkeypatch, words, options):
    monkeypatch.chdir(tmp_path)
    done = run(*words, "--html", f"../{tmp_path.name}/a.html")
    assert (done.returncode, done.stdout) == (2, "") and f"{options} are one file" in done.stderr
    assert not any(tmp_path.iterdir())
