"""Data sets for the Hub of the tests: small pictures that say their class."""

from __future__ import annotations

import io

import datasets
from PIL import Image

CLASSES = ("ant", "bee", "cat")
CARD = "---\nconfigs:\n{}---\n# Pictures\n"


def png(number: int, size: int = 12) -> bytes:
    """A grey picture: no two numbers below 10,000 are alike; its class is `number % 3`."""
    picture = Image.new("L", (size, size), 80 * (number % 3) + 10)
    picture.putpixel((0, 0), number // 3 % 100)
    picture.putpixel((1, 0), number // 300)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def table(numbers: range, **columns: object) -> datasets.Dataset:
    """Pictures with their classes; `columns`: more of them, or others."""
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    rows = {"image": [{"bytes": png(n), "path": None} for n in numbers]}
    rows |= {"label": [n % 3 for n in numbers]}
    whole = datasets.Dataset.from_dict(rows, datasets.Features(features))
    for name, values in columns.items():
        whole = whole.add_column(name, values)
    return whole


def parquet(data: datasets.Dataset, rows: int = 1000) -> bytes:
    """A file of Parquet with so many rows in a group."""
    from pyarrow import parquet as pq

    buffer = io.BytesIO()
    pq.write_table(data.with_format("arrow")[:], buffer, row_group_size=rows)
    return buffer.getvalue()


def shards(count: int, each: int, *, rows: int = 20, test: int = 30) -> dict[str, bytes]:
    """Files of a repository: shards to train with, and one to test."""
    files = {
        f"data/train-{n:05}-of-{count:05}.parquet": parquet(
            table(range(n * each, (n + 1) * each)), rows
        )
        for n in range(count)
    }
    held_out = table(range(9000, 9000 + test))
    return {**files, "data/test-00000-of-00001.parquet": parquet(held_out)}
