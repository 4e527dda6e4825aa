"""The Hub of the tests, proven by the client that the product uses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import IncompleteRead, RemoteDisconnected
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    constants,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx
from support.places import TESTS

from hub import HubServer, git
from hub.client import run_client

REPO = "alice/tiny"
WEIGHTS = os.urandom(200_000)
CARD = "---\nlicense: apache-2.0\ntags:\n- vision\n---\n# Tiny\n"
FILES = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "README.md": CARD.encode()}


def add(path: str, body: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, body)


def push(files: dict[str, bytes], **options: object) -> str:
    operations = [add(path, body) for path, body in files.items()]
    done = HfApi().create_commit(REPO, operations, commit_message="Push", **options)
    return done.oid


def asked(hub: HubServer) -> list[str]:
    """The requests, without what makes them differ from run to run."""
    return [str(entry).replace(hub.cdn.url, "") for entry in hub.requests()]


# Accounts and repositories


def test_the_client_of_this_process_knows_no_other_hub(hub: HubServer) -> None:
    assert constants.ENDPOINT == hub.url
    assert (constants.HF_HUB_DISABLE_XET, constants.is_offline_mode()) == (True, False)


def test_whoami_tells_the_name_and_the_role(hub: HubServer) -> None:
    known = HfApi(token="hf_read").whoami()
    assert known["name"] == "alice"
    assert known["auth"]["accessToken"]["role"] == "read"


def test_a_token_nobody_has_is_refused_everywhere(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(token="hf_nobody").whoami()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as raised:
        HfApi(token="hf_nobody").model_info(REPO)
    assert raised.value.response.status_code == 401
    assert not isinstance(raised.value, RepositoryNotFoundError)


def test_create_settings_list_and_delete(hub: HubServer, signed_in: str) -> None:
    api = HfApi()
    assert api.create_repo(REPO) == f"{hub.url}/{REPO}"
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    with pytest.raises(HfHubHTTPError, match="already created"):
        api.create_repo(REPO)
    assert hub.files(REPO) == [".gitattributes"]
    api.update_repo_settings(REPO, visibility="private", gated="manual")
    assert api.model_info(REPO).private and api.model_info(REPO).gated == "manual"
    assert [model.id for model in api.list_models(author="alice")] == [REPO]
    assert list(HfApi(token=False).list_models(author="alice")) == []
    api.delete_repo(REPO)
    assert not api.repo_exists(REPO)


def test_a_foreign_namespace_is_forbidden(hub: HubServer, signed_in: str) -> None:
    with pytest.raises(HfHubHTTPError) as raised:
        HfApi().create_repo("bob/tiny")
    assert raised.value.response.status_code == 403


# Pushing


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


# Looking


def test_tags_branches_and_history(hub: HubServer, signed_in: str) -> None:
    first = hub.seed(REPO, FILES)
    second = hub.seed(REPO, {"config.json": b"{}"}, title="Second")
    api = HfApi()
    api.create_tag(REPO, tag="v1.0", revision=first)
    api.create_tag(REPO, tag="v1.0", revision=first, exist_ok=True)
    api.create_branch(REPO, branch="try/this", revision="v1.0")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(REPO, branch="try/this")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(REPO, tag="v2.0", revision="nowhere")
    refs = api.list_repo_refs(REPO, include_pull_requests=True)
    assert {branch.name: branch.target_commit for branch in refs.branches} == hub.branches(REPO)
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1.0": first}
    assert hub.branches(REPO) == {"main": second, "try/this": first}
    push({"config.json": b"[]"}, revision="try/this")
    assert hub.file(REPO, "config.json", "try/this") == b"[]"
    assert [c.title for c in api.list_repo_commits(REPO)] == ["Second", "Seed", "initial commit"]
    api.delete_branch(REPO, branch="try/this")
    api.delete_tag(REPO, tag="v1.0")
    assert (hub.tags(REPO), list(hub.branches(REPO))) == ({}, ["main"])


def test_model_info(hub: HubServer) -> None:
    head = hub.seed(REPO, FILES)
    info = HfApi().model_info(REPO, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    assert info.sha == head
    assert sizes == {
        ".gitattributes": sizes[".gitattributes"],
        **{p: len(b) for p, b in FILES.items()},
    }
    large = next(file.lfs for file in info.siblings or [] if file.lfs)
    assert large.sha256 == hub.commit(REPO).files["model.safetensors"].sha256
    assert info.tags == ["vision", "license:apache-2.0"]
    assert info.card_data is not None and info.card_data.license == "apache-2.0"


def test_trees_come_in_pages(hub: HubServer) -> None:
    hub.seed(REPO, {f"folder/{n}.txt": str(n).encode() for n in range(7)})
    hub.page_size = 3
    api = HfApi()
    assert len(list(api.list_repo_tree(REPO, recursive=True, expand=True))) == 9
    assert len(hub.requests("GET */tree/main")) == 3
    assert [entry.path for entry in api.list_repo_tree(REPO)] == [".gitattributes", "folder"]
    assert len(api.list_repo_files(REPO)) == 8
    found = api.get_paths_info(REPO, ["folder", "folder/3.txt", "nothing"])
    assert [entry.path for entry in found] == ["folder", "folder/3.txt"]
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(REPO, "nothing"))


def test_hashes_are_those_of_git() -> None:
    assert git.blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git.tree({}) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    tree = git.tree({"a/b": git.blob(b""), "a.c": git.blob(b"")})
    assert tree == "1222ef52a69967362e391785e5b2e57d3a43a55c"
    commit = git.commit(tree, None, "alice", 1_000_000_000, "a title\n\ntext")
    assert commit == "c21168957bf062bbc82209a68769ca2f790e2b4a"


# Fetching


def test_downloads_cold_and_warm(hub: HubServer, signed_in: str) -> None:
    head = hub.seed(REPO, FILES)
    for path, body in FILES.items():
        assert Path(hf_hub_download(REPO, path)).read_bytes() == body
    large = hub.commit(REPO).files["model.safetensors"].sha256
    assert asked(hub)[:4] == [
        f"HEAD /{REPO}/resolve/main/config.json 200",
        f"GET /{REPO}/resolve/main/config.json 200",
        f"HEAD /{REPO}/resolve/main/model.safetensors 302",
        f"GET /get/{REPO}/{large}/model.safetensors 200",
    ]
    assert hub.leaks() == []
    hub.clear()
    hf_hub_download(REPO, "model.safetensors")
    assert asked(hub) == [f"HEAD /{REPO}/resolve/main/model.safetensors 302"]
    hub.clear()
    hf_hub_download(REPO, "model.safetensors", revision=head)
    assert asked(hub) == []


def test_snapshots(hub: HubServer) -> None:
    head = hub.seed(REPO, FILES)
    folder = Path(snapshot_download(REPO))
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert HfApi().verify_repo_checksums(REPO).mismatches == []
    hub.clear()
    assert snapshot_download(REPO) == str(folder) and folder.name == head
    assert asked(hub) == [f"GET /api/models/{REPO}/revision/main 200"]


def test_model_cards(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, {"README.md": CARD.encode()})
    card = ModelCard.load(REPO)
    assert card.data.license == "apache-2.0"
    card.text += "More.\n"
    card.push_to_hub(REPO)
    assert hub.file(REPO, "README.md").endswith(b"More.\n")
    with pytest.raises(ValueError, match="license"):
        push({"README.md": b"---\nlicense: My Own\n---\n"})


def test_what_is_not_there(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(REPO, "config.json", revision="nowhere")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download(REPO, "nothing.json")
    with pytest.raises(RepositoryNotFoundError, match="401"):
        HfApi().model_info("alice/nothing")
    with pytest.raises(RepositoryNotFoundError, match="404"):
        HfApi(token="hf_read").model_info("alice/nothing")


@pytest.mark.parametrize(
    ("settings", "token", "error", "status"),
    [
        ({"private": True}, False, RepositoryNotFoundError, 401),
        ({"private": True}, "hf_other", RepositoryNotFoundError, 404),
        ({"gated": True}, False, GatedRepoError, 401),
        ({"gated": True}, "hf_other", GatedRepoError, 403),
    ],
)
def test_private_and_gated_repositories(
    hub: HubServer,
    settings: dict[str, bool],
    token: str | bool,
    error: type[HfHubHTTPError],
    status: int,
) -> None:
    hub.seed(REPO, FILES, **settings)
    with pytest.raises(error) as raised:
        hf_hub_download(REPO, "config.json", token=token)
    assert raised.value.response.status_code == status
    assert hf_hub_download(REPO, "config.json", token="hf_read")
    if "gated" in settings:
        assert HfApi(token=token).model_info(REPO).gated == "auto"
        hub.repos[REPO].admitted.add("bob")
        assert hf_hub_download(REPO, "model.safetensors", token="hf_other")


def test_a_disabled_repository(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.repos[REPO].disabled = True
    with pytest.raises(LocalEntryNotFoundError) as raised:
        hf_hub_download(REPO, "config.json")
    assert type(raised.value.__cause__).__name__ == "DisabledRepoError"


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("hf_read", 403), ("hf_other", 403)])
def test_who_may_not_push(hub: HubServer, token: str | bool, status: int) -> None:
    hub.seed(REPO, FILES)
    with pytest.raises(HfHubHTTPError) as raised:
        push({"config.json": b"{}"}, token=token)
    assert raised.value.response.status_code == status
    assert hub.file(REPO, "config.json") == FILES["config.json"]


# Faults


LARGE = "model.safetensors"


@pytest.mark.parametrize("at", [0, 1, 0.5, -1])
def test_a_connection_cut_in_the_body(hub: HubServer, at: float) -> None:
    """The client begins again, from the start: it keeps whole 10 MiB only."""
    hub.seed(REPO, FILES)
    hub.faults.cut("GET /get/*", at=at)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    place = int(at * len(WEIGHTS)) if isinstance(at, float) else at % len(WEIGHTS)
    assert [entry.sent for entry in hub.requests("GET /get/*")] == [place, len(WEIGHTS)]


def test_a_cut_far_into_a_long_file(hub: HubServer) -> None:
    body = os.urandom(1000) * 25_000
    hub.seed(REPO, {LARGE: body})
    hub.faults.cut("GET /get/*", at=23_000_000)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == body
    second = hub.requests("GET /get/*")[1]
    assert (second.headers["Range"], second.status) == ("bytes=20971520-", 206)


def test_connections_that_break_another_way(hub: HubServer) -> None:
    """A reset in mid-file, or no answer to the first HEAD: errors at once, of the HTTP library."""
    hub.seed(REPO, FILES)
    hub.faults.cut("GET /get/*", at=0.5, reset=True)
    with pytest.raises(httpx.ReadError):
        hf_hub_download(REPO, LARGE)
    hub.faults.drop("HEAD *")
    with pytest.raises(httpx.RemoteProtocolError):
        hf_hub_download(REPO, LARGE)
    assert len(hub.requests()) == 3


def test_a_flipped_byte_goes_unnoticed(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.flip("GET /get/*", at=1000)
    changed = Path(hf_hub_download(REPO, LARGE)).read_bytes()
    assert changed != WEIGHTS and len(changed) == len(WEIGHTS)
    hf_hub_download(REPO, LARGE)
    assert len(hub.requests("GET /get/*")) == 1
    assert [bad["path"] for bad in HfApi().verify_repo_checksums(REPO).mismatches] == [LARGE]


@pytest.mark.parametrize("status", [429, 408])
def test_a_busy_cdn_is_asked_again(hub: HubServer, status: int) -> None:
    hub.seed(REPO, FILES)
    hub.faults.status("GET /get/*", status)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    assert [entry.status for entry in hub.requests("GET /get/*")] == [status, 200]


def test_a_cdn_that_fails_is_not_asked_again(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.status("GET /get/*", 503)
    with pytest.raises(HfHubHTTPError, match="503"):
        hf_hub_download(REPO, LARGE)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS


def test_an_upload_is_sent_again(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, {})
    hub.faults.status("PUT *", 503)
    hub.faults.hang_up("PUT *", at=1000, nth=2)
    push({LARGE: WEIGHTS})
    assert [entry.status for entry in hub.requests("PUT *")] == [503, 0, 200]
    assert hub.file(REPO, LARGE) == WEIGHTS


def test_a_commit_is_not_sent_again(hub: HubServer, signed_in: str) -> None:
    head = hub.seed(REPO, FILES)
    hub.faults.status("POST */commit/*", 503)
    with pytest.raises(HfHubHTTPError, match="503"):
        push({"config.json": b"{}"})
    assert hub.commit(REPO).id == head
    push({"config.json": b"{}"})


def test_a_head_that_fails(hub: HubServer) -> None:
    """Not cached: it is asked again. Cached: the cached file is taken, without a word."""
    hub.seed(REPO, FILES)
    hub.faults.status("HEAD *", 500)
    hf_hub_download(REPO, LARGE)
    assert [entry.status for entry in hub.requests("HEAD *")] == [500, 302]
    hub.seed(REPO, {LARGE: b"newer"})
    for status in (500, 401):
        hub.faults.status("HEAD *", status)
        assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS


def test_wrong_lengths(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.length("GET /get/*", by=-10)
    with pytest.raises(OSError, match="Consistency check failed"):
        hf_hub_download(REPO, LARGE)
    hub.faults.replace("GET /get/*", b"a page to log in")
    with pytest.raises(OSError, match="Consistency check failed"):
        hf_hub_download(REPO, LARGE)
    hub.clear()
    hub.faults.length("GET /get/*", by=10)
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    assert len(hub.requests("GET /get/*")) == 2


def test_a_revision_that_moves_between_two_requests(hub: HubServer) -> None:
    """A regular file of a branch: the commit of the HEAD, the bytes of the GET."""
    old = hub.seed(REPO, FILES)
    hub.faults.call("GET */resolve/*", lambda: hub.seed(REPO, {"config.json": b'{"a": 2}'}))
    path = Path(hf_hub_download(REPO, "config.json"))
    assert path.parent.name == old and path.read_bytes() == b'{"a": 2}'
    again = hf_hub_download(REPO, "config.json", revision=old, force_download=True)
    assert Path(again).read_bytes() == FILES["config.json"]


def test_an_etag_with_a_path_in_it(hub: HubServer, tmp_path: Path) -> None:
    hub.seed(REPO, FILES)
    hub.faults.header("HEAD *", {"X-Linked-Etag": '"../../../outside"'})
    hf_hub_download(REPO, LARGE, cache_dir=tmp_path / "a" / "cache")
    assert (tmp_path / "a" / "outside").exists()


def test_a_redirect_to_another_host_brings_no_token(hub: HubServer, signed_in: str) -> None:
    hub.seed(REPO, FILES)
    with HubServer() as other:
        url = other.publish("model.bin", WEIGHTS).replace("127.0.0.1", "localhost")
        hub.faults.redirect("GET */resolve/*", url)
        with pytest.raises(OSError, match="Consistency check failed"):
            hf_hub_download(REPO, "config.json")
        assert [(str(e), e.authorization) for e in other.log] == [
            ("GET /static/model.bin 200", None)
        ]


def test_a_slow_server(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.slow("GET /get/*", 0.05, chunk=50_000)
    start = time.monotonic()
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS
    assert time.monotonic() - start >= 0.25


def test_a_hub_that_is_down_and_comes_back(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hf_hub_download(REPO, "config.json")
    hub.stop()
    assert Path(hf_hub_download(REPO, "config.json")).read_bytes() == FILES["config.json"]
    with pytest.raises(Exception, match="refused"):
        HfApi().model_info(REPO)
    hub.start()
    assert Path(hf_hub_download(REPO, LARGE)).read_bytes() == WEIGHTS


def test_a_client_that_goes_away(hub: HubServer) -> None:
    """In the middle of what it sends, as when it is killed: this Hub has no error of its own."""
    for headers, body in (
        ("Content-Length: 1000", b"few"),
        ("Transfer-Encoding: chunked", b"3\r\nf"),
    ):
        with socket.create_connection(("127.0.0.1", hub.ports[0])) as connection:
            head = f"POST /api/repos/create HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert [entry.status for entry in hub.requests()] == [0, 0]


def test_chunked_bodies(hub: HubServer) -> None:
    content = b'{"content": "---\\nlicense: mit\\n---"}'
    answer = httpx.post(f"{hub.url}/api/validate-yaml", content=iter([content[:9], content[9:]]))
    assert answer.json() == {"errors": [], "warnings": []}


def test_faults_have_a_first_and_a_last_time(hub: HubServer) -> None:
    hub.seed(REPO, FILES)
    hub.faults.status("GET /api/models/*", 418, nth=2, times=2)
    for _ in range(5):
        with suppress(HfHubHTTPError):
            HfApi().model_info(REPO)
    assert [entry.status for entry in hub.requests()] == [200, 418, 418, 200, 200]


# Plain files


def fetch(url: str, **headers: str) -> tuple[int, bytes, str]:
    with urlopen(Request(url, headers=headers)) as response:
        return response.status, response.read(), response.headers["ETag"]


def test_plain_files(hub: HubServer) -> None:
    url = hub.publish("folder/model.pth", WEIGHTS)
    status, body, etag = fetch(url)
    assert (status, body) == (200, WEIGHTS)
    assert fetch(url, Range="bytes=150000-")[:2] == (206, WEIGHTS[150_000:])
    assert fetch(url, Range="bytes=5-9")[:2] == (206, WEIGHTS[5:10])
    assert fetch(url, Range="bytes=-7")[:2] == (206, WEIGHTS[-7:])
    assert fetch(url, Range="bytes=9-", **{"If-Range": etag})[0] == 206
    assert fetch(url, Range="bytes=9-", **{"If-Range": '"older"'})[:2] == (200, WEIGHTS)
    with pytest.raises(HTTPError, match="416"):
        fetch(url, Range="bytes=200000-")
    with pytest.raises(HTTPError, match="404"):
        fetch(url + ".sha256")


def test_plain_files_have_faults_too(hub: HubServer) -> None:
    url = hub.publish("model.pth", WEIGHTS)
    hub.faults.cut("GET /static/*", at=0.5)
    hub.faults.no_ranges("GET /static/*", nth=2)
    hub.faults.drop("GET /static/*", nth=3)
    with pytest.raises(IncompleteRead) as raised:
        fetch(url)
    assert raised.value.partial == WEIGHTS[:100_000]
    assert fetch(url, Range="bytes=100000-")[:2] == (200, WEIGHTS)
    with pytest.raises(RemoteDisconnected):
        fetch(url)
    assert fetch(url, Range="bytes=100000-")[:2] == (206, WEIGHTS[100_000:])


# In processes of their own: Xet, offline, timm, by hand


def test_xet_pushes_and_fetches(xet_hub: HubServer, tmp_path: Path) -> None:
    """And a client without Xet gets the same bytes, from the CDN."""
    xet_hub.seed(REPO, {"other.safetensors": WEIGHTS})
    (tmp_path / "pushed").mkdir()
    (tmp_path / "pushed" / LARGE).write_bytes(WEIGHTS + b"something that packs " * 5000)
    code = f"""if True:
        from pathlib import Path
        from huggingface_hub import HfApi, hf_hub_download
        done = HfApi().upload_folder(folder_path="{tmp_path}/pushed", repo_id="{REPO}")
        fetched = hf_hub_download("{REPO}", "{LARGE}")
        assert Path(fetched).read_bytes() == Path("{tmp_path}/pushed/{LARGE}").read_bytes()
        pull = HfApi().upload_file(
            path_or_fileobj=b"x" * 1000, path_in_repo="{LARGE}", repo_id="{REPO}", create_pr=True
        )
        print(done.oid, pull.pr_revision)"""
    commit, pull = run_client(xet_hub, code, tmp_path / "home").split()
    assert commit == xet_hub.commit(REPO).id
    assert xet_hub.file(REPO, LARGE) == (tmp_path / "pushed" / LARGE).read_bytes()
    assert xet_hub.file(REPO, LARGE, pull) == b"x" * 1000
    assert [str(entry) for entry in xet_hub.requests("*xet-*-token*")] == [
        f"GET /api/models/{REPO}/xet-write-token/main 200",
        f"GET /api/models/{REPO}/xet-read-token/{commit} 200",
        f"GET /api/models/{REPO}/xet-write-token/None 200",
    ]
    assert xet_hub.requests("* /put/*") == xet_hub.requests("* /get/*") == []
    code = f"""if True:
        from pathlib import Path
        from huggingface_hub import hf_hub_download
        plain = Path(hf_hub_download("{REPO}", "{LARGE}")).read_bytes()
        assert plain == Path("{tmp_path}/pushed/{LARGE}").read_bytes()"""
    run_client(xet_hub, code, tmp_path / "plain", HF_HUB_DISABLE_XET="1")
    assert len(xet_hub.requests("GET /get/*")) == 1 and xet_hub.leaks() == []


def test_offline_what_is_cached(hub: HubServer, tmp_path: Path) -> None:
    hub.seed(REPO, FILES)
    code = f'from huggingface_hub import hf_hub_download as get; get("{REPO}", "{LARGE}")'
    run_client(hub, code, tmp_path)
    hub.clear()
    run_client(hub, code, tmp_path, HF_HUB_OFFLINE="1")
    assert list(hub.log) == []


TIMM = """if True:
    import timm, torch
    from timm.models import push_to_hf_hub
    model = timm.create_model("test_resnet", num_classes=3).eval()
    push_to_hf_hub(model, "alice/x")
    again = timm.create_model("hf-hub:alice/x", pretrained=True).eval()
    images = torch.rand(2, 3, 160, 160)
    assert torch.equal(model(images), again(images))"""


def test_timm_pushes_and_loads(hub: HubServer, signed_in: str) -> None:
    exec(TIMM, {})
    files = {".gitattributes", "README.md", "config.json", LARGE}
    assert set(hub.files("alice/x")) >= files and hub.leaks() == []


def test_timm_pushes_and_loads_with_xet(xet_hub: HubServer, tmp_path: Path) -> None:
    run_client(xet_hub, TIMM, tmp_path)
    assert LARGE in xet_hub.files("alice/x") and xet_hub.requests("*xet-read-token*")
    assert xet_hub.requests("PUT *") == xet_hub.requests("GET /get/*") == []


def test_by_hand(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "config.json").write_text("{}")
    command = [sys.executable, "-m", "hub", "--seed", f"{REPO}={tmp_path / 'seed'}", "--xet"]
    running = subprocess.Popen(
        [*command, "--folder", tmp_path],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None and running.stderr is not None
    try:
        lines = [running.stdout.readline() for _ in range(9)]
        exported = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines[1:])
        assert exported["HF_HUB_DISABLE_XET"] == "0"
        info = fetch(f"{exported['HF_ENDPOINT']}/api/models/{REPO}")[1]
        assert lines[0].split() == ["#", REPO, json.loads(info)["sha"]]
        assert f"GET /api/models/{REPO} 200" in running.stderr.readline()
    finally:
        running.terminate()
        running.communicate(timeout=20)
