"""What the Hub's client raises, said in zoo's words: what happened, and what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from huggingface_hub import errors
from huggingface_hub.utils import httpx

from zoo_core.errors import NotCached, WeightsError, ZooError
from zoo_core.humanize import one_line

NETWORK = "Check the network, and try again."
LOGIN = "Log in with: hf auth login (or set HF_TOKEN)."
_FULL = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR),
)


class Damaged(OSError):
    """Raised where a file did not arrive as the Hub has it."""


@contextlib.contextmanager
def explained(
    repository: str, what: str, error_type: type[ZooError], revision: str = ""
) -> Iterator[None]:
    """Turn every failure inside into `error_type` (or a closer error), naming the repository."""
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        closer = explain(error, repository, what, error_type, revision)
        if closer is None:
            raise
        raise closer from error


def explain(
    error: Exception,
    repository: str,
    what: str,
    error_type: type[ZooError],
    revision: str = "",
) -> ZooError | None:
    """The error of zoo that stands for one of the client's, or None where it is a bug of ours."""
    address = f"hf://{repository}"
    # the order matters: a gated repository is a "not found", and most of them are OSErrors
    if isinstance(error, errors.GatedRepoError):
        return error_type(
            f"{address} is gated: its owner gives access to those who ask.",
            hint=f"Ask for it on the page of the repository, then: {LOGIN}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return error_type(
            f"{address} does not exist, or is private.", hint=f"If it is private: {LOGIN}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return error_type(
            f"{address.partition('@')[0]} has no such revision: {revision}.",
            hint="Leave @REVISION out for the newest.",
        )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.RevisionResolutionError):
        return _unreachable(error, address, what, error_type)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return NotCached(f"{address} cannot be reached: HF_HUB_OFFLINE is set.")
    if isinstance(error, errors.EntryNotFoundError):
        return error_type(f"{address} has no {what}.")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return error_type(f"{address} needs somebody who is logged in.", hint=LOGIN)
    if isinstance(error, errors.HFValidationError):
        return error_type(f'"{repository}" is no name of a repository: {one_line(error)}')
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, address, error_type)
    if isinstance(error, httpx.HTTPError):
        return error_type(f"{address} cannot be reached: {one_line(error)}.", hint=NETWORK)
    if isinstance(error, OSError) and error.errno in _FULL:
        return WeightsError(
            f"The Hub's cache cannot be written: {error.strerror}: {error.filename}.",
            hint="Free some space, or set HF_HOME to a folder of yours.",
        )
    if isinstance(error, OSError | RuntimeError | ValueError):
        return error_type(f"{address}, {what}: {one_line(error)}")
    return None


def is_passing(error: Exception) -> bool:
    """Whether the same request may well succeed in a moment."""
    if isinstance(error, errors.RevisionResolutionError) and error.__cause__ is not None:
        return isinstance(error.__cause__, Exception) and is_passing(error.__cause__)
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code in (408, 429, 500, 502, 503, 504)
    cut = isinstance(error, OSError) and "Consistency check failed" in str(error)
    return cut or isinstance(error, Damaged | httpx.TransportError)


def _unreachable(error: Exception, address: str, what: str, error_type: type[ZooError]) -> ZooError:
    cause = error.__cause__
    if isinstance(cause, errors.DisabledRepoError):
        return error_type(f"{address} has been disabled.")
    if isinstance(cause, Exception) and not isinstance(cause, errors.OfflineModeIsEnabled):
        return error_type(
            f"{address}, {what}: the Hub does not answer ({type(cause).__name__}).",
            hint=NETWORK,
        )
    return NotCached(f"{address} ({what}) is not in the cache.")


def _refused(error: errors.HfHubHTTPError, address: str, error_type: type[ZooError]) -> ZooError:
    status = error.response.status_code
    reason = one_line(error.server_message or "")
    if status == 401:
        return error_type(
            f"{address}: the Hub does not accept the token. {reason}".strip(), hint=LOGIN
        )
    if status == 403:
        return error_type(
            f"{address}: this token may not do that. {reason}".strip(),
            hint="Make a token with write access in your account's settings, then log in again.",
        )
    if status == 412:
        return error_type(
            f"{address} was changed by somebody else at the same time; nothing was pushed.",
            hint="Run the same command again.",
        )
    return error_type(
        f"{address}: the Hub answers {status}. {reason}".strip(), hint="Try again later."
    )
