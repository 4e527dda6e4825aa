"""inspect(): finds what was put into pictures, says what it cannot say, and changes no file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.in_process import run

import zoo_core as zoo
from zoo_core.advice.copies import NEAR, NEAR_IN_COLOUR, copies
from zoo_core.advice.look import tiny
from zoo_core.advice.mislabelled import Doubts, doubts
from zoo_core.advice.outliers import distances, odd_sizes, outliers
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import fifth_held_out
from zoo_core.training.solving.solve import solve

quiet: dict[str, Any] = {"model": "lenet5", "progress": False}


def digits(count: int = 200) -> list[tuple[Image.Image, int]]:
    pictures = open_data("digits#test")
    return [(pictures.read(i), pictures.targets[i]) for i in range(count)]


def photo(seed: int, size: tuple[int, int] = (90, 60)) -> Image.Image:
    """Something with structure: soft blobs of colour."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def folder_of(top: Path, count: int = 12) -> Path:
    for number in range(2 * count):
        place = top / ("cat" if number % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        photo(number).save(place / f"{number:02}.png")
    return top


def state_of(top: Path) -> dict[str, str]:
    files = [path for path in sorted(top.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(found: zoo.Inspection, issue: str) -> list[dict[str, Any]]:
    return [row for row in found.rows if row["issue"] == issue]


# --- labels --------------------------------------------------------------------------------------


def test_flipped_labels_come_first() -> None:
    items = digits()
    flipped = {7, 50, 123}
    items = [(picture, (y + 3) % 10 if i in flipped else y) for i, (picture, y) in enumerate(items)]
    found = zoo.inspect(items, **quiet)
    suspects = rows_of(found, "label")
    assert {row["index"] for row in suspects[:3]} == flipped
    for row in suspects[:3]:
        assert (int(row["likely"]) + 3) % 10 == int(row["label"])
    margins = [row["margin"] for row in suspects]
    assert margins == sorted(margins) and max(margins) < 0


def test_margins_are_those_of_the_solved_head() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 5, generator=generator)
    y = (x[:, 0] + 0.3 * torch.randn(60, generator=generator) > 0).long()
    found = doubts({"head": x}, y)
    assert isinstance(found, Doubts)
    assert torch.equal(found.margins, solve(x, y).left_out.margins)


def test_the_stage_that_tells_labels_apart_judges() -> None:
    y = torch.arange(60) % 2
    noise = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    found = doubts({"early": noise + 3 * y[:, None], "head": noise}, y)
    assert isinstance(found, Doubts) and found.stage == "early"


def test_a_class_of_two_is_not_judged() -> None:
    x = torch.randn(42, 4, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0] * 20 + [2] * 20 + [1] * 2)
    found = doubts({"head": x + 4 * y[:, None]}, y)
    assert isinstance(found, Doubts)
    assert found.margins.isnan().nonzero()[:, 0].tolist() == [40, 41]
    assert {*found.likely[:40].tolist()} == {0, 2}


def test_chance_is_not_enough_to_say() -> None:
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    found = doubts({"head": x}, torch.arange(40) % 2)
    assert isinstance(found, str) and "do not tell them apart" in found


def test_several_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    y = (torch.rand(80, 3, generator=generator) > 0.5).float()
    x = y @ torch.randn(3, 8, generator=generator) + 0.1 * torch.randn(80, 8, generator=generator)
    given = y.clone()
    given[5, 1] = 1 - given[5, 1]
    found = doubts({"head": x}, given)
    assert isinstance(found, Doubts)
    assert int(found.margins.argmin()) == 5 and int(found.likely[5]) == 1


# --- copies --------------------------------------------------------------------------------------


def encoded(picture: Image.Image, kind: str, **how: Any) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize(
    "again",
    [
        lambda p: p.resize((45, 30), Image.Resampling.LANCZOS),
        lambda p: p.resize((180, 120), Image.Resampling.NEAREST),
        lambda p: p.resize((90, 61), Image.Resampling.BILINEAR),
        lambda p: encoded(p, "jpeg", quality=40),
        lambda p: encoded(p, "webp", quality=50),
        lambda p: encoded(p.resize((60, 40)), "jpeg", quality=60),
    ],
    ids=["half", "twice", "a row more", "jpeg", "webp", "smaller jpeg"],
)
def test_a_copy_is_found_and_no_other_picture(again: Any) -> None:
    pictures = [photo(seed) for seed in range(40)]
    small = np.stack([tiny(p) for p in [*pictures, again(pictures[17])]])
    names = [bytes([number]) for number in range(41)]
    assert copies(names, small) == {40: (17, False)}


def test_copies_are_those_of_all_pairs() -> None:
    """The plain twin: each pair by itself."""
    generator = np.random.default_rng(0)
    first = generator.integers(0, 256, (30, 16, 16, 3))
    near = np.clip(first + generator.normal(0, 1, first.shape) * generator.choice([2, 6, 20], 30)[
        :, None, None, None], 0, 255)  # fmt: skip
    small = np.concatenate([first, near]).astype(np.uint8)
    found = copies([str(i).encode() for i in range(60)], small)
    colours = small.reshape(60, -1).astype(np.float64)
    greys = (small @ np.array([0.299, 0.587, 0.114])).reshape(60, -1)
    wanted: dict[int, tuple[int, bool]] = {}
    for late in range(60):
        for early in range(late):
            one, other = ((v[late], v[early]) for v in (greys, colours))
            if _rms(*one) <= NEAR and _rms(*other) <= NEAR_IN_COLOUR:
                wanted.setdefault(late, (early, False))
    assert found == wanted and 0 < len(found) < 30


def _rms(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()) / min(one.std(), other.std()))


