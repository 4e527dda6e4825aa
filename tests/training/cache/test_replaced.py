"""Pictures that are replaced while they are read: rows are kept for what was read, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo_core as zoo
from zoo_core.data import samples
from zoo_core.data.opening import open_data
from zoo_core.data.trained_on import read_trained_on
from zoo_core.training.cache import disk, store

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT = 24


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.delenv("ZOO_CACHE_LIMIT", raising=False)
    return tmp_path / "zoo" / "activations"


def noise(path: Path, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(COUNT):
        noise(tmp_path / "data" / "ab"[i % 2] / f"{i}.png", i)
    return tmp_path / "data"


def model(at: int = 0, then: Callable[[], Any] | None = None) -> Any:
    """LeNet, which does something at a picture of its passes."""
    torch.manual_seed(0)
    made = zoo.create("lenet5", pretrained=True).reset_head(2).freeze_until("fc1")
    seen = 0

    def count(module: Any, inputs: tuple[torch.Tensor]) -> None:
        nonlocal seen, then
        seen += len(inputs[0])
        if then is not None and seen >= at:
            then, act = None, then
            act()

    made.conv1.register_forward_pre_hook(count)
    return made


def trained(made: Any, folder: Path, **given: Any) -> dict[str, torch.Tensor]:
    plain = {"epochs": 1, "batch_size": 4, "out": False, "val": False, "augment": False}
    plain |= {"head": "random"}
    zoo.finetune(made, f"folder:{folder}", **plain | given)
    return {name: tensor.clone() for name, tensor in made.state_dict().items()}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("augment", [False, 3])
def test_rows_are_kept_for_the_pictures_that_were_read(
    folder, tmp_path, monkeypatch, workers, augment
):
    monkeypatch.setattr(samples, "MEMORY", 0)  # they are read in each pass
    given = {"workers": workers, "augment": augment}
    shutil.copytree(folder, tmp_path / "old")
    expected = trained(model(), folder, cache=False, **given)

    def replace() -> None:
        """The last pictures, which no reader has read ahead."""
        for i in range(COUNT - 4, COUNT):
            path = folder / "ab"[i % 2] / f"{i}.png"
            noise(path.with_name("new.png"), 100 + i)
            path.with_name("new.png").replace(path)

    trained(model(12, replace), folder, cache=True, **given)
    shutil.copytree(folder, tmp_path / "new")
    shutil.rmtree(folder)
    (tmp_path / "old").rename(folder)
    found = trained(model(), folder, cache=True, **given)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    shutil.rmtree(folder)
    (tmp_path / "new").rename(folder)
    expected = trained(model(), folder, cache=False, **given)
    found = trained(model(), folder, cache=True, **given)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_without_memory_too(folder, monkeypatch):
    monkeypatch.setattr(samples, "MEMORY", 0)
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    last = folder / "b" / f"{COUNT - 1}.png"
    expected = trained(model(), folder, cache=False)
    trained(model(12, lambda: noise(last, 99)), folder, cache=True, workers=0)
    noise(last, COUNT - 1)
    found = trained(model(), folder, cache=True)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


# --- which pictures a model has seen -------------------------------------------------------------


@pytest.mark.parametrize("cache", [True, False])
def test_both_count_as_trained_on(folder, tmp_path, capsys, cache):
    shutil.copytree(folder, tmp_path / "old")
    replaced = folder / "b" / f"{COUNT - 1}.png"
    made, out = model(12, lambda: noise(replaced, 99)), tmp_path / "run"
    trained(made, folder, cache=cache, out=out)
    assert f"1 picture was replaced in folder:{folder} during the training." in (
        capsys.readouterr().err
    )
    for known in (made._trained_on, read_trained_on(out)):
        assert known.count(open_data(f"folder:{folder}")) == COUNT
        assert known.count(open_data(f"folder:{tmp_path / 'old'}")) == COUNT
        assert len(known.stored) == COUNT + 1


def test_a_digest_follows_its_file(folder):
    data = open_data(f"folder:{folder}")
    before = [data.digest(i) for i in range(COUNT)]
    path = data.read.paths[3]
    assert not any(map(data.was_replaced, range(COUNT)))
    noise(path, 99)
    assert [i for i in range(COUNT) if data.was_replaced(i)] == [3]
    assert [i for i in range(COUNT) if data.digest(i) != before[i]] == [3]
    path.unlink()
    assert data.digest(3) != before[3] and not data.was_replaced(3)


# --- cleared meanwhile ---------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [True, False])
def test_a_cache_that_is_cleared_while_it_is_filled(folder, monkeypatch, memory):
    """What was written is lost, and nothing else."""
    expected = trained(model(), folder, cache=False)
    monkeypatch.setattr(store, "PATIENCE", 0.0)  # a block for each batch
    if not memory:
        monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    cleared: list[int] = []

    def clear() -> None:
        cleared.append(disk.clear().freed)

    found = trained(model(16, clear), folder, cache=True)
    assert cleared[0] > 0 and len(disk.entries()) == 1
    assert 0 < disk.entries()[0].count() < COUNT
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
