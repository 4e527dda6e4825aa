"""A signature over an exported ResNet-50, and its check, each with every byte read.

Beside them the sha256 of the same files alone, and what a demanded signature adds to create().
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from unittest import mock

from benchmarks.measure import Row, Skipped, alternate, at_most, ms, show

ROUNDS = 9
LIMIT = 2.0  # seconds


def measure() -> list[Row | Skipped]:
    try:
        import model_signing.signing  # noqa: F401
    except ImportError as error:
        return [Skipped("a signature over ResNet-50", f"{error}; pip install 'zoo-core[signing]'")]
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder))


def _measured(place: Path) -> list[Row | Skipped]:
    import zoo_core as zoo
    from zoo_core.files import hash_of

    folder = zoo.create("resnet50").save_pretrained(place / "resnet50")
    files = [path for path in folder.iterdir() if path.is_file()]
    key, public = place / "trusted" / "zoo.key", place / "trusted" / "zoo.pub"
    public.parent.mkdir()
    for command in (
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)],
        ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)],
    ):
        subprocess.run(command, check=True)
    demanding = {"ZOO_CACHE": str(place / "cache"), "ZOO_TRUSTED_KEYS": str(public.parent)}

    def demanded() -> object:
        with mock.patch.dict(os.environ, demanding):
            return zoo.create(folder)

    times = alternate(
        {
            "sign": lambda: zoo.sign(folder, key),
            "verify": lambda: zoo.verify(folder, public),
            "sha256": lambda: [hash_of(path) for path in files],
            "demanded": demanded,
            "plain": lambda: zoo.create(folder),
        },
        ROUNDS,
    )
    size = sum(path.stat().st_size for path in files) / 1e6
    seconds = {name: times.median(name) for name in times}
    sha256 = ms(seconds["sha256"])
    return [
        at_most(f"a signature over ResNet-50, {size:.0f} MB; peer: its sha256 alone",
                ms(seconds["sign"]), sha256, seconds["sign"], LIMIT, " s"),
        at_most("the check of that signature; peer: its sha256 alone",
                ms(seconds["verify"]), sha256, seconds["verify"], LIMIT, " s"),
        at_most("create() with ZOO_TRUSTED_KEYS, warm, against without",
                ms(seconds["demanded"]), ms(seconds["plain"]),
                times.ratio("demanded", "plain"), 1.25),
    ]  # fmt: skip


if __name__ == "__main__":
    show(measure())
