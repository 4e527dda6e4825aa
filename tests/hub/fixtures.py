"""The Hub for pytest: fixtures."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.sealing import seal
from hub.server import HubServer

UPSTREAM = "ignore:Use 'content=:DeprecationWarning"  # by huggingface_hub, when it uploads to LFS


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", UPSTREAM)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """An empty Hub, which the client of this process talks to, and an empty HF_HOME.

    No token is set; `signed_in` sets one. Xet is off, as the client was told at its import.
    """
    shutil.rmtree(seal().home, ignore_errors=True)
    with HubServer(seal().port) as server:
        yield server
        disconnect()
    assert server.errors == []


def disconnect() -> None:
    """Close the client's connections, if it was ever used."""
    if "huggingface_hub" in sys.modules:
        from huggingface_hub import close_session

        close_session()


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of alice, who may write."""
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    return "hf_write"


@pytest.fixture
def xet_hub(tmp_path: Path) -> Iterator[HubServer]:
    """A Hub with Xet, on a port of its own: for `run_client`."""
    with HubServer(xet=tmp_path / "xet-store") as server:
        yield server
    assert server.errors == []
