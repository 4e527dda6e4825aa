"""A Hub on this machine is asked without a proxy, which would get the token in the clear."""

from __future__ import annotations

import os

import pytest
from hub.fixtures import disconnect
from hub.server import HubServer
from support.fetching import lenet, own_places, same, seeded
from support.raw_server import raw_server, sending, whole

import zoo_core as zoo

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_token_goes_to_a_proxy(
    hub: HubServer, signed_in: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    reference = seeded(hub)
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("no_proxy", "example.com")
    with raw_server(sending(whole(b"", status="502 Bad Gateway"))) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        disconnect()  # the next connection would be to the proxy
        model = zoo.create("lenet5", pretrained=reference)
        assert same(model, lenet())
        zoo.push(model, "alice/digits")
        disconnect()
    assert proxy.asked == []
    assert hub.files("alice/digits")
    assert os.environ["NO_PROXY"].startswith("example.com,127.0.0.1")
