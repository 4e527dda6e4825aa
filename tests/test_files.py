"""A file is opened only where it is one: nothing that waits, nothing that never ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from zoo_core.files import NoRegularFile, content, opened, text


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def parent(path: Path) -> None:
    path.symlink_to("..")


@pytest.mark.parametrize("kind", [pipe, device, folder, parent])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind) -> None:
    place = tmp_path / "cat.png"
    kind(place)
    with pytest.raises(NoRegularFile, match=r"^is a (pipe|device|folder), no file$"):
        content(place)


def test_a_socket_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("cat.png")
        with pytest.raises(OSError):
            content("cat.png")


def test_a_file_is_read_as_far_as_its_size_says(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("é\r\n".encode())
    (tmp_path / "link").symlink_to("a.txt")
    assert content(tmp_path / "link") == b"\xc3\xa9\r\n"
    assert text(tmp_path / "link") == "é\r\n"
    with opened(tmp_path / "a.txt") as file:
        assert file.read(2) == b"\xc3\xa9"
    assert content("/proc/self/environ") == b""  # of size 0, with bytes all the same


def test_a_file_is_no_larger_than_such_files_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert content(tmp_path / "a", most=5) == b"12345"
    with pytest.raises(NoRegularFile, match="has 5 bytes, more than the 4 of such a file"):
        content(tmp_path / "a", most=4)


def test_what_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "none")
