"""Datasets of other people: classes, names and pictures are what iterating them yields."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from support.pictures import colours, idx_folder
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from torchvision import datasets as tv

import zoo_core as zoo
from zoo_core.data.opening import open_data

SHADES = {name: (60 * i, 9, 9) for i, name in enumerate(("ant", "bee", "cat", "dog"))}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return colours(tmp_path_factory.mktemp("four"), SHADES, count=6)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return colours(tmp_path_factory.mktemp("two"), {"bee": (1, 2, 3), "eel": (4, 5, 6)}, count=2)


class Around(Dataset):
    """As people write it around a part of random_split."""

    def __init__(self, part, change=None):
        self.part, self.change = part, change

    def __len__(self):
        return len(self.part)

    def __getitem__(self, index):
        picture, number = self.part[index]
        return picture, self.change(number) if self.change else number


class Mine(Dataset):
    """Attributes as they are given; `says`: what items say."""

    def __init__(self, says, **given):
        self.says = says
        vars(self).update(given)

    def __len__(self):
        return len(self.says)

    def __getitem__(self, index):
        return torch.full((1, 4, 4), float(index)), self.says[index]


def seeded():
    return torch.Generator().manual_seed(0)


FOUR = tuple(SHADES)
SWEEP = {
    "ImageFolder": (tv.ImageFolder, FOUR),
    "DatasetFolder": (
        lambda root: tv.DatasetFolder(root, tv.folder.default_loader, (".png",)),
        FOUR,
    ),
    "Subset": (lambda root: Subset(tv.ImageFolder(root), [23, 0, 7, 7]), FOUR),
    "random_split": (lambda root: random_split(tv.ImageFolder(root), [20, 4], seeded())[1], FOUR),
    "in two steps": (
        lambda root: Subset(Subset(tv.ImageFolder(root), range(5, 24)), np.array([0, 9])),
        FOUR,
    ),
    "ConcatDataset": (lambda root: tv.ImageFolder(root) + tv.ImageFolder(root), FOUR),
    "of subsets": (
        lambda root: ConcatDataset(random_split(tv.ImageFolder(root), [4, 20], seeded())),
        FOUR,
    ),
    "around": (lambda root: Around(random_split(tv.ImageFolder(root), [20, 4], seeded())[0]), FOUR),
    "merging": (lambda root: tv.ImageFolder(root, target_transform=lambda y: y // 2), None),
    "a subset of it": (
        lambda root: Subset(tv.ImageFolder(root, target_transform=lambda y: y // 2), [0, 12]),
        None,
    ),
    "joined with it": (
        lambda root: tv.ImageFolder(root) + tv.ImageFolder(root, target_transform=lambda y: y // 2),
        None,
    ),
    "around, merging": (lambda root: Around(tv.ImageFolder(root), lambda y: y // 2), None),
    "another order": (lambda root: tv.ImageFolder(root, target_transform=lambda y: 3 - y), None),
    "changing nothing": (lambda root: tv.ImageFolder(root, target_transform=int), FOUR),
    "some without names": (
        lambda root: ConcatDataset([tv.ImageFolder(root), tv.FakeData(3, (3, 8, 8), 2)]),
        None,
    ),
    "zoo's own": (lambda root: Subset(open_data(f"folder:{root}"), [9, 1]), FOUR),
    "FakeData": (lambda root: tv.FakeData(9, (3, 8, 8), 3), None),
    "FakeData, moved": (
        lambda root: tv.FakeData(9, (3, 8, 8), 3, target_transform=lambda y: y + 1),
        None,
    ),
    "TensorDataset": (
        lambda root: TensorDataset(torch.randn(5, 1, 4, 4), torch.tensor([3, 0, 1, 1, 0])),
        None,
    ),
    "StackDataset": (lambda root: StackDataset(torch.randn(3, 1, 4, 4), [2, 0, 1]), None),
    "pairs": (lambda root: [(Image.new("L", (4, 4)), 1), (Image.new("L", (4, 4)), 0)], None),
    "stale targets": (lambda root: Mine([0, 0, 1, 1], targets=[0, 1, 2, 3]), None),
    "names of what items say": (
        lambda root: Mine([0, 0, 1, 1], targets=[0, 1, 2, 3], classes=["insect", "mammal"]),
        ("insect", "mammal"),
    ),
    "targets that are none": (lambda root: Mine([0, 1], targets=["a", "b"], labels={}), None),
}


UNNAMED = (  # these have names, for other numbers than those of their items
    "merging",
    "a subset of it",
    "joined with it",
    "around, merging",
    "another order",
    "some without names",
)


def numbers(data):
    return [int(data[index][1]) for index in range(len(data))]


@pytest.mark.parametrize("name", SWEEP)
def test_classes_are_what_items_say_and_names_go_by_them(root, name, capfd):
    make, names = SWEEP[name]
    data = make(root)
    found = open_data(data)
    assert found.targets == numbers(data) and found.classes == names
    said = "class names are not used" in capfd.readouterr().err
    assert said == (name in UNNAMED)
    batches = [y for _, y in DataLoader([(0, y) for _, y in found], 4)]
    assert torch.cat(batches).tolist() == found.targets


def test_mnist_as_torchvision_reads_it(tmp_path):
    (tmp_path / "MNIST").mkdir()
    idx_folder(tmp_path / "MNIST" / "raw", packed=False)
    data = tv.MNIST(tmp_path)
    found = open_data(data)
    assert found.targets == numbers(data) and found.classes == tuple(data.classes)
    assert found.read(3).tobytes() == data[3][0].tobytes()


def test_parts_that_number_their_classes_differently_are_refused(root, other):
    with pytest.raises(zoo.DataError, match='0 is "ant" in the first and "bee" in part 2'):
        open_data(ConcatDataset([tv.ImageFolder(root), tv.ImageFolder(other)]))
    own = ConcatDataset([tv.ImageFolder(root), tv.ImageFolder(other, target_transform=int)])
    assert open_data(own, progress=False).classes is None
    longer = ConcatDataset([Mine([0], classes=["a"]), Mine([1], classes=["a", "b"])])
    assert open_data(longer).classes == ("a", "b")


def test_an_item_that_says_another_class_later_is_named():
    says = [0, 1] * 1000
    data = Mine(says, targets=list(says))
    found = open_data(data)
    assert found.targets == says
    says[777] = 0
    with pytest.raises(zoo.DataError, match=r"Item 777 of the Mine says class 0, and said 1"):
        found.read(777)


def test_targets_are_a_short_cut_that_one_item_of_each_class_can_undo():
    says = [0, 1] * 1000
    claimed = list(says)
    claimed[777], read = 2, []

    class Counted(Mine):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    assert open_data(Counted(says, targets=list(says))).targets == says and len(read) < 400
    assert open_data(Counted(says, targets=claimed)).targets == says


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ([-1, 0], r"Item 0 of the Mine has class number -1; the first is 0"),
        ([0, float("inf")], r"Item 1 of the Mine is no .*: its class is inf"),
        ([0, float("nan")], r"Item 1 of the Mine is no .*: its class is nan"),
    ],
)
def test_numbers_that_are_none_of_a_class_are_named(says, said):
    for given in ({}, {"targets": says}):
        with pytest.raises(zoo.DataError, match=said):
            open_data(Mine(says, **given))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"image": 0, "label": 1}, "is a dict with image, label"),
        ((0, 1, 2), "a tuple of 3"),
        ((0,), "a tuple of 1"),
        (torch.tensor([5.0, 1.0]), "a Tensor"),
        ("ab", "a str"),
        (None, "a NoneType"),
    ],
)
def test_items_that_are_no_pairs_are_named(item, said):
    with pytest.raises(zoo.DataError, match=f"Item 0 of the list.*{said}"):
        open_data([item])


def test_a_dict_is_told_from_data():
    with pytest.raises(zoo.DataError, match=r"'train', 'test'.*data\[NAME\]"):
        open_data(datasets.DatasetDict(train=table(), test=table()))


@pytest.mark.parametrize("highest", [101, 19_000, 10**9])
def test_ids_are_no_class_numbers(highest):
    data = TensorDataset(torch.zeros(20, 1, 32, 32), torch.tensor([highest, 5] * 10))
    with pytest.raises(zoo.DataError, match=f"highest class number is {highest:,}, and only 2"):
        zoo.finetune("lenet5", data, out=False, progress=False)
    with pytest.raises(zoo.DataError, match="class number"):
        zoo.evaluate("lenet5", data, progress=False)


def test_some_of_many_classes_are_no_ids():
    data = TensorDataset(torch.zeros(4, 1, 32, 32), torch.tensor([990, 990, 5, 5]))
    model = zoo.create("lenet5", num_classes=1000)
    zoo.finetune(model, data, epochs=1, val=False, out=False, progress=False)
    assert zoo.evaluate(model, data, progress=False)["count"] == 4
    Mine([0, 5], classes=[str(i) for i in range(1000)])
    assert open_data(Mine([0, 5], classes=[f"c{i}" for i in range(1000)])).refuse_ids() is None


# --- datasets of Hugging Face --------------------------------------------------------------------


def table(**columns):
    pictures = [Image.new("L", (6, 6), 40 * i) for i in range(4)]
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    rows = {"image": pictures, "label": [1, 0, 1, 1], **columns}
    features = datasets.Features(kinds | {name: datasets.Value("int64") for name in columns})
    return datasets.Dataset.from_dict(rows, features)


def as_tensors(rows):
    tensors = [torch.full((1, 4, 4), picture.getpixel((0, 0)) / 255) for picture in rows["image"]]
    return {"image": tensors, "label": rows["label"]}


HUGGING_FACE = {
    "as it is": (table, [0, 1, 2, 3]),
    "with numbers": (lambda: table(width=[6] * 4), [0, 1, 2, 3]),
    "format": (lambda: table().with_format("torch"), [0, 1, 2, 3]),
    "chosen": (lambda: table().select([3, 1]), [3, 1]),
    "transform": (lambda: table().with_transform(as_tensors), [0, 1, 2, 3]),
    "subset": (lambda: Subset(table(), [3, 1]), [3, 1]),
    "joined": (lambda: ConcatDataset([table(), Subset(table(), [1])]), [0, 1, 2, 3, 1]),
    "loader": (lambda: DataLoader(table(), 2, sampler=[1, 2]), [1, 2]),
}


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_a_table_of_hugging_face_is_taken_as_it_is(name):
    make, places = HUGGING_FACE[name]
    found = open_data(make())
    assert found.classes == ("cat", "dog")
    assert found.targets == [[1, 0, 1, 1][place] for place in places]
    for index, place in enumerate(places):
        picture = found.read(index)
        shade = picture.getpixel((0, 0)) if isinstance(picture, Image.Image) else picture * 255
        assert np.allclose(shade, 40 * place)


def test_columns_that_cannot_be_told_are_named():
    no_label = table().rename_column("label", "kind").cast_column("kind", datasets.Value("int64"))
    with pytest.raises(zoo.DataError, match=r"Dataset has no label column: image, kind.*rename"):
        open_data(no_label)
    rows = {"image": [Image.new("L", (6, 6))], "other": [Image.new("L", (6, 6))], "label": [0]}
    kinds = {"image": datasets.Image(), "other": datasets.Image(), "label": datasets.Value("int64")}
    two = datasets.Dataset.from_dict(rows, datasets.Features(kinds))
    with pytest.raises(zoo.DataError, match=r"several image columns: image, other.*select_columns"):
        open_data(two)
    pixels = table().with_transform(lambda rows: {"pixel_values": rows["image"]})
    with pytest.raises(zoo.DataError, match=r'has no "image", but pixel_values'):
        open_data(pixels)


def test_several_labels_in_a_table_are_vectors_behind_a_transform_too():
    labels = datasets.Sequence(datasets.ClassLabel(names=["a", "b", "c"]))
    kinds = datasets.Features({"image": datasets.Image(), "label": labels})
    rows = {"image": [Image.new("L", (6, 6))] * 3, "label": [[2, 0], [], [1]]}
    plain = datasets.Dataset.from_dict(rows, kinds)
    for data in (plain, plain.with_transform(as_tensors), Subset(plain, [0, 1, 2])):
        found = open_data(data)
        assert found.multilabel and found.targets == [(0, 2), (), (1,)] and found.num_classes == 3


# --- items ---------------------------------------------------------------------------------------

GREY = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)
KINDS = {
    "PIL": lambda grey: Image.fromarray(grey),
    "uint8 tensor": lambda grey: torch.from_numpy(grey)[None],
    "uint8 tensor (H, W)": torch.from_numpy,
    "array": lambda grey: grey,
    "array (C, H, W)": lambda grey: grey[None],
    "array (H, W, C)": lambda grey: np.repeat(grey[..., None], 3, -1),
    "floats": lambda grey: (grey / 255).astype(np.float32),
}


def test_pictures_of_every_kind_train_and_evaluate_alike():
    losses, figures, answers = [], [], []
    for make in KINDS.values():
        data = [(make(grey), i % 2) for i, grey in enumerate(GREY)]
        given = {"epochs": 1, "freeze_until": "fc1", "out": False, "progress": False}
        losses.append(zoo.finetune("lenet5", data, **given).history[0]["loss"])
        figures.append(zoo.evaluate("lenet5", data, progress=False)["loss"])
        read = open_data(data).read(0)
        answers.append(zoo.predict("lenet5", read, progress=False)[0]["top"])
    assert losses == pytest.approx(losses[:1] * len(KINDS), rel=1e-5)
    assert figures == figures[:1] * len(KINDS)
    assert answers == answers[:1] * len(KINDS)
