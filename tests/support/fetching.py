"""What the tests of fetching share: small weights, and a place for them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hub.server import HubServer
from safetensors.torch import save
from torch import Tensor

import zoo_core as zoo
from zoo_core.types import WeightsInfo


@pytest.fixture
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache, a configuration and a current folder that belong to one test."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def lenet(seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a LeNet-5 that nobody has trained."""
    torch.manual_seed(seed)
    return zoo.create("lenet5").state_dict()


def safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    return save(dict(tensors), {"format": "pt"})


def pickled(tensors: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def weights(source: str, sha256: str | None = None) -> WeightsInfo:
    return WeightsInfo(tag="", source=source, sha256=sha256)


def seeded(hub: HubServer, repo: str = "alice/digits", seed: int = 0) -> str:
    """A repository with one file of weights; the reference that pins it."""
    commit = hub.seed(repo, {"model.safetensors": safetensors(lenet(seed))})
    return f"hf://{repo}@{commit}/model.safetensors"


def same(model: torch.nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    state = model.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def created(reference: str, variables: Mapping[str, str]) -> str | None:
    """The sha256 that a model was created from; for processes of their own."""
    os.environ.update(variables)
    torch.set_num_threads(1)
    return zoo.create("lenet5", pretrained=reference).origin.sha256
