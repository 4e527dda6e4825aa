"""timm's networks through the same door: their stages, their facts, and all that follows from both.

Here is one network of every module of timm; `python -m zoo_timm.coverage` goes over all.
"""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hub.server import HubServer
from support.fetching import own_places, safetensors, same
from support.in_process import run
from support.pictures import colours
from timm.models import save_for_hf
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.chain import make_chain, run_stages
from zoo_core.cli import main
from zoo_core.conformance.keeping import keeps_what_feeds
from zoo_core.model.head import put_head
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.manifest import read_manifest
from zoo_core.testing import check_architecture
from zoo_core.weights.fetch import prefetch
from zoo_timm import coverage, generate, results, specimens
from zoo_timm.chains import stages
from zoo_timm.networks import network
from zoo_timm.rows import ROWS, SPECIAL

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("one_thread")


@torch.no_grad()
def scores(model: nn.Module, x: Tensor) -> Tensor:
    return model.eval()(x)


def pictures(count: int = 2, side: int = 64) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


# --- the contract --------------------------------------------------------------------------------


# Those that take seconds, however small they are made.
LARGE = {"convmixer", "davit", "gemma4_vit", "mobilenetv5", "nasnet", "pnasnet"}


@pytest.mark.parametrize(
    "module",
    [pytest.param(m, marks=pytest.mark.slow) if m in LARGE else m for m in specimens.SPECIMENS],
)
def test_a_network_of_every_module_keeps_the_contract_of_stages(module: str) -> None:
    specimens.check(module)


@pytest.mark.slow
@pytest.mark.parametrize("module", specimens.SPECIMENS)
def test_what_feeds_a_stage_can_be_kept(module: str) -> None:
    """Bit for bit, wherever the boundary has a pooling that is sure."""
    assert keeps_what_feeds(specimens.specimen_of(module))


MLP: tuple[str, int, Mapping[str, Any]] = (
    "caformer_s18",
    32,
    {},
)  # its scores come from two layers


def specimen(module: str) -> tuple[str, int, Mapping[str, Any]]:
    return MLP if module == MLP[0] else specimens.SPECIMENS[module]


def without_head(module: str, classes: int) -> nn.Module:
    """timm's own network of a module, small, with statistics that change what they norm."""
    name, _, small = specimen(module)
    torch.manual_seed(0)
    sized = {"img_size": specimen(module)[1]} if specimens._is_built_for_a_size(name) else {}
    model = timm.create_model(name, num_classes=classes, **sized, **small).eval()
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(0.1 * torch.rand_like(tensor) + 0.5 * key.endswith("running_var"))
    return model


HEADS = ("efficientvit_msra", "iformer", "levit", "repvit", "shvit", "volo")  # of several parts


@pytest.mark.parametrize("module", (*HEADS, MLP[0], "efficientvit_mit", "vgg", "convnext", "deit"))
def test_features_are_those_that_timm_gives(module: str) -> None:
    """Bit for bit, with the names of its weights; and the stages are the forward pass still."""
    model, side = without_head(module, 5), specimen(module)[1]
    full, theirs = copy.deepcopy(model.state_dict()), without_head(module, 0)
    chain = put_head(model, make_chain(stages(model), module), 0)
    assert model.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict({name: full[name] for name in theirs.state_dict()})
    x = pictures(side=side)
    assert torch.equal(scores(model, x), scores(theirs, x))
    for classes in (0, 7):
        chain = put_head(model, chain, classes)
        assert torch.equal(scores(model, x), run_stages(model, chain.values(), x))
    assert scores(model, x).shape == (2, 7)
    assert model.state_dict().keys() == full.keys()


def test_no_module_of_timm_is_forgotten() -> None:
    known = {*specimens.SPECIMENS, *specimens.OFFICIAL}
    assert known == set(timm.list_modules())
    for module, (name, *_) in specimens.SPECIMENS.items():
        assert name in timm.list_models(module=module)


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet", "test_convnext"])
def test_the_whole_contract(name: str) -> None:
    check_architecture(f"timm/{name}", size=(3, 64, 64), img_size=64 if "vit" in name else None)


def test_dropout_before_a_norm_is_frozen_with_it() -> None:
    """SHViT drops features by a function, before the norm of its head."""
    model = zoo.create("timm/shvit_s1", num_classes=3, drop_rate=0.5)
    model.freeze_until("head").train()
    x = pictures()
    with torch.no_grad():
        assert torch.equal(model.forward_until(x, "head"), model.forward_until(x, "head"))
        assert not torch.equal(model.unfreeze().train()(x), model(x))


