"""Accounts, tokens and repositories on the Hub of the tests."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from hub import HubServer
from hub.tiny import FILES, REPO


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
