"""Each kind of data on disk: real files of it, read whole, and what is wrong with bad ones."""

import gzip
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from support.pictures import colours, idx_folder
from torch.utils.data import DataLoader

import zoo_core as zoo
from zoo_core.data.endings import ENDINGS
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import split
from zoo_core.inference.inputs import picture_files

FASHION = Path("/usr/share/datasets/fashion-mnist")


def fails(spec, message, hint=""):
    with pytest.raises(zoo.DataError, match=message) as caught:
        open_data(spec)
    assert hint in caught.value.hint


def pixels(data: Pictures) -> list[np.ndarray]:
    return [np.asarray(data.read(i)) for i in range(len(data))]


# --- folder --------------------------------------------------------------------------------------


def test_an_empty_class_folder_is_named(tmp_path):
    folder = colours(tmp_path / "p", {"a": (0, 0, 0), "b": (9, 9, 9)})
    (folder / "c").mkdir()
    (folder / "c" / "notes.txt").write_text("nothing yet")
    fails(f"folder:{folder}", 'class folder "c" in .* holds no pictures', "or remove it")


def test_a_folder_takes_what_predict_takes(tmp_path):
    Image.init()
    written = {ending for ending, kind in Image.EXTENSION.items() if kind in Image.SAVE}
    modes = {".pgm": "L", ".pfm": "F", ".xbm": "1", ".msp": "1", ".palm": "P"}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for ending in (*ENDINGS, ".JPG"):
            picture = Image.new(modes.get(ending, "RGB"), (16, 16))  # the least of an .ico
            path = tmp_path / name / f"1{ending}"
            picture.save(path, None if ending.lower() in written else "PNG")
    data = open_data(f"folder:{tmp_path}")
    assert len(data) == 2 * (len(ENDINGS) + 1) and all(data.read(i) for i in range(len(data)))
    assert sorted(data.read.paths) == picture_files(tmp_path)


def test_what_is_hidden_is_passed_over(tmp_path):
    folder = colours(tmp_path / "p", {"a": (0, 0, 0), "b": (9, 9, 9)})
    shutil.copytree(folder / "a", folder / ".ipynb_checkpoints")
    shutil.copytree(folder / "a", folder / "b" / ".thumbnails")
    (folder / "a" / "._0.png").write_bytes(b"what macOS leaves on a stick")
    (folder / ".git").mkdir()
    data = open_data(f"folder:{folder}")
    assert len(data) == 8 and data.classes == ("a", "b")


def test_names_with_spaces_umlauts_and_marks(tmp_path):
    classes = {"große Katzen": (0, 0, 0), "犬 #1?x=2": (9, 9, 9)}
    folder = colours(tmp_path / "Bilder von Zoë #3?a=b", classes)
    data = open_data(f"folder:{folder}")
    assert data.classes == tuple(classes) and data.read(7).size == (40, 30)


def test_classes_that_differ_in_case_only_keep_their_order(tmp_path):
    folder = colours(tmp_path / "p", {name: (0, 0, 0) for name in ("b", "B", "a", "A")})
    data = open_data(f"folder:{folder}")
    assert data.classes == ("A", "a", "B", "b")
    assert all(data.read.paths[i].parent.name == data.classes[data.targets[i]] for i in range(16))


def test_a_folder_has_no_parts_but_sub_folders(tmp_path):
    fails(f"folder:{tmp_path}#train", "has no parts", f"folder:{tmp_path}/train")


# --- csv -----------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    """A folder "ein Zoo" with four pictures, and a writer of tables in it."""
    folder = tmp_path / "ein Zoo"
    (folder / "Bilder").mkdir(parents=True)
    for i, name in enumerate(("a b.png", "ü.png", "c,d.png", "e.png")):
        Image.new("L", (9, 9), 50 * i).save(folder / "Bilder" / name)

    def write(text: str, name: str = "t.csv") -> str:
        (folder / name).write_text(text, encoding="utf-8")
        return f"csv:{folder / name}"

    return write