def test_a_class_without_a_line_has_features_pool_and_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ROWS, "ConvNeXt")
    model = network("test_convnext", num_classes=3).eval()
    chain = stages(model)
    assert [stage.name for stage in chain] == ["features", "pool", "head"]
    with torch.no_grad():
        assert torch.equal(run_stages(model, chain, pictures()), model(pictures()))
    for name in model.state_dict():
        assert sum(stage.has(name) for stage in chain) == 1
    assert chain[1].has("head.norm.weight")


def test_every_line_is_of_a_class_of_timm() -> None:
    modules = [importlib.import_module(f"timm.models.{name}") for name in timm.list_modules()]
    classes = {name for module in modules for name in vars(module)}
    assert {*ROWS, *SPECIAL} <= classes


def test_a_network_that_does_not_classify() -> None:
    with torch.device("meta"):
        encoder = network("qwen3_vit_88m_enc")
    with pytest.raises(zoo.PluginError, match=r"Qwen3VitEncoder of timm has no single layer"):
        stages(encoder)
    with pytest.raises(zoo.UnknownName, match=r'Closest: "timm/qwen3_vit_88m"'):
        zoo.create("timm/qwen3_vit_88m_enc")


def test_cached_biases_never_go_out_of_date() -> None:
    """LeViT keeps them in eval mode; a step may come between, and a copy."""
    model = zoo.create("timm/levit_128s", num_classes=3, img_size=64).eval()
    x = pictures()
    before = model(x)  # with gradients: what was kept then could not be copied
    again = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert torch.equal(again(x), before)
    with torch.no_grad():
        for name, parameter in again.named_parameters():
            if name.endswith("attention_biases"):
                parameter.add_(torch.randn_like(parameter))
    fresh = zoo.create("timm/levit_128s", num_classes=3, img_size=64).eval()
    fresh.load_state_dict(again.state_dict())
    assert not torch.equal(again(x), before)
    assert torch.equal(again(x), fresh(x))


# --- create --------------------------------------------------------------------------------------


def test_create() -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("test_convnext", num_classes=5)
    torch.manual_seed(0)
    model = zoo.create("timm/test_convnext", num_classes=5)
    assert isinstance(model, type(theirs))
    assert same(model, theirs.state_dict())
    assert model.state_dict().keys() == theirs.state_dict().keys()
    assert list(model.chain) == ["stem", "stage1", "stage2", "stage3", "stage4", "pool", "head"]
    assert model.input.size == (3, 160, 160)


