"""A push: one atomic commit on the head that was looked at, then a tag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError

from zoo_core.errors import PublishError
from zoo_core.files import NoRegularFile, text
from zoo_core.hub.client import api
from zoo_core.hub.failures import explained
from zoo_core.humanize import one_line
from zoo_core.types import Pushed, Upload
from zoo_hub.reference import COMMIT

CARD = "README.md"
LARGEST = 8 * 2**20  # bytes of a card


def push(
    repository: str,
    upload: Upload,
    *,
    private: bool,
    create_pr: bool,
    dry_run: bool,
    token: str | bool | None = None,
    revision: str | None = None,
) -> Pushed:
    """Commit an upload to OWNER/NAME, which is made where it does not exist; a dry run only looks.

    `revision`: the branch, made where it is not there; only what goes to the main one is tagged.
    The commit names the head that it stands on, so that nobody's work is overwritten: PublishError
    says where somebody was quicker, and every other failure. Nothing is half pushed.
    """
    with explained(repository, "the push", PublishError):
        hub = api(token)
        head = _head(hub, repository, private)
        if head is not None and revision is not None:
            head = _head_of(hub, repository, revision, head, create_pr)
        card = upload.card(_card(hub, repository, head))
        sizes = {name: path.stat().st_size for name, path in upload.files.items()}
        sizes[CARD] = len(card.encode())
        url = f"{hub.endpoint}/{repository}"
        if dry_run:
            return Pushed(url, sizes, card)
        with _owner_named(hub, repository, exists=head is not None):
            if head is None:
                hub.create_repo(repository, private=private, exist_ok=True)
                head = hub.model_info(repository).sha
            if revision is not None and not (create_pr or revision.startswith("refs/")):
                hub.create_branch(repository, branch=revision, revision=head, exist_ok=True)
            done = hub.create_commit(
                repository,
                [*_additions(upload, card), *_deletions(hub, repository, head, upload)],
                commit_message=upload.message,
                revision=revision,
                parent_commit=head,
                create_pr=create_pr,
            )
        tagged = not create_pr and revision in (None, "main")
        tag = _tagged(hub, repository, done.oid) if tagged else None
        return Pushed(url, sizes, card, done.oid, tag, done.pr_url)


@contextlib.contextmanager
def _owner_named(hub: HfApi, repository: str, *, exists: bool) -> Iterator[None]:
    """Raises PublishError where what is refused is somebody else's: whose, and where to instead."""
    try:
        yield
    except HfHubHTTPError as error:
        if error.response.status_code != 403:
            raise
        owner, _, name = repository.partition("/")
        caller = hub.whoami()
        own = [caller["name"], *(group["name"] for group in caller.get("orgs", ()))]
        if owner in own:
            raise
        hint = f"Push to one of your own: {', '.join(f'{mine}/{name}' for mine in own)}"
        raise PublishError(
            f"hf://{repository} is {owner}'s, and {caller['name']} may not do that.",
            hint=hint + ("; or as a pull request (create_pr=True, --pr)." if exists else "."),
        ) from error


def _head(hub: HfApi, repository: str, private: bool) -> str | None:
    """The commit at the head of the repository, or None where there is none yet."""
    try:
        facts = hub.model_info(repository)
    except RepositoryNotFoundError as error:
        hub.whoami()  # a token that is no good is told first
        if error.response.status_code == 404:
            return None
        raise
    if private and not facts.private:
        raise PublishError(
            f"{repository} is there already, and is public.",
            hint="Make it private in its settings, or push without private=True.",
        )
    return facts.sha


def _head_of(hub: HfApi, repository: str, revision: str, main: str, create_pr: bool) -> str:
    """The commit at the head of a branch, or of the main one, from which a new branch goes.

    Raises PublishError for what is no branch, and cannot be committed to.
    """
    refs = hub.list_repo_refs(repository, include_pull_requests=revision.startswith("refs/"))
    if any(tag.name == revision for tag in refs.tags):
        raise PublishError(
            f"{revision} of hf://{repository} is a tag, which stays as it is.",
            hint="Name a branch.",
        )
    known = {branch.name: branch.target_commit for branch in refs.branches}
    known |= {request.ref: request.target_commit for request in refs.pull_requests or ()}
    if revision in known:
        return known[revision]
    if create_pr or revision.startswith("refs/") or COMMIT.fullmatch(revision):
        raise PublishError(
            f"hf://{repository} has no branch {revision}.",
            hint=f"It has: {', '.join(branch.name for branch in refs.branches)}.",
        )
    return main


def _card(hub: HfApi, repository: str, head: str | None) -> str | None:
    if head is None:
        return None
    with contextlib.suppress(EntryNotFoundError):
        path = hub.hf_hub_download(repository, CARD, revision=head)
        try:
            return text(path, most=LARGEST)
        except (NoRegularFile, UnicodeDecodeError) as error:
            raise PublishError(
                f"The {CARD} of hf://{repository} is no text in UTF-8: {one_line(error)}.",
                hint="Mend or remove it on the page of the repository, and push again.",
            ) from error
    return None


def _additions(upload: Upload, card: str) -> list[CommitOperationAdd]:
    files: dict[str, Path | bytes] = {**upload.files, CARD: card.encode()}
    return [CommitOperationAdd(name, content) for name, content in files.items()]


def _deletions(
    hub: HfApi, repository: str, head: str | None, upload: Upload
) -> list[CommitOperationDelete]:
    there = hub.list_repo_files(repository, revision=head) if upload.obsolete else []
    return [CommitOperationDelete(name) for name in upload.obsolete if name in there]


def _tagged(hub: HfApi, repository: str, commit: str) -> str:
    """The tag of a commit: one that it has, or the next free of v1, v2, …"""
    tags = {tag.name: tag.target_commit for tag in hub.list_repo_refs(repository).tags}
    for name, target in tags.items():
        if target == commit:
            return name
    number = 1
    while True:
        name = f"v{number}"
        if name not in tags:
            try:
                hub.create_tag(repository, tag=name, revision=commit)
                return name
            except HfHubHTTPError as error:
                if error.response.status_code != 409:
                    raise
        number += 1
