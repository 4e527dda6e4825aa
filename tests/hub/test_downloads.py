"""Downloads from the Hub of the tests: cold and warm, private, gated, and not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hub import HubServer
from hub.tiny import CARD, FILES, REPO, asked, push


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