def test_the_size_of_pictures_is_an_argument() -> None:
    model = zoo.create("timm/test_vit", num_classes=3, img_size=64)
    assert model.input.size == (3, 64, 64)
    assert scores(model, pictures(side=64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("timm/test_convnext", {"img_size": 2}, r"test_convnext cannot take pictures of 2x2: "),
        ("timm/test_convnext", {"drop_rate": 1.5}, r"drop_rate must be in \[0, 1\)"),
        ("timm/test_convnext", {"droprate": 0.1}, r'no option "droprate"\. Closest: "drop_rate"'),
        ("timm/test_vit", {"img_size": 50}, r"of 50x50: .* It takes 32x32 and 64x64\."),
        ("timm/levit_128s", {"img_size": [64, 100]}, r"64x100: .* It takes 64x96 and 64x128\."),
        ("timm/csatv2", {"in_chans": 1}, r"csatv2 takes pictures of 3 channels"),
    ],
)
def test_arguments_that_cannot_be(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.create(name, **config)


def test_heads_that_give_scores_together_are_replaced_together() -> None:
    model = zoo.create("timm/deit_tiny_distilled_patch16_224", num_classes=3, img_size=32)
    x = pictures(side=32)
    features = scores(model.reset_head(0), x)
    with torch.no_grad():
        tokens = model.forward_until(x, "head")
    assert torch.equal(features, (tokens[:, 0] + tokens[:, 1]) / 2)
    assert scores(model.reset_head(4), x).shape == (2, 4)
    assert model.get_parameter("head_dist.weight").shape[0] == 4


def test_a_new_head_keeps_what_its_layers_count() -> None:
    model = zoo.create("timm/efficientvim_m1_dist", num_classes=3)
    with torch.no_grad():
        shares = model.get_parameter("weights").copy_(torch.tensor([0.0, 1.0, 2.0, 3.0])).clone()
    assert scores(model.reset_head(4), pictures()).shape == (2, 4)
    assert model.num_outputs == 4
    assert torch.equal(model.get_parameter("weights"), shares)
    assert (
        scores(model.reset_head(0), pictures()).shape
        == model.forward_until(pictures(), "head").shape
    )


# --- fine-tuning ---------------------------------------------------------------------------------


def tuned(**given: Any) -> tuple[ZooModel, Any]:
    torch.manual_seed(0)
    model = zoo.create("timm/test_efficientnet", num_classes=3)
    data = TensorDataset(pictures(24, 32), torch.arange(24) % 3)
    plain = {"epochs": 2, "batch_size": 8, "out": False, "progress": False, "val": data}
    return model, zoo.finetune(model, data, **plain | given)


def test_finetune_with_the_cache_is_finetune_without() -> None:
    curves = []
    for cache in (True, False):
        model, run = tuned(
            freeze_until="block5", cache=cache, regularizers=["l2=1e-3", "label-smoothing=0.1"]
        )
        curves.append(([row["loss"] for row in run.history], model.state_dict()))
    assert curves[0][0] == curves[1][0]
    assert all(torch.equal(tensor, curves[1][1][name]) for name, tensor in curves[0][1].items())


def test_arguments_of_the_architecture_stand_in_the_recipe(
    hub: HubServer, own_places: Path, tmp_path: Path
) -> None:
    seeded(hub, "test_vit.r160_in1k")
    data = colours(tmp_path / "data", {"red": (200, 0, 0), "blue": (0, 0, 200)})
    typed = ("--data", f"folder:{data}", "--epochs", "1", "--no-augment", "--cache")
    name = ("timm/test_vit", "--freeze-until", "head")
    config = ("--config", "img_size=48", "--config", "drop_rate=0.25")
    first, again = tmp_path / "first", tmp_path / "again"
    done = run("finetune", *name, *typed, *config, "--out", first)
    assert done.returncode == 0, done.stderr
    model = zoo.create(first)
    assert model.input.size == (3, 48, 48) and model.origin.config["drop_rate"] == 0.25
    assert run("finetune", "--recipe", first, "--out", again).returncode == 0
    assert same(zoo.create(again), model.state_dict())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("imgsize=48", 'no option "imgsize". Closest: "img_size"'),
        ("img_size", '"img_size" is not NAME=VALUE.'),
        ("img_size=50", "test_vit cannot take pictures of 50x50"),
        ("pretrained=true", "pretrained is no argument of an architecture"),
        ("img_size=tiny", "img_size must be one number, or height and width: 'tiny'"),
    ],
)
def test_arguments_that_no_architecture_has(
    hub: HubServer, own_places: Path, tmp_path: Path, config: str, message: str
) -> None:
    seeded(hub, "test_vit.r160_in1k")
    data = colours(tmp_path / "data", {"red": (200, 0, 0), "blue": (0, 0, 200)})
    out = tmp_path / "run"
    done = run(
        *("finetune", "timm/test_vit", "--data", f"folder:{data}"),
        *("--config", config, "--out", out),
    )
    assert done.returncode in (1, 2) and message in done.stderr
    assert not out.exists()


def test_a_model_that_is_built_takes_no_arguments() -> None:
    with pytest.raises(zoo.RecipeError, match=r"Give its arguments to zoo\.create"):
        tuned(config={"img_size": 48})


def test_two_heads_are_not_solved_as_if_they_were_one() -> None:
    torch.manual_seed(0)
    model = zoo.create("timm/deit_tiny_distilled_patch16_224", img_size=32, num_classes=3)
    data = TensorDataset(pictures(6, 32), torch.arange(6) % 3)
    plain = {"epochs": 1, "batch_size": 6, "out": False, "progress": False, "val": data}
    with pytest.raises(zoo.RecipeError, match=r"are put together from several"):
        zoo.finetune(model, data, freeze_until="head", head="ridge", **plain)


# --- publishing ----------------------------------------------------------------------------------


def seeded(hub: HubServer, name: str = "test_convnext.r160_in1k") -> nn.Module:
    """A repository of timm's with weights that nobody trained."""
    torch.manual_seed(1)
    theirs = timm.create_model(name.partition(".")[0])
    hub.seed(f"timm/{name}", {"model.safetensors": safetensors(theirs.state_dict())})
    return theirs


