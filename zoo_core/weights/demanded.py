"""ZOO_TRUSTED_KEYS: a signature is demanded of all weights that are in no official manifest.

What a signed model stands on is vouched for by the sha256 that the signed files have of it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from zoo_core.errors import WeightsError
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import WeightsInfo
from zoo_core.weights.hashes import sha256_of
from zoo_core.weights.openssf import Signed
from zoo_core.weights.signatures import check_file, check_folder, check_repository
from zoo_core.weights.sources import absolute, split_reference
from zoo_core.weights.trusted_keys import TrustedKey, keys_at

VARIABLE = "ZOO_TRUSTED_KEYS"

_vouched: ContextVar[bool] = ContextVar("vouched", default=False)


@contextlib.contextmanager
def vouched_for(yes: bool = True) -> Iterator[None]:
    """Inside, nothing is demanded: it is one's own work, or pinned by what was signed."""
    token = _vouched.set(yes or _vouched.get())
    try:
        yield
    finally:
        _vouched.reset(token)


def demanded_of(reference: str) -> Signed | None:
    """Check the signature of a published model, a folder or a run; None where none is demanded.

    Raises WeightsError.
    """
    keys = _keys()
    if keys is None:
        return None
    with _explained():
        if split_reference(reference)[0] == "file":
            return check_folder(_path(reference), keys, sha256_of)
        return check_repository(reference, keys, sha256_of)


def with_signed_sha256(weights: WeightsInfo) -> WeightsInfo:
    """A file of weights, with the sha256 that its signature has where one is demanded.

    Raises WeightsError.
    """
    keys = _keys()
    if keys is None or _is_official(weights):
        return weights
    with _explained():
        if split_reference(weights.source)[0] == "file":
            check_folder(_path(weights.source).parent, keys, sha256_of)
            return weights
        digest = check_file(weights.source, keys, sha256_of)
    if weights.sha256 not in (None, digest):
        raise WeightsError(
            f"{weights.source} was signed with sha256 {digest}, "
            f"and its manifest has {weights.sha256}."
        )
    return replace(weights, sha256=digest)


def _keys() -> list[TrustedKey] | None:
    folder = os.environ.get(VARIABLE)
    if not folder or _vouched.get():
        return None
    with _explained():
        return keys_at(Path(folder))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors say why a signature is asked for at all."""
    try:
        yield
    except WeightsError as error:
        hint = f"{error.hint} {VARIABLE} is set, which demands a signature.".strip()
        raise type(error)(error.message, hint=hint) from error


def _path(reference: str) -> Path:
    return Path(split_reference(absolute(reference))[1])


def _is_official(weights: WeightsInfo) -> bool:
    return any(
        (known.source, known.sha256) == (weights.source, weights.sha256)
        for model in catalogue().models()
        if model.official
        for known in model.weights.values()
    )