LINES = 'path,label\nBilder/a b.png,dog\nBilder/ü.png,cat\n"Bilder/c,d.png",dog\n'


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "as Excel saves it"])
def test_a_csv_has_paths_from_its_folder_on(table, mark):
    data = open_data(table(mark + LINES))
    assert data.classes == ("cat", "dog") and data.targets == [1, 0, 1]
    assert [int(array[0, 0]) for array in pixels(data)] == [0, 50, 100]


def test_other_columns_and_absolute_paths(table, tmp_path):
    text = f"n,file,species\n1,{tmp_path}/ein Zoo/Bilder/e.png,class10\n2,Bilder/e.png,class2\n\n"
    data = open_data(table(text) + "?path=file&label=species")
    assert data.classes == ("class2", "class10") and data.targets == [1, 0]
    assert data.digest(0) == data.digest(1)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (("wild|polar bear", "tame", ""), ("polar bear", "tame", "wild")),
        (("wild bear", "tame", ""), ("bear", "tame", "wild")),
    ],
)
def test_several_labels_between_bars_or_spaces(table, cells, classes):
    names = ("a b", "ü", "e")
    lines = [f"Bilder/{name}.png,{cell}" for name, cell in zip(names, cells, strict=True)]
    data = open_data(table("path,labels\n" + "\n".join(lines)))
    assert data.multilabel and data.classes == classes and data.targets == [(0, 2), (1,), ()]


def test_parts_of_a_table_share_their_classes(table):
    text = "path,label,split\nBilder/e.png,b,train\nBilder/ü.png,c,train\nBilder/a b.png,a,val\n"
    spec = table(text)
    train, val = open_data(f"{spec}#train"), open_data(f"{spec}#val")
    assert train.classes == val.classes == ("a", "b", "c")
    assert train.targets == [1, 2] and val.targets == [0]
    assert open_data(spec).targets == train.targets, "without a part: the training part"
    fails(f"{spec}#test", 'No part "test"', "#train or #val")
    fails(f"{table(LINES)}#train", 'No part "train"', "Leave it out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no line with a picture"),
        ("path,label\n", "has no line with a picture"),
        ("file,label\na.png,x\n", 'no column "path". It has: file, label'),
        ("path,klass\na.png,x\n", 'no column "label"'),
        ("path;label\na.png;x\n", 'no column "path". It has: path;label'),
        ("path,label\na.png,\n", "no label in this line: a.png,"),
        ("path,label\n,x\n", "no path in this line: ,x"),
        ("path,label\na.png\n", "no label in this line"),
        ("path,label\nc,d.png,x\n", "more cells than columns"),
        ("path,labels\na.png,\n", "no label at all"),
    ],
)
def test_bad_tables_say_what_is_wrong(table, text, message):
    fails(table(text), message)


def test_bad_files_and_columns_say_what_is_wrong(table, tmp_path):
    fails(f"csv:{tmp_path}/t.csv", "No file at")
    fails(f"csv:{tmp_path}", "cannot be read")
    fails(table(LINES) + "?label=lable", 'Closest: "label"', "?label=COLUMN")
    fails(table(LINES) + "?labl=x", 'No option "labl".*Closest: "label", "labels"')
    (tmp_path / "latin.csv").write_bytes("path,label\nü.png,ä\n".encode("latin-1"))
    fails(f"csv:{tmp_path}/latin.csv", "is not UTF-8", "Save it as UTF-8")
    with pytest.raises(zoo.DataError, match=r"No picture at .*/gone\.png"):
        open_data(table("path,label\ngone.png,a\n")).read(0)
    with pytest.raises(zoo.DataError, match="Did you mean"):
        open_data(table(LINES).removeprefix("csv:"))


# --- csv: what may be meant in two ways ----------------------------------------------------------

