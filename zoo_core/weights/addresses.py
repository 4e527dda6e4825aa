"""How a reference with a password or a token in it is named, wherever it is written or shown.

`https://me:secret@host/a.pth?token=x` is fetched as it is, and stands nowhere: what it gave is
`https://host/a.pth#sha256=…`, and the address itself `https://host/a.pth#…`, with a digest of all
of it, so that two addresses that differ in their query only are two.
"""

from __future__ import annotations

import functools
import hashlib
import re

from zoo_core.humanize import without_credentials

_PINNED = re.compile(r"[^#]*://[^#]*#sha256=([0-9a-f]{64})")


def public(reference: str) -> str:
    """A reference without the password and the query that stand in it.

    >>> public("https://me:secret@host/a.pth?token=x"), public("hf://me/digits@v1/a.safetensors")
    ('https://host/a.pth', 'hf://me/digits@v1/a.safetensors')
    """
    whole = re.sub(r"\s", "%20", reference) if "@" in reference else reference
    clean = without_credentials(whole)
    return reference if clean == whole else clean


def is_private(reference: str) -> bool:
    """Whether there is something in a reference that is not written down."""
    return public(reference) != reference


@functools.lru_cache(maxsize=64)
def known_as(reference: str) -> str:
    """The name of an address in the cache and in locks: itself, or one that tells no secret.

    The digest in it is a slow one, for it may be published, and passwords can be guessed.

    >>> known_as("https://host/a.pth"), known_as("https://host/a.pth?v=2")
    ('https://host/a.pth', 'https://host/a.pth#1a72591937fc5da6')
    """
    if not is_private(reference):
        return reference
    clean = public(reference).partition("#")[0]
    whole = reference.encode("utf-8", "surrogateescape")
    salt = clean.encode("utf-8", "surrogateescape")
    return f"{clean}#{hashlib.scrypt(whole, salt=salt, n=2**14, r=8, p=1, dklen=8).hex()}"


def pinned_as(reference: str, sha256: str) -> str:
    """The reference that means just these bytes, where the address itself cannot be told.

    >>> pinned_as("https://host/a.pth?token=x", "f" * 64)[:35]
    'https://host/a.pth#sha256=fffffffff'
    """
    return f"{public(reference).partition('#')[0]}#sha256={sha256}"


def stated_sha256(reference: str) -> str | None:
    """The sha256 in a reference that has one."""
    match = _PINNED.fullmatch(reference)
    return match[1] if match else None
