"""Weights from any web server: `https://HOST/PATH`, resumed where a download was cut off."""

from __future__ import annotations

from pathlib import Path

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Fetched, WeightSource


@hookimpl
def zoo_weight_sources() -> list[WeightSource]:
    about = "a file on a web server: https://HOST/PATH"
    return [
        WeightSource("https", fetch_https, summary=about),
        WeightSource("http", fetch_http, summary="the same on this machine: http://127.0.0.1/PATH"),
    ]


def fetch_https(
    reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
) -> Fetched:
    from zoo_https.download import fetch

    return fetch(f"https://{reference}", filename, cache=cache, offline=offline, progress=progress)


def fetch_http(
    reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
) -> Fetched:
    from zoo_https.download import fetch

    return fetch(f"http://{reference}", filename, cache=cache, offline=offline, progress=progress)
