"""Which files are pictures, and that what lies among them is counted and named."""

import os
import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image, features
from support.pictures import colours

import zoo_core as zoo
from zoo_core.data.endings import ENDINGS, PLUGINS, is_picture
from zoo_core.data.opening import open_data
from zoo_core.inference.inputs import inputs

# Formats of Pillow that are none of pictures to learn from, or that it cannot decode by itself:
# stubs, other programs' work (EPS by Ghostscript), films, print, textures of old games.
NOT_READ = {
    *("BUFR", "GRIB", "HDF5", "WMF", "EPS", "PDF", "PALM", "MPEG", "FLI", "IPTC", "PCD"),
    *("FITS", "BLP", "FTEX", "GBR", "IM", "PIXAR"),
}


def test_every_ending_of_pillow_is_read_or_left_out_on_purpose():
    Image.init()
    for ending, kind in Image.EXTENSION.items():
        assert (ending in ENDINGS) != (kind in NOT_READ), f"{ending} of {kind}"
    assert set(ENDINGS) <= set(Image.EXTENSION)


@pytest.fixture
def folder(tmp_path):
    return colours(tmp_path / "p", {"a": (0, 0, 0), "b": (9, 9, 9)})


def test_pictures_of_other_endings_are_read(folder):
    for ending in (".jfif", ".JPE", ".jp2", ".tga", ".ico", *[".avif"] * features.check("avif")):
        Image.new("RGB", (32, 32), (200, 0, 0)).save(folder / "a" / f"x{ending}")
    data = open_data(f"folder:{folder}")
    assert len(data) == len(list(folder.rglob("*.*"))) and data.notes == []
    assert all(data.read(i).size in ((40, 30), (32, 32)) for i in range(len(data)))


def test_other_files_are_counted_and_named(folder, capfd):
    for name in ("a/1.heic", "a/2.heic", "b/notes.txt", "b/README"):
        (folder / name).write_bytes(b"x")
    for name in ("a/Thumbs.db", "b/desktop.ini", "a/.DS_Store", "b/._1.png", "README.md"):
        (folder / name).write_bytes(b"x")
    data = open_data(f"folder:{folder}")
    line = capfd.readouterr().err
    assert len(data) == 8 and data.notes == [line.strip()]
    assert line.startswith(f"Left out 4 files of folder:{folder} that are no pictures by their")
    assert "2 .heic" in line and "1 .txt" in line and f"the first is {folder}/a/1.heic" in line
    assert line.endswith("For .heic: pip install pillow-heif\n")
    open_data(f"folder:{folder}", progress=False)
    assert capfd.readouterr().err == ""


def test_predict_counts_them_too(folder, capfd):
    (folder / "a" / "film.mp4").write_bytes(b"x")
    notes = []
    assert len(list(inputs(folder, notes))) == 8 and "1 file" in notes[0] and "film.mp4" in notes[0]
    assert len(zoo.predict("lenet5", folder)) == 8
    assert "film.mp4" in capfd.readouterr().err
    (folder / "c").mkdir()
    (folder / "c" / "1.heic").write_bytes(b"x")
    with pytest.raises(zoo.DataError, match=r"holds no pictures\. .*1 \.heic.*pillow-heif"):
        list(inputs(folder / "c"))
    with pytest.raises(zoo.DataError, match=r'"c" in .* holds no pictures, but .* \.heic'):
        open_data(f"folder:{folder}")


def test_a_package_that_teaches_pillow_makes_its_endings_pictures(tmp_path):
    assert not any(is_picture(Path(f"1{ending}")) for ending in PLUGINS if not installed(ending))
    assert all(is_picture(Path(f"1{ending}")) for ending in PLUGINS if installed(ending))


def installed(ending):
    import importlib.util

    return importlib.util.find_spec(PLUGINS[ending][1]) is not None


# --- names ---------------------------------------------------------------------------------------


def test_one_name_in_two_forms_of_unicode_is_one_class(tmp_path):
    composed, taken_apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    folder = colours(tmp_path, {composed: (0, 0, 0), taken_apart: (9, 0, 0), "thé": (0, 9, 0)})
    data = open_data(f"folder:{folder}")
    assert data.classes == (composed, "thé") and data.class_counts() == [8, 4]
    (tmp_path / "t.csv").write_text(f"path,label\n1,{composed}\n2,{taken_apart}\n3,x\n")
    assert open_data(f"csv:{tmp_path}/t.csv").class_counts() == [2, 1]


def of_bytes(folder, name):
    """A path in a folder whose name is bytes."""
    return Path(os.fsdecode(os.fsencode(folder) + name))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf_8_work_and_are_shown(tmp_path, capfd):
    folder = colours(tmp_path / "p", {"a": (0, 0, 0), "b": (200, 9, 9)}, count=6)
    (folder / "a").rename(of_bytes(folder, b"/caf\xe9"))
    (folder / "b" / "0.png").rename(of_bytes(folder, b"/b/\xff.png"))
    of_bytes(folder, b"/b/\xfe.txt").write_bytes(b"")
    data = open_data(f"folder:{folder}")
    assert data.classes == ("b", "caf\\xe9") and r"b/\xfe.txt" in capfd.readouterr().err
    names = {data.read.name_of(i) for i in range(len(data))}
    assert rf"{folder}/b/\xff.png" in names and all(data.read(i) for i in range(len(data)))
    run = zoo.finetune("lenet5", f"folder:{folder}", epochs=1, out=tmp_path / "run", progress=False)
    assert zoo.create(run.path).labels == ("b", "caf\\xe9")
    answers = zoo.predict(run, folder, progress=False)
    assert rf"{folder}/b/\xff.png" in [answer["picture"] for answer in answers]
    of_bytes(folder, b"/b/\xff.png").write_bytes(b"")
    with pytest.raises(zoo.DataError, match=r"b/\\xff\.png is empty"):
        zoo.predict(run, folder, progress=False)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_two_folders_that_would_be_shown_alike_are_refused(tmp_path):
    folder = colours(tmp_path / "p", {"a": (0, 0, 0), r"caf\xe9": (9, 9, 9)})
    (folder / "a").rename(of_bytes(folder, b"/caf\xe9"))
    with pytest.raises(zoo.DataError, match=r'both shown as "caf\\xe9"'):
        open_data(f"folder:{folder}")


@pytest.mark.parametrize(
    "name", ["two\nlines", 'quo"tes', "it's", " spaces ", "a\\b", "<b>&", "[x]"]
)
def test_odd_names_go_through_a_run_and_back(tmp_path, name):
    folder = colours(tmp_path / f"set {name}", {name: (0, 0, 0), "b": (200, 9, 9)}, count=6)
    run = zoo.finetune("lenet5", f"folder:{folder}", epochs=1, out=tmp_path / "run", progress=False)
    assert set(zoo.create(run.path).labels) == {name, "b"}
    assert zoo.evaluate(run.path, f"folder:{folder}", progress=False)["count"] == 12


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["https://a.b/c.png", "http://a.b/c", "s3://a/b"])
def test_an_address_is_no_path(url):
    with pytest.raises(zoo.DataError, match=rf"^{url} is a URL, and nothing is downloaded"):
        list(inputs(url))
    for spec in (url, f"folder:{url}", f"csv:{url}", f"wds/{url}", f"hfds/{url}"):
        with pytest.raises(zoo.DataError, match=r"is a URL, and nothing is downloaded"):
            open_data(spec)
