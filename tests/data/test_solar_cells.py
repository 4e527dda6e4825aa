"""Photographs of solar cells: their classes, their parts, and where the package is not there."""

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core.data.formats import solar_cells
from zoo_core.data.opening import open_data


def test_cells_have_two_classes_or_four():
    two, four = (open_data(spec, progress=False) for spec in ("elpv", "elpv?classes=4"))
    assert two.class_counts() == [1803, 821] and two.classes == ("functional", "defective")
    assert four.class_counts() == [1508, 295, 106, 715]
    assert [target // 2 for target in four.targets] == two.targets
    picture, _ = two[0]
    assert (picture.mode, picture.size) == ("L", (300, 300))


def test_parts_are_whole_disjoint_and_the_same_for_both():
    train, test = (open_data(f"elpv#{part}", progress=False) for part in ("train", "test"))
    assert (train.class_counts(), test.class_counts()) == ([1352, 616], [451, 205])
    digests = [{part.digest(i) for i in range(len(part))} for part in (train, test)]
    assert len(digests[0] | digests[1]) == 2624 and not digests[0] & digests[1]
    four = open_data("elpv?classes=4#test", progress=False)
    assert [target // 2 for target in four.targets] == test.targets
    assert four.fingerprint() == test.fingerprint()


def test_each_kind_of_cell_has_its_share():
    found = find_spec("elpv_dataset")
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0], "data")
    kinds = {name: kind for name, _, kind in solar_cells._rows(folder / "labels.csv")}
    test = open_data("elpv#test", progress=False)
    paths = test.read.read.paths  # type: ignore[attr-defined]
    held_out = [paths[i].relative_to(folder).as_posix() for i in test.read.indices]  # type: ignore[attr-defined]
    share = Counter(kinds[name] for name in held_out)["mono"] / len(held_out)
    assert share == pytest.approx(Counter(kinds.values())["mono"] / 2624, abs=0.005)


def test_the_licence_is_said_where_they_are_opened(capsys):
    assert open_data("elpv#test").notes == [solar_cells.LICENCE]
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().err
    open_data("elpv", progress=False)
    assert capsys.readouterr().err == ""


def test_without_the_package_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(solar_cells, "find_spec", lambda name: None)
    with pytest.raises(zoo.DataError, match=r'"elpv" needs elpv-dataset') as caught:
        open_data("elpv#train")
    assert "\n" not in caught.value.message and "zoo-core[photos]" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("elpv?classes=3", 'is 2 or 4, not "3"'),
        ("elpv?class=4", 'Closest: "classes"'),
        ("elpv:x", "takes no folder"),
        ("elpv#val", "#train or #test"),
        ("elp", 'Closest: "elpv"'),
    ],
)
def test_bad_specs_say_what_is_right(spec, message):
    with pytest.raises(zoo.DataError) as caught:
        open_data(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"a b\n", b"images/cell1.png 1.0 mono\n", b"\xff\xfe"])
def test_a_damaged_table_is_named(tmp_path, monkeypatch, content):
    (tmp_path / "labels.csv").write_bytes(content)
    monkeypatch.setattr(solar_cells, "_folder", lambda: tmp_path)
    with pytest.raises(zoo.DataError, match=r"labels\.csv is not the table of elpv-dataset"):
        open_data("elpv")
