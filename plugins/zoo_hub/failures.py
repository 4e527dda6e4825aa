"""What the Hub's client raises, said in zoo's words: what happened, and what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from huggingface_hub import errors
from huggingface_hub.utils import httpx

from zoo_core.errors import NotCached, PublishError, SourceError, WeightsError, ZooError
from zoo_core.humanize import one_line

NETWORK = "Check the network, and try again."
LOGIN = "Log in with: hf auth login (or set HF_TOKEN)."
_FULL = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR),
)


@contextlib.contextmanager
def explained(repository: str, what: str, kind: type[SourceError | PublishError]) -> Iterator[None]:
    """Turn every failure inside into `kind` (or a closer error), naming the repository."""
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        found = explain(error, repository, what, kind)
        if found is None:
            raise
        raise found from error


def explain(
    error: Exception, repository: str, what: str, kind: type[SourceError | PublishError]
) -> ZooError | None:
    """The error of zoo that stands for one of the client's, or None where it is a bug of ours."""
    where = f"hf://{repository}"
    # the order matters: a gated repository is a "not found", and most of them are OSErrors
    if isinstance(error, errors.GatedRepoError):
        return kind(
            f"{where} is gated: its owner gives access to those who ask.",
            hint=f"Ask for it on the page of the repository, then: {LOGIN}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return kind(f"{where} does not exist, or is private.", hint=f"If it is private: {LOGIN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return kind(
            f"{where} has no such revision: {what}.", hint="Leave @REVISION out for the newest."
        )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.RevisionResolutionError):
        return _unreachable(error, where, what, kind)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return NotCached(f"{where} cannot be reached: HF_HUB_OFFLINE is set.")
    if isinstance(error, errors.EntryNotFoundError):
        return kind(f"{where} has no {what}.")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return kind(f"{where} needs somebody who is logged in.", hint=LOGIN)
    if isinstance(error, errors.HFValidationError):
        return kind(f'"{repository}" is no name of a repository: {one_line(error)}')
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, where, kind)
    if isinstance(error, httpx.HTTPError):
        return kind(f"{where} cannot be reached: {one_line(error)}.", hint=NETWORK)
    if isinstance(error, OSError) and error.errno in _FULL:
        return WeightsError(
            f"The Hub's cache cannot be written: {error.strerror}: {error.filename}.",
            hint="Free some space, or set HF_HOME to a folder of yours.",
        )
    if isinstance(error, OSError | RuntimeError | ValueError):
        return kind(f"{where}, {what}: {one_line(error)}")
    return None


def is_passing(error: Exception) -> bool:
    """Whether the same request may well succeed in a moment."""
    if isinstance(error, errors.RevisionResolutionError) and error.__cause__ is not None:
        return isinstance(error.__cause__, Exception) and is_passing(error.__cause__)
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code in (408, 429, 500, 502, 503, 504)
    cut = isinstance(error, OSError) and "Consistency check failed" in str(error)
    return cut or isinstance(error, httpx.TransportError)


def _unreachable(error: Exception, where: str, what: str, kind: type[ZooError]) -> ZooError:
    cause = error.__cause__
    if isinstance(cause, errors.DisabledRepoError):
        return kind(f"{where} has been disabled.")
    if isinstance(cause, Exception) and not isinstance(cause, errors.OfflineModeIsEnabled):
        return kind(
            f"{where}, {what}: the Hub does not answer ({type(cause).__name__}).",
            hint=NETWORK,
        )
    return NotCached(f"{where} ({what}) is not in the cache.")


def _refused(error: errors.HfHubHTTPError, where: str, kind: type[ZooError]) -> ZooError:
    status = error.response.status_code
    said = one_line(error.server_message or "")
    if status == 401:
        return kind(f"{where}: the Hub does not accept the token. {said}".strip(), hint=LOGIN)
    if status == 403:
        return kind(
            f"{where}: this token may not do that. {said}".strip(),
            hint="Make a token with write access in your account's settings, then log in again.",
        )
    if status == 412:
        return kind(
            f"{where} was changed by somebody else at the same time; nothing was pushed.",
            hint="Run the same command again.",
        )
    return kind(f"{where}: the Hub answers {status}. {said}".strip(), hint="Try again later.")
