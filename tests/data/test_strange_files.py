"""Data that is no data: pipes, devices, loops, programs in pictures, and headers that lie."""

import gzip
import io
import os
import sys
import tarfile

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from support.pictures import colours, idx_folder

import zoo_core as zoo
from zoo_core.data.decoding import decoded
from zoo_core.data.endings import FORMATS, readable_formats
from zoo_core.data.formats import arrays
from zoo_core.data.opening import open_data
from zoo_core.inference.inputs import inputs

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such files")


def refused(spec, message):
    with pytest.raises(zoo.DataError, match=message):
        open_data(spec, progress=False)


@pytest.fixture
def folder(tmp_path):
    return colours(tmp_path / "p", {"a": (0, 0, 0), "b": (200, 9, 9)})


# --- pictures that would start a program ---------------------------------------------------------


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Where a Ghostscript that is first on PATH would say that it was started."""
    told = tmp_path / "started"
    script = tmp_path / "bin" / "gs"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho $* >> {told}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for once
    return told


def test_postscript_is_not_run_whatever_it_is_called(folder, started, capfd):
    (folder / "a" / "cat.png").write_bytes(EPS)
    with pytest.raises(zoo.DataError, match=r"cat\.png is no picture that can be read"):
        zoo.predict("lenet5", folder / "a" / "cat.png", progress=False)
    data = open_data(f"folder:{folder}", unreadable="skip")
    assert len(data) == 8 and "cat.png is no picture" in capfd.readouterr().err
    assert not started.exists()


def test_a_picture_that_is_open_and_would_run_it_is_refused(tmp_path, started):
    (tmp_path / "e.eps").write_bytes(EPS)
    with Image.open(tmp_path / "e.eps") as waiting:
        with pytest.raises(zoo.DataError, match="is a picture of EPS, which is not decoded here"):
            zoo.predict("lenet5", waiting, progress=False)
        with pytest.raises(zoo.DataError, match="is a picture of EPS"):
            open_data([(waiting, 0), (waiting, 1)]).read(0)
    assert not started.exists()


def test_nor_in_tables_and_shards(tmp_path, started):
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    cells = {"image": [{"bytes": EPS, "path": "a.png"}] * 2, "label": [0, 1]}
    table = datasets.Dataset.from_dict(cells, kinds)
    table.save_to_disk(tmp_path / "d")
    shard(tmp_path / "s.tar", {"0.png": EPS, "0.cls": b"0"})
    for spec in (f"hfds/{tmp_path}/d", f"wds/{tmp_path}/s.tar", table):
        with pytest.raises(zoo.DataError, match="is no picture"):
            open_data(spec, progress=False).read(0)
    with pytest.raises(zoo.DataError, match="cannot be read"):
        open_data(table.with_transform(lambda rows: rows), progress=False)
    assert not started.exists()


def test_only_formats_that_are_decoded_in_process_are_opened():
    Image.init()
    outside = {"EPS", "IPTC", "WMF", "GRIB", "BUFR", "HDF5", "FITS", "MPEG", "PDF", "SPIDER"}
    assert not outside & set(readable_formats()) and set(readable_formats()) <= set(Image.OPEN)
    for name in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "MPO", "JPEG2000", "ICNS", "TGA", "XBM"):
        stream = io.BytesIO()
        Image.new("1" if name == "XBM" else "RGB", (32, 32)).save(stream, name)
        side = 1024 if name == "ICNS" else 32  # Pillow scales it up
        assert decoded(stream.getvalue(), name).size == (side, side)
    assert len(set(FORMATS)) == len(FORMATS)


# --- what is no file -----------------------------------------------------------------------------


def test_a_pipe_in_a_class_folder_is_named(folder):
    os.mkfifo(folder / "a" / "pipe.png")
    (folder / "b" / "zero.png").symlink_to("/dev/zero")
    data = open_data(f"folder:{folder}", unreadable="skip", progress=False)
    assert len(data) == 8 and len(data.skipped) == 2
    assert "pipe.png is a pipe, no file." in data.skipped[0]
    assert "zero.png is a device, no file." in data.skipped[1]
    for name in ("a/pipe.png", "b/zero.png"):
        with pytest.raises(zoo.DataError, match=r"is a (pipe|device), no file"):
            zoo.predict("lenet5", folder / name, progress=False)
    with pytest.raises(zoo.DataError, match="is a pipe, no file"):
        zoo.finetune("lenet5", f"folder:{folder}", epochs=1, out=False, progress=False)


def test_a_file_of_proc_ends(tmp_path):
    (tmp_path / "x.png").symlink_to("/proc/self/mem")
    with pytest.raises(zoo.DataError, match=r"x\.png is empty"):
        zoo.predict("lenet5", tmp_path, progress=False)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("t.csv", "csv:{}/t.csv", r"t\.csv cannot be read: it is a pipe, no file"),
        ("s.tar", "wds/{}/s.tar", r"s\.tar is a pipe, no file"),
        ("train-images-idx3-ubyte", "idx:{}", "cannot be read: it is a pipe"),
        ("train-images-idx3-ubyte.gz", "idx:{}", "cannot be read: it is a pipe"),
        ("README.md", "hfds/{}", r"README\.md is a pipe"),
        ("state.json", "hfds/{}", r"state\.json is a pipe"),
        ("x.parquet", "hfds/{}", r"x\.parquet is a pipe"),
        ("x", "torch/mnist:{}", r"x is a pipe"),
    ],
)
def test_a_pipe_is_no_data(tmp_path, name, spec, message):
    os.mkfifo(tmp_path / name)
    refused(spec.format(tmp_path), message)


def test_a_pipe_beside_shards_and_as_an_array(tmp_path):
    os.mkfifo(tmp_path / "classes.txt")
    shard(tmp_path / "s.tar", {"0.png": png(), "0.cls": b"0"})
    refused(f"wds/{tmp_path}", r"classes\.txt cannot be read: it is a pipe")
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(zoo.DataError, match=r"x\.npy cannot be read as an array: is a pipe"):
        zoo.predict("lenet5", tmp_path / "x.npy", progress=False)


def test_a_link_back_is_left_out_and_named(folder, capfd):
    for name in ("up", "again"):
        (folder / "a" / name).symlink_to("..")
    assert len(zoo.predict("lenet5", folder)) == 8
    told = capfd.readouterr().err
    assert "Left out 2 links" in told and "a/up" in told and "a/again" in told
    data = open_data(f"folder:{folder}", progress=False)
    assert len(data) == 8 and "a/up" in data.notes[0]
    (folder / "c").symlink_to("a")
    refused(f"folder:{folder}", 'class folder "[ac]".* is a link to a folder that is there already')
    refused(f"hfds/{folder}", "is a link to a folder that is there already")


def test_folders_that_may_not_be_listed_are_named(folder):
    for name in ("a", "b"):
        (folder / name / "inner").mkdir(mode=0)
    with as_nobody(folder):
        refused(f"folder:{folder}", "2 folders in .* cannot be listed: .*a/inner, .*b/inner")
        with pytest.raises(zoo.DataError, match=r"cannot be listed: .*a/inner, .*b/inner"):
            list(inputs(folder))


class as_nobody:
    """Without the rights of root, if the tests run with them; `folder` can still be reached."""

    def __init__(self, folder):
        for each in (folder, *folder.parents):
            if each.stat().st_uid == os.getuid() and len(each.parts) > 2:
                each.chmod(0o755)

    def __enter__(self):
        self.root = os.geteuid() == 0
        if self.root:
            os.seteuid(65534)

    def __exit__(self, *error):
        if self.root:
            os.seteuid(0)


# --- headers that lie ----------------------------------------------------------------------------


def npy(header, body=b"\0" * 100):
    text = (header + " " * 60 + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def zipped():
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(2))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000,)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 8, 8, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (10**99,)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 40 + ",)}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 0, 8, 3)}"),
        npy("(" * 900),
        b"",
        b"\x80\x04N.",
        zipped(),
    ],
)
def test_an_array_whose_header_lies_is_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(zoo.DataError):
        zoo.predict("lenet5", tmp_path / "x.npy", progress=False)


def test_an_idx_file_is_as_large_as_it_says_or_refused(tmp_path, monkeypatch):
    folder = idx_folder(tmp_path / "i", packed=False)
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(bytes((0, 0, 8, 3)) + b"\xff" * 12 + b"\0" * 99)
    refused(f"idx:{folder}", "is not an IDX file .*, or is cut short")
    path.unlink()
    monkeypatch.setattr(arrays, "UNPACKED", 10**6)
    path.with_suffix(".gz").write_bytes(gzip.compress(b"\0" * (10**6 + 1)))
    refused(f"idx:{folder}", r"holds more than 1\.0 MB.* gunzip")


# --- members of shards ---------------------------------------------------------------------------


def png():
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


def shard(path, members, kind=tarfile.REGTYPE):
    """A tar of files; those without content are of another kind."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = kind, "/etc/passwd"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "no plain file"),
        (tarfile.FIFOTYPE, "no plain file"),
        (tarfile.GNUTYPE_SPARSE, "no plain file|cannot be read"),
    ],
)
def test_links_and_devices_in_a_shard_are_refused(tmp_path, kind, said):
    shard(tmp_path / "s.tar", {"0.png": png(), "0.cls": b"0", "1.png": None}, kind)
    refused(f"wds/{tmp_path}", rf"1\.png in .*s\.tar is {said}|{said}")


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777\0"])
def test_a_member_whose_size_lies_is_refused(tmp_path, size):
    shard(tmp_path / "s.tar", {"0.png": png(), "0.cls": b"0"})
    content = bytearray((tmp_path / "s.tar").read_bytes())
    content[124:136] = size
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "s.tar").write_bytes(content)
    refused(f"wds/{tmp_path}", "s.tar")


@pytest.mark.parametrize("label", [b"9" * 5000, b"1000000000", b"-1", b"\xff"])
def test_a_label_that_is_no_class_number_is_refused(tmp_path, label):
    shard(tmp_path / "s.tar", {"0.png": png(), "0.cls": b"0", "1.png": png(), "1.cls": label})
    with pytest.raises(zoo.DataError):
        open_data(f"wds/{tmp_path}").refuse_ids()