CELLS = ("a b", "ü", "e")


def labelled(cells, column="labels"):
    lines = [f"Bilder/{name}.png,{cell}" for name, cell in zip(CELLS, cells, strict=True)]
    return f"path,{column}\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("cells", "classes", "targets"),
    [
        (('"cat, pet"', "pet", "cat"), ("cat", "pet"), [(0, 1), (1,), (0,)]),
        (("cat;pet", "pet", "cat"), ("cat", "pet"), [(0, 1), (1,), (0,)]),
        (("big cat|pet", "pet", ""), ("big cat", "pet"), [(0, 1), (1,), ()]),
        (('"cat, big|pet"', "pet", "pet"), ("cat, big", "pet"), [(0, 1), (1,), (1,)]),
        (("cat", "", "dog"), ("cat", "dog"), [(0,), (), (1,)]),
    ],
)
def test_labels_between_marks(table, cells, classes, targets):
    data = open_data(table(labelled(cells)))
    assert data.multilabel and data.classes == classes and data.targets == targets
    assert data.notes == []


def test_one_name_in_each_line_of_labels_is_one_class_unless_it_is_asked_for(table, capfd):
    spec = table(labelled(("cat", "dog", "cat")))
    data = open_data(spec)
    assert not data.multilabel and data.targets == [0, 1, 0]
    assert 'is read as "label". For several classes at once: ?labels=labels' in (
        capfd.readouterr().err
    )
    several = open_data(f"{spec}?labels=labels")
    assert several.multilabel and several.targets == [(0,), (1,), (0,)] and not several.notes


def test_spaces_in_labels_are_not_taken_apart_in_silence(table, capfd):
    spec = table(labelled(("golden retriever", "cat", "cat")))
    fails(
        spec, '"golden retriever" in the column "labels" .* one label or several', "?label=labels"
    )
    assert open_data(f"{spec}?label=labels").classes == ("cat", "golden retriever")
    assert open_data(f"{spec}?labels=labels").classes == ("cat", "golden", "retriever")
    assert "are taken apart at spaces: \"golden retriever\" is ['golden'," in capfd.readouterr().err
    open_data(table(labelled(("golden retriever", "cat", ""))))
    assert "are taken apart at spaces" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            labelled(("a,b", "c", "d")).replace("a,b", '"a, b"').replace(",c", ",c;d"),
            '";" in line 3',
        ),
        (labelled(("\"['a', 'b']\"", "c", "d")), "line 2: .* is a list of a program"),
        (labelled(('"[""a""]"', "c", "d")), "line 2: .* is a list of a program"),
        ("path,label,label\na.png,x,y\n", '2 columns called "label"'),
        ("path,path,label\na.png,x,y\n", '2 columns called "path"'),
        ("path,label,split,split\na.png,x,train,val\n", '2 columns called "split"'),
        ("path,label,labels\na.png,x,y\n", 'a column "label" and a column "labels"'),
        (
            "path,label,split\n1.png,x,train\n2.png,y,\n\n3.png,x, \n",
            'no "split" in 2 of 3 lines; the first is line 3: 2.png,y',
        ),
    ],
)
def test_what_a_table_leaves_open_is_refused_with_its_line(table, text, message):
    fails(table(text), message)


def test_columns_that_nobody_asks_for_may_have_one_name(table):
    data = open_data(table("path,label,note,note,\nBilder/e.png,x,1,2,\nBilder/ü.png,y,,,\n"))
    assert data.targets == [0, 1]


def test_an_empty_column_split_says_nothing(table):
    spec = table("path,label,split\nBilder/e.png,x,\nBilder/ü.png,y,\n")
    assert len(open_data(spec)) == 2
    fails(f"{spec}#train", 'No part "train"')