def test_copies_across_train_and_validation(tmp_path: Path) -> None:
    top = folder_of(tmp_path / "train")
    other = folder_of(tmp_path / "val", 2)
    for path in other.rglob("*.png"):
        path.unlink()
    photo(3).resize((45, 30), Image.Resampling.LANCZOS).save(other / "cat" / "small.png")
    (other / "dog" / "same.png").write_bytes((top / "cat" / "05.png").read_bytes())
    photo(99).save(other / "dog" / "new.png")
    found = zoo.inspect(f"folder:{top}", val=f"folder:{other}", **quiet)
    same, small = rows_of(found, "duplicate")
    assert (same["part"], small["part"]) == ("validation", "validation")
    assert same["picture"].endswith("same.png") and "which is labelled cat" in same["why"]
    assert "nearly the same as" in small["why"] and "which is trained on" in small["why"]
    assert any("2 of the duplicates are on both sides" in note for note in found.notes)


def test_what_training_would_hold_out_is_said(tmp_path: Path) -> None:
    """Equal bytes stay on one side there; near copies do not."""
    top = folder_of(tmp_path / "pictures")
    for path in sorted(top.rglob("*.png")):
        path.with_name(f"{path.stem} again.png").write_bytes(path.read_bytes())
    exact = zoo.inspect(f"folder:{top}", **quiet)
    for path in sorted(top.rglob("* again.png")):
        Image.open(path).resize((60, 40), Image.Resampling.LANCZOS).save(path)
    near = zoo.inspect(f"folder:{top}", **quiet)
    assert exact.counts["duplicate"] == near.counts["duplicate"] == 24
    assert not any("on both sides" in note for note in exact.notes)
    _, held_out = fifth_held_out(open_data(f"folder:{top}"), 0)
    names = {held_out.read.read.name_of(i) for i in held_out.read.indices}  # type: ignore[attr-defined]
    torn = sum(
        (row["picture"] in names) != (row["why"].removeprefix("nearly the same as ") in names)
        for row in rows_of(near, "duplicate")
    )
    assert torn and any(note.startswith(f"{torn} of the duplicates") for note in near.notes)


# --- outliers and sizes --------------------------------------------------------------------------


def test_a_picture_of_another_kind_is_an_outlier() -> None:
    stranger = photo(1, (28, 28)).convert("L").point(lambda shade: 255 - shade // 4)
    found = zoo.inspect([*digits(), (stranger, 3)], **quiet)
    assert [row["index"] for row in rows_of(found, "outlier")] == [200]


def test_digits_have_none() -> None:
    found = zoo.inspect("digits#test", **quiet)
    assert found.counts["outlier"] == found.counts["duplicate"] == found.counts["size"] == 0


def test_distances_are_those_of_sorted_pairs() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    z = (x - x.mean(0)) / x.std(0).sqrt()
    wanted = (z[:, None] - z[None]).norm(dim=2).sort(1).values[:, 5]
    torch.testing.assert_close(distances(x).float(), wanted)


def test_same_pictures_have_no_outliers() -> None:
    assert outliers({"head": torch.ones(50, 4)}) == {}


def test_odd_sizes() -> None:
    sizes = [(300 + i % 7, 200) for i in range(40)]
    assert odd_sizes(sizes) == {}
    assert list(odd_sizes([*sizes, (30, 20), (600, 100), (310, 210)])) == [40, 41]


# --- what can be said, and what cannot -----------------------------------------------------------


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    top = folder_of(tmp_path / "pictures")
    (top / "cat" / "bad.png").write_bytes(b"no picture")
    (top / "dog" / "empty.jpg").write_bytes(b"")
    (top / "dog" / "cut.png").write_bytes((top / "dog" / "00.png").read_bytes()[:200])
    before = state_of(top)
    found = zoo.inspect(f"folder:{top}", **quiet)
    names = {Path(row["picture"]).name for row in rows_of(found, "unreadable")}
    assert names == {"bad.png", "empty.jpg", "cut.png"}
    assert found.rows[0]["issue"] == "unreadable"
    assert state_of(top) == before


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([(photo(i), 0) for i in range(8)], "All pictures are of one class"),
        ([(photo(i), i % 2) for i in range(3)], "Not enough to say"),
        ([(photo(0), i % 2) for i in range(30)], "the same features"),
        ([(photo(i), int(i == 0)) for i in range(9)], "Not enough to say"),
        ([(photo(0), 0)], "too few to tell an outlier"),
        ([(p, y % 2) for p, y in digits(40)] + [(photo(1), 2)], "too small to judge"),
    ],
)
def test_what_cannot_be_said_is_said(items: list[Any], told: str) -> None:
    found = zoo.inspect(items, **quiet)
    assert any(told in note for note in found.notes), found.notes
    assert str(found) and found.html()


