"""What the Hub of the tests says of a repository: branches, tags, files and their hashes."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError, RevisionNotFoundError

from hub import HubServer, git
from hub.tiny import FILES, REPO, push


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
