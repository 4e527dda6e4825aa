"""Pushes to the Hub of the tests: commits, large files, pull requests, discussions."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError

from hub import HubServer
from hub.tiny import FILES, REPO, WEIGHTS, add, asked, push


def test_a_push_of_regular_and_large_files(hub: HubServer, signed_in: str) -> None:
    HfApi().create_repo(REPO)
    hub.clear()
    commit = push(FILES)
    assert {path: hub.file(REPO, path) for path in FILES} == FILES
    assert len(commit) == 40 and hub.commits(REPO)[0].id == commit
    assert asked(hub) == [
        "POST /api/validate-yaml 200",
        f"POST /api/models/{REPO}/preupload/main 200",
        f"POST /{REPO}.git/info/lfs/objects/batch 200",
        f"PUT /put/{REPO}/{hub.commit(REPO).files['model.safetensors'].sha256} 200",
        f"POST /{REPO}.git/info/lfs/verify 200",
        f"POST /api/models/{REPO}/commit/main 200",
    ]
    assert hub.requests("PUT *")[0].host.startswith("localhost:")
    assert hub.requests("PUT *")[0].received == len(WEIGHTS)
    sent = hub.requests("*/commit/*")[0]
    assert sent.authorization == "Bearer hf_write"
    assert [line["key"] for line in sent.body] == ["header", "file", "lfsFile", "file"]
    assert hub.leaks() == []


def test_an_unchanged_file_is_not_pushed_again(hub: HubServer, signed_in: str) -> None:
    head = hub.seed(REPO, FILES)
    assert push(FILES) == head
    assert hub.requests("*/commit/*") == hub.requests("PUT *") == []
    assert push({**FILES, "config.json": b"{}"}) != head
    assert hub.requests("PUT *") == []


def test_a_long_file_goes_up_in_parts(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, {})
    hub.part_size = 60_000
    push({"model.safetensors": WEIGHTS})
    assert hub.file(REPO, "model.safetensors") == WEIGHTS
    assert [entry.received for entry in hub.requests("PUT *")] == [60_000] * 3 + [20_000]
    assert hub.leaks() == []
    assert hub.requests("*complete_multipart*")[0].authorization is None


def test_deletions_and_ignored_files(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, {"old/a.txt": b"a", "old/b.txt": b"b", "c.txt": b"c"})
    gone = [CommitOperationDelete("old/"), CommitOperationDelete("c.txt")]
    HfApi().create_commit(REPO, gone, commit_message="Less")
    assert hub.files(REPO) == [".gitattributes"]
    with pytest.raises(RemoteEntryNotFoundError):
        HfApi().create_commit(REPO, gone, commit_message="Again")


def test_a_commit_behind_the_head_is_refused(hub: HubServer, signed_in: str) -> None:
    old = hub.seed(REPO, FILES)
    new = hub.seed(REPO, {"other.txt": b"someone else"})
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as raised:
        push({"config.json": b"{}"}, parent_commit=old)
    assert raised.value.response.status_code == 412
    assert hub.commit(REPO).id == new
    push({"config.json": b"{}"}, parent_commit=new)


def test_a_push_that_loses_a_race(hub: HubServer, signed_in: str) -> None:
    head = hub.seed(REPO, FILES)
    hub.faults.call("POST */commit/*", lambda: hub.seed(REPO, {"other.txt": b"first"}))
    with pytest.raises(HfHubHTTPError) as raised:
        push({"config.json": b"{}"}, parent_commit=head)
    assert raised.value.response.status_code == 412
    assert hub.file(REPO, "config.json") == FILES["config.json"]


def test_a_broken_upload_is_not_committed(hub: HubServer, signed_in: str) -> None:
    """A large file that arrived with another byte than it was sent."""
    hub.seed(REPO, {})
    hub.faults.call(
        "POST */verify", lambda: hub.cdn.pending.update(dict.fromkeys(hub.cdn.pending, b"x"))
    )
    with pytest.raises(RuntimeError, match="Error while uploading") as raised:
        push({"model.safetensors": WEIGHTS})
    assert "The uploaded object is not" in str(raised.value.__cause__)
    assert hub.files(REPO) == [".gitattributes"]


def test_pull_requests(hub: HubServer) -> None:
    """Of somebody who may not write; then merged by the owner."""
    hub.seed(REPO, FILES)
    bob, alice = HfApi(token="hf_other"), HfApi(token="hf_write")
    with pytest.raises(HfHubHTTPError, match="403"):
        bob.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=REPO)
    changes = [add("config.json", b"{}"), add("model.safetensors", WEIGHTS[1:])]
    done = bob.create_commit(REPO, changes, commit_message="Better", create_pr=True)
    assert done.pr_revision == "refs/pr/1" and done.pr_url == f"{hub.url}/{REPO}/discussions/1"
    assert hub.file(REPO, "config.json", "refs/pr/1") == b"{}"
    assert hub.file(REPO, "config.json") == FILES["config.json"]
    more = [add("more.txt", b"more")]
    bob.create_commit(REPO, more, commit_message="More", revision="refs/pr/1")
    assert Path(hf_hub_download(REPO, "more.txt", revision="refs/pr/1")).read_bytes() == b"more"
    assert [pull.title for pull in hub.pulls(REPO)] == ["Better"]
    assert [d.num for d in alice.get_repo_discussions(REPO, discussion_type="pull_request")] == [1]
    alice.merge_pull_request(REPO, 1, comment="")
    assert hub.file(REPO, "more.txt") == b"more"
    assert alice.get_discussion_details(REPO, 1).status == "merged"


def test_discussions(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, FILES)
    api = HfApi()
    assert api.create_discussion(REPO, "A question", description="How?").num == 1
    assert api.create_pull_request(REPO, "An answer").git_reference == "refs/pr/2"
    api.comment_discussion(REPO, 1, "So.")
    api.change_discussion_status(REPO, 1, "closed")
    found = api.get_discussion_details(REPO, 1)
    assert found.status == "closed" and found.events[1].content == "So."
    assert [pull.number for pull in hub.pulls(REPO)] == [2]
