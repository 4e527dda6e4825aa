"""Fixtures for models: files of random weights, third parties' architectures, a cache of one's own.

A plugin of pytest, imported before any test is chosen: so torch is imported inside the fixtures.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import zoo_core as zoo
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin

Files = Callable[[str], Path]
Offer = Callable[..., None]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For pictures this small, more threads only wait for one another."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("ZOO_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The path of a file of random weights for a model, written when first asked for."""
    import torch
    from safetensors.torch import save_file

    from support.twins import MODELS, WITH_AUX, random_like

    folder = tmp_path_factory.mktemp("weights")

    @functools.cache
    def written(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        build = WITH_AUX if name == "googlenet+aux" else MODELS[name][0]
        with torch.device("meta"):
            state = build().state_dict()
        save_file({key: random_like(key, tensor) for key, tensor in state.items()}, path)
        return path

    return written


@pytest.fixture
def offer(tmp_path: Path) -> Iterator[Offer]:
    """Make create() see a third party's architectures and manifest beside the built-in ones."""

    def install(manifest: str, *architectures: zoo.Architecture) -> None:
        path = tmp_path / "toys.toml"
        path.write_text(f"schema = 1\n{manifest}")
        plugin = SimpleNamespace(
            zoo_architectures=zoo.hookimpl(lambda: list(architectures)),
            zoo_manifests=zoo.hookimpl(lambda: [path]),
        )
        plugins = load_plugins(only=())
        plugins.register(plugin, Plugin("toys", "zoo-toys", "1"))
        known = Catalogue(plugins)
        assert [other.faults for other in known.examine() if other.broken] == []
        uses.enter_context(using_catalogue(known))

    with contextlib.ExitStack() as uses:
        yield install
