"""How the Hub is asked: not for ever, and what is on this machine not through a proxy."""

from __future__ import annotations

import logging
import socket
import time

import pytest
from hub.fixtures import disconnect
from hub.server import HubServer
from support.fetching import lenet, own_places, same, seeded

import zoo_core as zoo
from zoo_core.hub import client

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


def test_a_hub_that_does_not_answer_is_told_and_given_up(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seeded(hub)
    monkeypatch.setattr(client, "ANSWER", 0.2)
    monkeypatch.setattr(client, "ATTEMPTS", 2)
    hub.faults.call("GET /api/models/*", lambda: time.sleep(1), times=None)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(zoo.SourceError, match=r"the Hub does not answer \(ReadTimeout\)"),
    ):
        zoo.create("lenet5", pretrained="hf://alice/digits/model.safetensors")
    assert "The Hub fails (ReadTimeout): attempt 2 of 2." in caplog.messages


def test_all_else_has_a_limit_too(hub: HubServer) -> None:
    disconnect()
    client.api()
    assert client.get_session().timeout.read == client.LONGEST


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_token_for_this_machine_goes_to_no_proxy(
    hub: HubServer, signed_in: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    reference = seeded(hub)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "elsewhere")
        monkeypatch.setenv("no_proxy", "elsewhere")
        disconnect()  # as in a new process
        assert same(zoo.create("lenet5", pretrained=reference), lenet())
        with pytest.raises(BlockingIOError):
            proxy.accept()