@pytest.mark.parametrize(
    ("mark", "name"), [(";", "semicolon"), (";", ";"), ("\t", "tab"), ("|", "bar"), (",", "comma")]
)
def test_other_marks_between_cells(table, mark, name):
    spec = table("path,label\nBilder/e.png,x\nBilder/ü.png,y\n".replace(",", mark))
    data = open_data(f"{spec}?separator={name}")
    assert data.classes == ("x", "y") and data.read(0).size == (9, 9)
    if mark != ",":
        named = "semicolon" if name == ";" else name
        fails(spec, 'no column "path"', f"t.csv?separator={named}")


def test_tables_without_a_header(table):
    spec = table("Bilder/e.png,x\nBilder/ü.png,y\n")
    fails(spec, 'no column "path"', "t.csv?header=no")
    assert open_data(f"{spec}?header=no").classes == ("x", "y")
    fails(f"{spec}?header=no#train", 'No part "train"')
    turned = table("7;y;Bilder/e.png\n8;x;Bilder/ü.png\n")
    data = open_data(f"{turned}?header=no&separator=semicolon&path=3&label=2")
    assert data.targets == [1, 0] and data.read(0).size == (9, 9)
    fails(f"{turned}?header=no&separator=semicolon&label=4", "no number of its 3 columns")
    fails(f"{turned}?header=no&label=klass", 'label="klass" is no number')
    fails(f"{turned}?header=maybe", '"yes" or "no", not "maybe"')
    fails(f"{turned}?separator=semikolon", 'No separator "semikolon".*Closest: "semicolon"')


# --- torchvision ---------------------------------------------------------------------------------


def test_mnist_sets_as_torchvision_keeps_them(tmp_path):
    raw = tmp_path / "alle Sets" / "FashionMNIST" / "raw"
    raw.parent.mkdir(parents=True)
    idx_folder(raw, packed=False)
    spec = f"torch/fashion_mnist:{tmp_path}/alle Sets"
    train, test = open_data(spec), open_data(f"{spec}#test")
    assert (len(train), len(test)) == (20, 10) and train.has_digests
    assert train.classes[:2] == ("T-shirt/top", "Trouser") and train.targets[:3] == [0, 1, 0]
    idx = open_data(f"idx:{raw}")
    assert train.fingerprint() == idx.fingerprint() == open_data(f"{spec}#train").fingerprint()
    assert all(map(np.array_equal, pixels(train), pixels(idx)))
    shutil.copytree(raw.parent, tmp_path / "MNIST")
    assert open_data(f"torch/mnist:{tmp_path}").classes == tuple("0123456789")


