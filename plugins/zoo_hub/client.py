"""The Hub's client, set up as zoo's."""

from __future__ import annotations

from huggingface_hub import HfApi
from huggingface_hub.constants import ENDPOINT

from zoo_core import __version__
from zoo_core.errors import SourceError
from zoo_core.weights.transport import is_safe


def api() -> HfApi:
    """A client that says who is asking.

    Raises SourceError where tokens would travel in the clear.
    """
    if not is_safe(ENDPOINT):
        raise SourceError(
            f"HF_ENDPOINT is {ENDPOINT}, which is not encrypted.", hint="Use an https:// address."
        )
    return HfApi(library_name="zoo", library_version=__version__)
