"""The Hub's client, set up as zoo's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.utils import close_session, get_session, httpx

from zoo_core.errors import SourceError
from zoo_core.hub.failures import is_passing
from zoo_core.hub.transport import LOOPBACK, is_safe
from zoo_core.terminal.lines import logger
from zoo_core.version import __version__

Result = TypeVar("Result")

ANSWER = 10.0  # seconds that the Hub may take to say what a repository is
LONGEST = 300.0  # and for all else, such as a commit of many files
ATTEMPTS = 4

log = logger(__name__)


class _Hub(HfApi):
    """The client waits for ever by itself."""

    def model_info(self, *args: Any, timeout: float | None = None, **given: Any) -> ModelInfo:
        return super().model_info(*args, timeout=timeout or ANSWER, **given)


def api(token: str | bool | None = None) -> HfApi:
    """A client that says who is asking. `token`: whose it is; who is signed in by default.

    Raises SourceError where tokens would travel in the clear.
    """
    if not is_safe(ENDPOINT):
        raise SourceError(
            f"HF_ENDPOINT is {ENDPOINT}, which is not encrypted.", hint="Use an https:// address."
        )
    if urlsplit(ENDPOINT).hostname in LOOPBACK:
        _keep_from_proxies()
    session = get_session()
    if session.timeout == httpx.Timeout(None):  # nobody has chosen one
        session.timeout = httpx.Timeout(LONGEST, connect=ANSWER)
    return _Hub(library_name="zoo", library_version=__version__, token=token)


def _keep_from_proxies() -> None:
    """What goes to this machine goes to no proxy: with it would go the token, in the clear.

    It is said in NO_PROXY, since the part of the client that is not Python reads that too.
    """
    proxies = getproxies()
    said = [host.strip() for host in proxies.pop("no", "").split(",") if host.strip()]
    missing = [host for host in LOOPBACK if host not in said]
    if proxies and missing and "*" not in said:
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join([*said, *missing])
        close_session()  # it may have been opened with the proxy


def persistently(call: Callable[[], Result]) -> Result:
    """What `call` returns, after a few attempts where the Hub is busy or a connection breaks."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except Exception as error:
            if not is_passing(error):
                raise
            why = type(error.__cause__ or error).__name__
            log.warning("The Hub fails (%s): attempt %d of %d.", why, attempt + 1, ATTEMPTS)
            time.sleep(2 ** (attempt - 1) / 2)
    return call()