def test_labels_by_the_dozen() -> None:
    targets = [[y % 2, y < 5, y in (0, 8)] for _, y in digits(120)]
    items = [(p, torch.tensor(t).float()) for (p, _), t in zip(digits(120), targets, strict=True)]
    found = zoo.inspect(items, **quiet)
    assert found.count == 120 and found.html()


def test_what_cannot_be_inspected_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad" / "cat"
    bad.mkdir(parents=True)
    (bad / "1.png").write_bytes(b"none")
    (tmp_path / "bad" / "dog").mkdir()
    (tmp_path / "bad" / "dog" / "2.png").write_bytes(b"none")
    for words, told in (
        ((f"folder:{tmp_path / 'empty'}",), "holds no pictures"),
        ((f"folder:{tmp_path / 'bad'}",), "None of the 2 pictures can be read"),
        ((f"folder:{tmp_path / 'gone'}",), "No folder at"),
        (("digits", "--model", "lenet6"), 'No model "lenet6"'),
    ):
        done = run("inspect", *words)
        assert done.returncode in (1, 2) and told in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(zoo.WeightsError, match="has no weights"):
        zoo.inspect("digits", zoo.create("lenet5"), progress=False)


def test_nobody_named_looks_by_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_core.advice.inspect.EYES", ("resnet152", "lenet5"))
    assert zoo.inspect(digits(60), progress=False).model == "lenet5"
    monkeypatch.setattr("zoo_core.advice.inspect.EYES", ("resnet152",))
    with pytest.raises(zoo.ZooError, match="No weights of resnet152 are on this machine"):
        zoo.inspect(digits(60), progress=False)


# --- shown ---------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path) -> None:
    top = folder_of(tmp_path / "pictures")
    (top / "cat" / "<b>.png").write_bytes((top / "dog" / "00.png").read_bytes())
    table, html = tmp_path / "look.csv", tmp_path / "page.html"
    words = ("inspect", f"folder:{top}", "--model", "lenet5", "--csv", table, "--html", html)
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["counts"]["duplicate"] == 1 and "_pictures" not in told
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == len(told["rows"])
    assert {row["issue"] for row in rows} >= {"duplicate"}
    page = html.read_text()
    assert "<script" not in page and "&lt;b&gt;.png" in page and "data:image/" in page
    assert "There twice" in page
    assert "<b>.png" in run(*words[:4]).stdout
    assert run(*words).returncode == 0  # its own files are replaced
    mine = tmp_path / "mine.csv"
    mine.write_text("file,class\n")
    done = run("inspect", f"csv:{mine}", "--csv", mine)
    assert done.returncode == 2 and "is there, and holds no findings." in done.stderr
    assert mine.read_text() == "file,class\n"


def test_rows_are_plain(tmp_path: Path) -> None:
    found = zoo.inspect("digits#test", **quiet)
    keys = {"index", "picture", "issue", "label", "likely", "margin", "why", "part"}
    assert all(row.keys() == keys for row in found.rows)
    json.dumps(found.rows)
    assert found._repr_html_().count("<tr>") == min(len(found.rows), 20) + 1
    assert found.save(tmp_path / "x.html").is_file()
    with pytest.raises(zoo.ZooError, match="cannot be written"):
        found.save(tmp_path / "no" / "x.html")


def test_pictures_are_not_changed() -> None:
    pictures = open_data("digits#test")
    before = pictures.fingerprint()
    zoo.inspect(pictures, **quiet)
    assert isinstance(pictures, Pictures) and pictures.fingerprint() == before
