"""Pictures that cannot be read: fatal when met, or skipped beforehand, named and counted."""

import pytest
import torch
from PIL import Image
from support.pictures import colours
from torch.utils.data import Dataset

import zoo_core as zoo
from zoo_core.data.opening import open_data


@pytest.fixture
def folder(tmp_path):
    return colours(tmp_path / "Fotos 2024", {"a": (0, 0, 0), "b": (90, 9, 9)}, count=8)


def spoil(folder, names):
    for name in names:
        path = folder / name
        path.write_bytes(path.read_bytes()[:60] if "cut" in name else b"text")


def test_by_default_the_first_one_met_stops_and_nothing_is_checked_before(folder, capfd):
    spoil(folder, ["a/3.png"])
    data = open_data(f"folder:{folder}")
    assert len(data) == 16 and data.skipped == []
    with pytest.raises(zoo.DataError, match=r"a/3\.png is no picture"):
        data.read(3)
    assert capfd.readouterr().err == ""


def test_skipped_ones_are_counted_and_named_and_the_rest_is_as_before(folder, capfd):
    (folder / "b" / "5.png").rename(folder / "b" / "5 cut.png")
    spoil(folder, ["a/3.png", "a/4.png", "b/1.png", "b/5 cut.png"])
    data = open_data(f"folder:{folder}", unreadable="skip")
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "Skipped 4 of 16 pictures that cannot be read:"
    assert [line.split(" is ")[0] for line in said[1:4]] == [
        f"  {folder}/{name}" for name in ("a/3.png", "a/4.png", "b/1.png")
    ]
    assert said[4:] == ["  and 1 more"]
    assert len(data.skipped) == 4 and "5 cut.png cannot be read" in data.skipped[3]
    assert len(data) == 12 and data.class_counts() == [6, 6] and data.classes == ("a", "b")
    assert all(data.read(i).size == (40, 30) for i in range(12))
    again = open_data(f"folder:{folder}", unreadable="skip", progress=False)
    assert again.fingerprint() == data.fingerprint() and again.skipped == data.skipped
    assert capfd.readouterr().err == ""


def test_where_all_can_be_read_nothing_is_said(folder, capfd):
    data = open_data(f"folder:{folder}", unreadable="skip")
    assert (len(data), data.skipped, capfd.readouterr().err) == (16, [], "")


def test_a_class_without_any_readable_picture_is_an_error(folder):
    spoil(folder, [f"b/{i}.png" for i in range(8)])
    with pytest.raises(zoo.DataError, match=r'class "b" can be read.*b/0\.png'):
        open_data(f"folder:{folder}", unreadable="skip", progress=False)
    spoil(folder, [f"a/{i}.png" for i in range(8)])
    with pytest.raises(zoo.DataError, match=r"None of the 16 pictures can be read.*a/0\.png"):
        open_data(f"folder:{folder}", unreadable="skip", progress=False)


class Fragile(Dataset):
    """Somebody's Dataset of which some items raise what they like."""

    def __init__(self, broken, **attributes):
        self.broken = broken
        self.__dict__.update(attributes)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index in self.broken:
            raise KeyError(f"no key for {index}")
        return torch.full((1, 8, 8), float(index)), index % 2


@pytest.mark.parametrize("attributes", [{}, {"targets": [0, 1] * 3}])
def test_a_dataset_of_somebody_else_may_raise_anything(attributes, capfd):
    data = open_data(Fragile({1, 2}, **attributes), unreadable="skip")
    assert [int(data.read(i).mean()) for i in range(4)] == [0, 3, 4, 5]
    assert data.targets == [0, 1, 0, 1]
    assert "Item 2 of" in data.skipped[1] and "KeyError: 'no key for 2'" in data.skipped[1]
    assert "Skipped 2 of 6 pictures" in capfd.readouterr().err
    with pytest.raises(zoo.DataError, match="None of the 6"):
        open_data(Fragile(range(6), **attributes), unreadable="skip")


def test_without_skip_the_item_that_stops_is_named():
    with pytest.raises(zoo.DataError, match="Item 1 of the Fragile cannot be read: KeyError"):
        open_data(Fragile({1}))


def test_another_word_is_refused():
    with pytest.raises(zoo.DataError, match='Closest: "skip"'):
        open_data("digits", unreadable="skipp")


def test_pictures_that_are_open_already_can_be_checked(tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    Image.new("L", (4, 4)).save(tmp_path / "2.png")
    (tmp_path / "t.csv").write_text("path,label\n1.png,a\n2.png,a\n")
    data = open_data(f"csv:{tmp_path / 't.csv'}")
    assert len(open_data(data, unreadable="skip", progress=False)) == 1 and len(data) == 2