def test_weights_and_a_delta_on_them(hub: HubServer, signed_in: str, own_places: Path) -> None:
    theirs = seeded(hub)
    model = zoo.create("timm/test_convnext", pretrained=True)
    assert same(model, theirs.state_dict())
    assert model.labels is not None and len(model.labels) == 1000
    model.reset_head(3, labels=("cat", "dog", "bird"))
    dry = zoo.push(model, "alice/pets", dry_run=True)
    assert dry.commit is None and "delta.safetensors" in dry.sizes
    zoo.push(model, "alice/pets")
    again = zoo.create("hf://alice/pets")
    assert same(again, model.state_dict())
    assert (again.info.name, again.labels) == ("timm/test_convnext", ("cat", "dog", "bird"))


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "mobilenetv4_conv_small", "repghostnet_050"]
)
def test_saved_and_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    """Convolutions on pooled maps compute other last bits where weights lie askew, as in a file."""
    model = zoo.create(f"timm/{name}", num_classes=3)
    model.save_pretrained(tmp_path / "saved")
    again = zoo.create(tmp_path / "saved")
    for x in (pictures(1), pictures(2)):
        assert torch.equal(scores(again, x), scores(model, x))


def test_weights_without_a_classifier(hub: HubServer, own_places: Path) -> None:
    info = zoo.info("timm/eva02_tiny_patch14_224")
    theirs = timm.create_model(info.config["variant"])
    tag = info.default_weights.tag  # type: ignore[union-attr]
    repository = f"timm/{info.config['variant']}.{tag}"
    hub.seed(repository, {"model.safetensors": safetensors(theirs.state_dict())})
    model = zoo.create(info.name, pretrained=True)
    assert model.num_outputs == 0 and model.labels is None
    assert zoo.create(info.name, pretrained=True, num_classes=3).num_outputs == 3


@pytest.mark.parametrize(
    ("name", "config"),
    [("test_vit", {}), ("test_vit", {"img_size": 96, "global_pool": "avg"}), ("test_convnext", {})],
)
def test_what_timm_exports_is_its_network(
    tmp_path: Path, name: str, config: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=3, **config).eval()
    save_for_hf(theirs, tmp_path, safe_serialization=True)
    model = zoo.create(tmp_path)
    assert model.info.name == f"timm/{name}"
    side = config.get("img_size", 160)
    assert model.input.size == (3, side, side)
    x = pictures(side=side)
    assert torch.equal(scores(model, x), scores(theirs, x))


def test_a_repository_in_timms_layout_is_the_network_of_that_name(hub: HubServer) -> None:
    theirs = timm.create_model("test_efficientnet", num_classes=2)
    config = {"architecture": "test_efficientnet", "num_classes": 2, "label_names": ["cat", "dog"]}
    files = {"config.json": json.dumps(config).encode()}
    hub.seed("somebody/pets", {**files, "model.safetensors": safetensors(theirs.state_dict())})
    model = zoo.create("hf://somebody/pets")
    assert (model.info.name, model.labels) == ("timm/test_efficientnet", ("cat", "dog"))
    assert same(model, theirs.state_dict())


