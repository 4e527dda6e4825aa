"""The Hub's client, set up as zoo's."""

from __future__ import annotations

from urllib.parse import urlsplit

from huggingface_hub import HfApi
from huggingface_hub.constants import ENDPOINT

from zoo_core import __version__
from zoo_core.errors import SourceError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def api() -> HfApi:
    """A client that says who is asking.

    Raises SourceError where tokens would travel in the clear.
    """
    parts = urlsplit(ENDPOINT)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise SourceError(
            f"HF_ENDPOINT is {ENDPOINT}, which is not encrypted.", hint="Use an https:// address."
        )
    return HfApi(library_name="zoo", library_version=__version__)