@pytest.mark.skipif(not FASHION.exists(), reason="Fashion-MNIST is not installed")
def test_fashion_mnist_itself(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in FASHION.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    data = open_data(f"torch/fashion_mnist:{tmp_path}#test")
    assert data.class_counts() == [1000] * 10
    assert data.fingerprint() == open_data(f"idx:{FASHION}#test").fingerprint()
    train, val = split(data, 0.2, seed=0)
    assert val.class_counts() == [200] * 10 and train.class_counts() == [800] * 10


def test_colour_arrays_and_their_checksums(tmp_path, monkeypatch):
    import hashlib
    import pickle

    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    names = {"label_names": [f"thing {i}" for i in range(10)]}
    contents = {"all": {"data": rows, "labels": [3, 1, 4, 1]}, "batches.meta": names}
    sums = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [["all", sums["all"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["all", sums["all"]]])
    monkeypatch.setitem(CIFAR10.meta, "md5", sums["batches.meta"])
    data = open_data(f"torch/cifar10:{tmp_path}")
    assert data.targets == [3, 1, 4, 1] and data.num_classes == 10 and data.has_digests
    assert np.array_equal(pixels(data)[2], rows[2].reshape(3, 32, 32).transpose(1, 2, 0))
    (folder / "all").write_bytes(b"other bytes")
    fails(f"torch/cifar10:{tmp_path}", "CIFAR10 is not in .*, or not whole", "download=True")


def test_sets_of_files_are_read_by_their_paths(tmp_path):
    meta, pictures = tmp_path / "food-101" / "meta", tmp_path / "food-101" / "images"
    colours(pictures, {"cake": (200, 0, 0), "apple": (0, 200, 0)}, count=2)
    for path in pictures.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
    meta.mkdir()
    for part, i in (("train", 0), ("test", 1)):
        listed = {name: [f"{name}/{i}"] for name in ("cake", "apple")}
        (meta / f"{part}.json").write_text(json.dumps(listed))
    data = open_data(f"torch/food101:{tmp_path}#test")
    assert data.classes == ("apple", "cake") and data.targets == [1, 0] and data.has_digests
    assert [path.name for path in data.read.paths] == ["1.jpg"] * 2
    assert pixels(data)[0].mean((0, 1)).argmax() == 0


def test_absent_sets_are_not_downloaded(tmp_path):
    fails(f"torch/cifar10:{tmp_path}", "not in", "datasets.CIFAR10")
    fails(f"torch/oxford_iiit_pet:{tmp_path}", "not in", "Nothing is downloaded here")
    fails(f"torch/imagenet:{tmp_path}", "not in")
    fails("torch/cifar", 'No set "cifar".*Closest: "cifar10"', "fashion_mnist")
    fails(f"torch/mnist:{tmp_path}#val", 'No part "val"', "#train or #test")
    assert list(tmp_path.iterdir()) == []


# --- Hugging Face --------------------------------------------------------------------------------


def features(**more):
    labels = datasets.ClassLabel(names=["cat", "dog", "owl"])
    return datasets.Features({"image": datasets.Image(), "label": labels, **more})


def rows(count, first=0, **more):
    shades = [Image.new("RGB", (6, 5), (first + 20 * i, 0, 0)) for i in range(count)]
    return {"image": shades, "label": [i % 3 for i in range(count)], **more}


@pytest.fixture
def saved(tmp_path):
    parts = {name: datasets.Dataset.from_dict(rows(n), features()) for name, n in SIZES.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "mein Satz")
    return f"hfds/{tmp_path / 'mein Satz'}"


SIZES = {"train": 6, "validation": 3}


def test_saved_datasets_and_their_parts(saved):
    data, val = open_data(saved), open_data(f"{saved}#validation")
    assert (len(data), len(val)) == (6, 3) and data.classes == ("cat", "dog", "owl")
    assert data.targets == [0, 1, 2, 0, 1, 2]
    assert [array[0, 0].tolist() for array in pixels(data)][1] == [20, 0, 0]
    assert data.digest(0) == val.digest(0) != data.digest(1)
    fails(f"{saved}#test", 'No part "test"', "#train or #validation")


def test_one_saved_dataset_has_no_parts(tmp_path):
    table = datasets.Dataset.from_dict(rows(3), features()).with_format("torch")
    table.save_to_disk(tmp_path / "d")
    assert len(open_data(f"hfds/{tmp_path}/d")) == 3
    fails(f"hfds/{tmp_path}/d#train", 'No part "train"', "Leave it out")


def test_parquet_and_image_folders(tmp_path):
    table = datasets.Dataset.from_dict(rows(6), features())
    (tmp_path / "p").mkdir()
    table.to_parquet(tmp_path / "p" / "train-00000.parquet")
    data = open_data(f"hfds/{tmp_path}/p#train")
    assert data.classes == ("cat", "dog", "owl") and data.targets == table["label"][:]
    folder = colours(tmp_path / "q" / "train", {"a": (0, 0, 0), "b": (9, 9, 9)})
    pictures = open_data(f"hfds/{tmp_path}/q")
    assert pictures.classes == ("a", "b") and len(pictures) == 8
    assert {pictures.digest(i) for i in range(8)} == {
        open_data(f"folder:{folder}").digest(i) for i in range(8)
    }
    (folder / "a" / "0.png").unlink()
    with pytest.raises(zoo.DataError, match=r"No picture at .*a/0\.png"):
        open_data(pictures.subset([0])).read(0)


def test_columns_are_found_by_type_or_named(tmp_path):
    fine = datasets.ClassLabel(names=["x", "y"])
    kinds = features(fine=fine, mask=datasets.Image(), note=datasets.Value("string"))
    more = {"fine": [1, 0, 1], "note": ["u", "v", "u"]}
    table = datasets.Dataset.from_dict(rows(3, mask=rows(3, 100)["image"], **more), kinds)
    table.save_to_disk(tmp_path / "d")
    spec = f"hfds/{tmp_path}/d"
    fails(spec, "several image columns: image, mask", f"{spec}?image=COLUMN")
    fails(f"{spec}?image=mask", "several label columns: label, fine", f"{spec}?label=COLUMN")
    fails(f"{spec}?image=mask&label=fein", 'no label column "fein".*Closest: "fine"')
    data = open_data(f"{spec}?image=mask&label=fine")
    assert data.targets == [1, 0, 1] and pixels(data)[0][0, 0, 0] == 100
    assert open_data(f"{spec}?image=mask&label=note").classes == ("u", "v")


def test_lists_of_classes_are_several(tmp_path):
    names = datasets.ClassLabel(names=["cat", "dog", "owl"])
    kinds = datasets.Features({"picture": datasets.Image(), "labels": datasets.List(names)})
    given = {"picture": rows(3)["image"], "labels": [[2, 0], [], [1]]}
    datasets.Dataset.from_dict(given, kinds).save_to_disk(tmp_path / "d")
    data = open_data(f"hfds/{tmp_path}/d")
    assert data.multilabel and data.targets == [(0, 2), (), (1,)] and data.num_classes == 3


@pytest.mark.parametrize("label", [-1, None])
def test_rows_without_a_class_are_refused(tmp_path, label):
    table = datasets.Dataset.from_dict(rows(3) | {"label": [0, 1, label]}, features())
    table.save_to_disk(tmp_path / "d")
    fails(f"hfds/{tmp_path}/d", "class number -1" if label else "label None")


def test_rows_without_a_picture_or_with_a_broken_one_are_named(tmp_path):
    cells = [{"bytes": b"text", "path": None}, None]
    table = datasets.Dataset.from_dict({"image": cells, "label": [0, 1]}, features())
    table.save_to_disk(tmp_path / "d")
    data = open_data(f"hfds/{tmp_path}/d")
    for index, message in enumerate(("Row 0 of .* is no", "Row 1 of .* has no")):
        with pytest.raises(zoo.DataError, match=message):
            data.read(index)


def test_what_is_no_dataset_is_refused(tmp_path):
    fails(f"hfds/{tmp_path}/gone", "No folder at", "save_to_disk")
    fails(f"hfds/{tmp_path}", "cannot be read as a dataset")
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "d")
    fails(f"hfds/{tmp_path}/d", "no image column: text")
    (tmp_path / "d" / "state.json").write_text("{")
    fails(f"hfds/{tmp_path}/d", "cannot be read as a dataset")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    fails("hfds/x", "needs datasets", "zoo-core[datasets]")


# --- WebDataset ----------------------------------------------------------------------------------


def png(shade):
    stream = io.BytesIO()
    Image.new("L", (7, 7), shade).save(stream, "PNG")
    return stream.getvalue()


def shard(path, members, mode="w"):
    """A tar with these members: name -> text or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as opened:
        for name, content in members.items():
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path):
    """Three shards of four pictures, two to train with."""
    folder = tmp_path / "meine Scherben"
    for number, name in enumerate(("train-000", "train-001", "val-000")):
        members = {}
        for i in range(4):
            members[f"ä/{i}.png"] = png(40 * number + 10 * i)
            members[f"ä/{i}.cls"] = str(i % 2)
        shard(folder / f"{name}.tar", members)
    return folder


def test_shards_are_read_in_any_order(shards):
    data = open_data(f"wds/{shards}")
    assert len(data) == 12 and data.targets == [0, 1] * 6 and data.classes is None
    shades = [int(array[0, 0]) for array in pixels(data)]
    assert shades == [40 * n + 10 * i for n in range(3) for i in range(4)]
    assert data.digest(4) == data.digest(4) != data.digest(0) and data.has_digests


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("#train", 8),
        ("#val", 4),
        ("/train-{000..001}.tar", 8),
        ("/train-*.tar", 8),
        ("/*-000.tar", 8),
        ("/val-000.tar", 4),
    ],
)
def test_shards_are_chosen_by_name(shards, pattern, count):
    assert len(open_data(f"wds/{shards}{pattern}")) == count


def test_classes_are_named_beside_the_shards(shards):
    (shards / "classes.txt").write_text("Bär\nLöwe\n", encoding="utf-8")
    assert open_data(f"wds/{shards}").classes == ("Bär", "Löwe")
    (shards / "classes.txt").write_text("Bär\n", encoding="utf-8")
    fails(f"wds/{shards}", "class number 1; there are 1 classes")


def test_labels_in_json_may_be_names_and_several(tmp_path):
    labels = ["dog", "cat"]
    members = {f"{i}.{end}": png(i) for i, end in enumerate(("jpg", "JPEG"))}
    members |= {f"{i}.json": json.dumps({"label": label, "n": i}) for i, label in enumerate(labels)}
    shard(tmp_path / "a.tar", {"_info.json": "{}", "README.md": "", **members})
    data = open_data(f"wds/{tmp_path}")
    assert data.classes == ("cat", "dog") and data.targets == [1, 0]
    assert open_data(f"wds/{tmp_path}?label=n").targets == [0, 1]
    members |= {"0.json": '{"label": ["dog", "owl"]}', "1.json": '{"label": []}'}
    shard(tmp_path / "a.tar", members)
    assert open_data(f"wds/{tmp_path}").targets == [(0, 1), ()]


def test_workers_read_the_same_bytes(shards):
    data = open_data(f"wds/{shards}")
    loaded = DataLoader(ShadesOf(data), batch_size=3, num_workers=2)
    assert [shade for batch in loaded for shade in batch.tolist()] == [
        int(array[0, 0]) for array in pixels(data)
    ]


class ShadesOf:
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return int(np.asarray(self.data.read(index))[0, 0])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds no pictures"),
        ({"a.txt": "x"}, "holds no pictures"),
        ({"a.png": png(0)}, r"a\.png in .*a\.tar has no label"),
        ({"a.png": png(0), "a.jpg": png(0), "a.cls": "0"}, r"a\.png in .* and a\.jpg are one"),
        ({"a.cls": "0"}, r"a\.cls in .* has no picture beside it"),
        ({"a.png": png(0), "a.cls": "-1"}, "class number -1"),
        ({"a.png": png(0), "a.cls": b"\xff"}, r"a\.cls in .* holds no"),
        ({"a.png": png(0), "a.json": "{"}, r'a\.json in .* holds no "label"'),
        ({"a.png": png(0), "a.json": '{"class": 1}'}, r'a\.json in .* holds no "label"'),
        ({"a.png": png(0), "a.json": '{"label": 1.5}'}, "neither a name nor a number"),
        ({"a.png": png(0), "a.json": '{"label": {}}'}, "neither a name nor a number"),
        ({"a.png": png(0), "a.json": "[]"}, r'a\.json in .* holds no "label"'),
    ],
)
def test_bad_shards_say_what_is_wrong(tmp_path, members, message):
    fails(f"wds/{shard(tmp_path / 'a.tar', members)}", message)


def test_damaged_and_absent_shards_are_named(tmp_path):
    good = {"a.png": png(0), "a.cls": "0", "b.cls": "1", "b.png": png(0) + b"\0" * 2000}
    shard(tmp_path / "a.tar.gz", good, mode="w:gz").rename(tmp_path / "gz.tar")
    fails(f"wds/{tmp_path}", r"gz\.tar cannot be read", "not compressed")
    path = shard(tmp_path / "cut" / "cut.tar", good)
    path.write_bytes(path.read_bytes()[:4000])
    fails(f"wds/{path}", r"cut\.tar is cut short in b\.png")
    path.write_bytes(b"")
    fails(f"wds/{path}", r"cut\.tar cannot be read")
    fails(f"wds/{tmp_path}/train-{{0..3}}.tar", r"No shard .*train-0\.tar")
    fails(f"wds/{tmp_path}/none", r"No shard .*none")
    fails(f"wds/{tmp_path}#val", 'begins with "val"')


def test_a_shard_that_changes_later_is_an_error_not_another_picture(shards):
    data = open_data(f"wds/{shards}")
    (shards / "train-001.tar").write_bytes(b"")
    with pytest.raises(zoo.DataError, match=r"ä/0\.png in .*train-001\.tar is empty"):
        data.read(4)


def named(names, endings=("png", "cls")):
    """Members of samples of these names, in turn of class 0 and 1."""
    return {
        f"{name}.{ending}": png(i) if ending == "png" else str(i % 2)
        for i, name in enumerate(names)
        for ending in endings
    }


@pytest.mark.parametrize(
    "names",
    [
        [f"scan{i}_v1.5" for i in range(10)],
        [f"scan{i}" if i % 2 else f"scan{i}_v1.5" for i in range(10)],
        [f"2024.05.{i:02d}" for i in range(10)],
        [f"v1.{i}/scan" for i in range(10)],
        [f"a.b/{i}.c.d" for i in range(10)],
        [f"scan.{i}" for i in range(9)] + ["scan"],
    ],
)
def test_dots_in_names_are_part_of_them(tmp_path, names):
    data = open_data(f"wds/{shard(tmp_path / 'a.tar', named(names))}")
    assert len(data) == 10 and data.targets == [0, 1] * 5 and data.notes == []
    assert [int(array[0, 0]) for array in pixels(data)] == list(range(10))


def test_what_is_in_no_sample_is_counted_and_named(tmp_path, capfd):
    fields = {"0.seg.png": png(9), "0.fine.cls": "7", "0.txt": "a scan", "1.json": "{}"}
    strangers = {"README.md": "x", "notes": "x", ".DS_Store": "x", "./._0.png": "x"}
    members = {**named("0123"), **fields, **strangers}
    data = open_data(f"wds/{shard(tmp_path / 'a.tar', members)}")
    assert data.targets == [0, 1, 0, 1]
    line = capfd.readouterr().err.strip()
    assert [line] == data.notes and line.startswith(f"Left out 4 files of wds/{tmp_path}/a.tar")
    assert "The first is 0.seg.png in" in line


def test_a_sample_that_is_not_whole_is_refused_with_dots_too(tmp_path):
    fails(f"wds/{shard(tmp_path / 'a.tar', {'a.b.png': png(0)})}", r"a\.b\.png in .* no label")
    fails(f"wds/{shard(tmp_path / 'b.tar', {'a.b.cls': '0'})}", r"a\.b\.cls in .* no picture")
    twice = {"a.b.png": png(0), "a.b.PNG": png(0), "a.b.cls": "0"}
    fails(f"wds/{shard(tmp_path / 'c.tar', twice)}", "for one sample")


def test_a_name_that_is_missing_in_classes_txt_does_not_shift_the_others(shards):
    (shards / "classes.txt").write_text("cat\n\ndog\n\n")
    fails(f"wds/{shards}", r"classes\.txt has no name in line 2")