def test_a_repository_with_a_pickle_alone(
    hub: HubServer, own_places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = timm.create_model("test_efficientnet", num_classes=2)
    save_for_hf(theirs, tmp_path / "timm")
    files = {path.name: path.read_bytes() for path in (tmp_path / "timm").iterdir()}
    assert files.keys() == {"config.json", "pytorch_model.bin"}
    hub.seed("somebody/old", files)
    assert same(zoo.create("hf://somebody/old"), theirs.state_dict())
    prefetch(["hf://somebody/old"], to=own_places / "stick")
    monkeypatch.setenv("HF_HUB_CACHE", str(own_places / "none"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("ZOO_CACHE", str(own_places / "stick"))
    assert same(zoo.create("hf://somebody/old"), theirs.state_dict())
    hub.seed("somebody/none", {"config.json": files["config.json"]})
    monkeypatch.delenv("ZOO_OFFLINE")
    with pytest.raises(zoo.SourceError, match=r"somebody/none.* has no model\.safetensors"):
        zoo.create("hf://somebody/none")


def test_weights_in_a_layout_of_before_are_loaded(tmp_path: Path) -> None:
    """Positions for another size of picture are resampled, by timm's own function."""
    theirs = timm.create_model("test_vit", num_classes=3)
    (tmp_path / "vit.safetensors").write_bytes(safetensors(theirs.state_dict()))
    model = zoo.create("timm/test_vit", pretrained=tmp_path / "vit.safetensors", img_size=96)
    assert model.get_parameter("pos_embed").shape != theirs.pos_embed.shape
    assert torch.equal(model.get_parameter("head.weight"), theirs.head.weight)


# --- the manifest --------------------------------------------------------------------------------

LISTED = {model.name: model for model in read_manifest(generate.MANIFEST)}


def test_the_manifest_is_what_the_installed_timm_gives() -> None:
    tables = json.loads(generate.MANIFEST.read_text(encoding="utf-8"))["models"]
    names = {f"timm/{name}" for name in generate.names()}
    left_out = names - tables.keys()
    assert tables.keys() <= names, "run python -m zoo_timm.generate"
    assert all("_enc" in name for name in left_out)
    for name in random.Random(0).sample(sorted(tables), 100):
        table = tables[name]
        variant = name.removeprefix("timm/")
        found = json.loads(json.dumps(generate.facts(variant, table["params"])))
        results.kept({variant: table}, {variant: found})
        assert table == found, "run python -m zoo_timm.generate"
    assert generate.MANIFEST.read_text(encoding="utf-8") == generate.text(
        {name.removeprefix("timm/"): table for name, table in tables.items()}
    )


def test_an_entry_is_made_by_building() -> None:
    own = json.loads(generate.MANIFEST.read_text(encoding="utf-8"))["models"]
    found = json.loads(json.dumps(generate.entry("test_resnet")))
    results.kept({"test_resnet": own["timm/test_resnet"]}, {"test_resnet": found})
    assert found == own["timm/test_resnet"]
    assert generate.entry("qwen3_vit_88m_enc") is None


def test_no_default_forbids_commercial_use() -> None:
    for model in LISTED.values():
        default = model.default_weights
        assert default is None or "-nc" not in (default.license or "")
        assert default is not None or all(
            not generate.commercial(weights.license) for weights in model.weights.values()
        )
    assert LISTED["timm/fastvit_mci0"].default_weights is None
    assert LISTED["timm/convnext_tiny"].default_weights is not None


def test_official_models_are_not_listed_twice() -> None:
    official = {*zoo.list_models()} - generate.OTHERS
    assert not {f"timm/{name}" for name in official} & LISTED.keys()
    assert len(LISTED) > 1300


# --- commands ------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert code == (1 if err.startswith("Error") else 0)
    return out + err


def test_they_are_listed_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\ntimm/" not in printed(capsys, "list")
    assert "\ntimm/" not in printed(capsys, "list", "*net*")
    lines = printed(capsys, "list", "timm/convnext*").splitlines()[1:]
    assert len(lines) > 20 and all(line.startswith("timm/convnext") for line in lines)


def test_show_and_stages(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "show", "timm/convnext_tiny")
    assert "28,589,128" in shown
    assert "in12k_ft_in1k" in shown and "hf://timm/convnext_tiny.fb_in1k/model.safetensors" in shown
    table = printed(capsys, "stages", "timm/test_convnext")
    assert [line.split()[0] for line in table.splitlines()[1:-1]] == [
        *("stem", "stage1", "stage2", "stage3", "stage4", "pool", "head")
    ]


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("timm/convnext_tny", '"timm/convnext_tiny"'),
        ("convnext_tiny", '"timm/convnext_tiny"'),
        ("resnet51", '"resnet50"'),
    ],
)
def test_an_unknown_name_says_the_closest(
    capsys: pytest.CaptureFixture[str], name: str, closest: str
) -> None:
    assert f"Closest: {closest}" in printed(capsys, "show", name)


# --- coverage ------------------------------------------------------------------------------------


def test_the_coverage_of_one_network() -> None:
    found = coverage.looked_at("test_vit", "vision_transformer", set())
    assert found.fault == "" and found.stages[-3:] == ("norm", "pool", "head")
    assert coverage.looked_at("qwen3_vit_88m_enc", "qwen3_vit", set()).fault
    page = coverage.page([found])
    row = "| vision_transformer | 1 | 1 | VisionTransformer | stem, block1 … block6, norm, pool,"
    assert row in page


@pytest.mark.parametrize(
    ("name", "module"), [("resnet50_clip", "byobnet"), ("convit_tiny", "convit")]
)
def test_a_last_layer_before_the_pooling_and_indices_that_are_kept(name: str, module: str) -> None:
    assert coverage.looked_at(name, module, set()).fault == ""


def test_stages_that_do_something_else_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS, "ConvNeXt", "stem: stem.0 | stages*")
    found = coverage.looked_at("test_convnext", "convnext", set())
    assert found.fault == "the stages do something else than forward"
