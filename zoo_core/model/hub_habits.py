"""What people write who know the Hub's own classes: `from_pretrained("me/flowers")`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from zoo_core.errors import UnknownName, ZooError
from zoo_core.files import name_or_path
from zoo_core.plugins.catalogue import catalogue
from zoo_core.weights.pretrained import is_path

_ELSEWHERE = {
    "token": "Sign in: hf auth login, or set HF_TOKEN.",
    "cache_dir": "Set HF_HOME or ZOO_CACHE to the folder.",
    "local_files_only": "Set ZOO_OFFLINE=1.",
    "force_download": "What is cached is compared with its hash: zoo verify.",
}
"""What huggingface_hub takes with each load, and where zoo is told."""


def renamed(value: Any, given: dict[str, Any], old: str, new: str) -> Any:
    """The value of an argument that is taken under its old name too, out of `given`."""
    if old not in given:
        if value is None:
            raise TypeError(f"{new} is missing.")
        return value
    if value is not None:
        raise TypeError(f"{old} is {new}: give one of them.")
    return given.pop(old)


def reference_of(name: str | Path, revision: str | None) -> str | Path:
    """What `zoo.create` calls it: a folder that is here, a model, else a repository.

    Raises ZooError for a `revision` of what has none, UnknownName for what is none of them.
    """
    if not isinstance(name, str | Path) or not str(name).strip():
        raise ZooError(
            f"from_pretrained wants a model's name, a repository or a folder, not {name!r}.",
            hint='Run "zoo list" for the names.',
        )
    named = name_or_path(name) if isinstance(name, str) else name
    if isinstance(named, Path) or is_path(named):
        if revision is not None:
            raise ZooError(f"{named} is a path, which has no revision.", hint="Leave it out.")
        return named
    if revision is not None and "@" in named:
        raise ZooError(f"{named} names a revision, and revision={revision!r} another.")
    if "://" in named:
        return named if revision is None else f"{named}@{revision}"
    if revision is None:
        try:
            catalogue().find(named)
            return named
        except UnknownName:
            if not re.fullmatch(r"[\w.-]+/[\w.-]+(@.+)?", named):
                raise
    return f"{_host(named)}://{named}" + (f"@{revision}" if revision is not None else "")


def _host(repository: str) -> str:
    """The scheme of the one source that models are published at."""
    hosts = [scheme for scheme, source in catalogue().sources().items() if source.push is not None]
    if len(hosts) != 1:
        wanted = " or ".join(f"{scheme}://{repository}" for scheme in hosts)
        raise UnknownName(f'Where is "{repository}"?', hint=f"Write {wanted}." if hosts else "")
    return hosts[0]


def without_habits(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of create(), without those of huggingface_hub that ask for nothing.

    Raises ZooError, which says where that is told to zoo, for one that asks for something.
    """
    for name, where in _ELSEWHERE.items():
        if given.get(name):
            raise ZooError(f"from_pretrained takes no {name}.", hint=where)
    return {name: value for name, value in given.items() if name not in _ELSEWHERE}
