"""Files at plain addresses, as any web server has them, with ranges and faults."""

from __future__ import annotations

from http.client import IncompleteRead, RemoteDisconnected
from urllib.error import HTTPError

import pytest

from hub import HubServer
from hub.tiny import WEIGHTS, fetch


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
