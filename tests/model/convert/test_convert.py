"""zoo convert: checkpoints as torchvision, timm, Lightning and others leave them."""

from __future__ import annotations

import argparse
import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from support.in_process import Done, run
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.errors import UnknownName, WeightsError
from zoo_core.model.convert.convert import convert
from zoo_core.model.convert.mapping import named
from zoo_core.model.convert.outline import outline
from zoo_core.model.convert.report import Converted
from zoo_core.model.convert.values import values
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins

State = dict[str, Tensor]
Save = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, and a cache of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / ".cache"))


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write what somebody's training script would."""

    def write(content: Any, name: str = "flowers.pth") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=10).eval()


@pytest.fixture
def lenet() -> State:
    """The state dict of a small model, for what no large one is needed for."""
    torch.manual_seed(0)
    return dict(zoo.create("lenet5").state_dict())


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def scores(model: nn.Module, channels: int = 3, size: int = 64) -> Tensor:
    picture = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.eval()(picture)


def rules(done: Converted) -> dict[str, int]:
    return {rule.what: rule.tensors for rule in done.rules}


def same(path: Path, state: State) -> bool:
    found = load_file(path)
    return found.keys() == state.keys() and all(
        torch.equal(found[name], tensor) for name, tensor in state.items()
    )


# --- what is found -------------------------------------------------------------------------------


def test_a_state_dict_of_torchvision_with_a_head_of_ten(save: Save, resnet: nn.Module) -> None:
    done = convert(save(resnet.state_dict()), "resnet18")
    assert (done.num_classes, done.tensors, rules(done), done.dropped) == (10, 122, {}, {})
    assert done.path == Path("flowers.safetensors").absolute()
    model = zoo.create("resnet18", pretrained=done.path)
    assert torch.equal(scores(model), scores(resnet))


def test_lightning(save: Save, lenet: State) -> None:
    checkpoint = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": prefixed(lenet, "model."),
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.ones(2)}}}],
        "loops": {"fit_loop": {"state_dict": {}}},
    }
    done = convert(save(checkpoint, "last.ckpt"), "lenet5")
    assert done.under == "state_dict"
    assert [tuple(rule) for rule in done.rules] == [
        ("model. removed", 10, "model.conv1.weight", "conv1.weight")
    ]
    assert done.left_out == {
        "epoch": "3",
        "pytorch-lightning_version": "'2.5.1'",
        "hyper_parameters": "dict of 1",
        "optimizer_states": "list of 1",
        "loops": "dict of 1",
    }
    assert same(done.path, lenet)


def test_auxiliary_heads_are_dropped_by_name(save: Save) -> None:
    original = torchvision.models.googlenet(init_weights=False, num_classes=7).eval()
    done = convert(save(original.state_dict()), "googlenet")
    assert all(name.startswith(("aux1.", "aux2.")) for name in done.dropped)
    assert len(done.dropped) == 20 and "aux2.fc2.bias" in done.dropped
    model = zoo.create("googlenet", pretrained=done.path)
    assert torch.equal(scores(model), scores(original))
    assert "aux2.fc2.bias" in "\n".join(done.lines())


def test_inception_of_torchvision_and_timm_differ_in_nothing() -> None:
    target = outline(zoo.info("inception_v3"))
    with torch.device("meta"):
        theirs = torchvision.models.inception_v3(init_weights=False, num_classes=5)
        timms = timm.create_model("inception_v3", aux_logits=True)
    for model in (theirs, timms):
        found = named(model.state_dict(), target, "inception.pth")
        assert len(found.dropped) == 14 and not found.rules


WRAPS: dict[str, tuple[Callable[[nn.Module], nn.Module], list[str]]] = {
    "DataParallel": (nn.DataParallel, ["module."]),
    "compile": (torch.compile, ["_orig_mod."]),
    "both": (lambda m: nn.DataParallel(torch.compile(m)), ["_orig_mod.", "module."]),
    "AveragedModel": (AveragedModel, ["module."]),
}


@pytest.mark.parametrize("how", WRAPS)
def test_wrappers(how: str, save: Save, lenet: State) -> None:
    wrap, parts = WRAPS[how]
    model = zoo.create("lenet5")
    model.load_state_dict(lenet)
    done = convert(save({"model": wrap(model).state_dict(), "epoch": 1}), "lenet5")
    assert rules(done) == {f"{part} removed": len(lenet) for part in parts}
    assert list(done.dropped) == (["n_averaged"] if how == "AveragedModel" else [])
    assert same(done.path, lenet)


def test_a_wrapper_inside() -> None:
    """The ImageNet example of PyTorch wraps only the features of an AlexNet."""
    with torch.device("meta"):
        model = torchvision.models.alexnet(num_classes=3)
        model.features = nn.DataParallel(model.features)
    found = named(model.state_dict(), outline(zoo.info("alexnet")), "alexnet.pth")
    assert [(rule.what, rule.tensors) for rule in found.rules] == [("module. removed", 10)]


@pytest.mark.parametrize("prefix", ["net.", "backbone.", "encoder.", "student.vision.0."])
def test_any_prefix(prefix: str, save: Save, lenet: State) -> None:
    done = convert(save(prefixed(lenet, prefix)), "lenet5")
    assert rules(done) == {f"{prefix} removed": len(lenet)}
    assert same(done.path, lenet)


def test_a_body_with_a_prefix_and_a_head_without(save: Save, lenet: State) -> None:
    body = {name: tensor for name, tensor in lenet.items() if not name.startswith("head.")}
    head = {name: lenet[name] for name in lenet.keys() - body.keys()}
    done = convert(save(prefixed(body, "backbone.") | head), "lenet5")
    assert rules(done) == {"backbone. removed": len(body)}
    assert same(done.path, lenet)


def test_the_averaged_copy(save: Save, lenet: State) -> None:
    averaged = {name: tensor * 0.5 for name, tensor in lenet.items()}
    file = save({"state_dict": lenet, "state_dict_ema": averaged, "arch": "lenet5"})
    plain = convert(file, "lenet5", out="plain.safetensors")
    assert "--ema" in plain.left_out["state_dict_ema"] and same(plain.path, lenet)
    done = convert(file, "lenet5", out="ema.safetensors", ema=True)
    assert done.under == "state_dict_ema" and same(done.path, averaged)
    only = convert(save({"model_ema": averaged}), "lenet5", out="only.safetensors")
    assert only.under == "model_ema"
    with pytest.raises(WeightsError, match="no averaged copy"):
        convert(save(lenet), "lenet5", ema=True)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "module", "mine"])
def test_where_the_state_dict_may_be(key: str, save: Save, lenet: State) -> None:
    optimizer = {"state": {0: {"step": torch.ones(())}}, "param_groups": [{"lr": 0.1}]}
    done = convert(save({"optimizer": optimizer, key: lenet, "best": 0.9}), "lenet5")
    assert done.under == key and done.left_out == {"optimizer": "dict of 2", "best": "0.9"}
    assert same(done.path, lenet)


def test_safetensors_whatever_it_is_called(lenet: State) -> None:
    save_file(prefixed(lenet, "model."), "mine.bin")
    done = convert("mine.bin", "lenet5")
    assert rules(done) == {"model. removed": len(lenet)} and same(done.path, lenet)
    save_file(lenet, "theirs.safetensors")
    assert same(convert("theirs.safetensors", "lenet5", out="ours.safetensors").path, lenet)
    with pytest.raises(WeightsError, match="is the checkpoint itself"):
        convert("theirs.safetensors", "lenet5", force=True)


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_kept(dtype: torch.dtype, save: Save, lenet: State) -> None:
    state = {name: tensor.to(dtype) for name, tensor in lenet.items()}
    done = convert(save(state), "lenet5")
    kind = str(dtype).removeprefix("torch.")
    assert done.types == {kind: 10} and f"kept as {kind} (10)" in "\n".join(done.lines())
    original, model = zoo.create("lenet5"), zoo.create("lenet5", pretrained=done.path)
    original.load_state_dict(state)
    assert model.head.weight.dtype == torch.float32
    assert torch.equal(scores(model, 1, 32), scores(original, 1, 32))


def test_counters(resnet: nn.Module) -> None:
    """From before there were any; and as an average of floating point."""
    state, target = resnet.state_dict(), outline(zoo.info("resnet18"))
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    old = {name: tensor for name, tensor in state.items() if name not in counters}
    found = values(named(old, target, "old.pth"), resnet)
    assert list(found.filled) == counters and list(found.tensors) == list(state)
    averaged = {**state, "bn1.num_batches_tracked": torch.tensor(7.0)}
    found = values(named(averaged, target, "averaged.pth"), resnet)
    assert found.casts == {"bn1.num_batches_tracked": "float32 made int64"}
    assert torch.equal(found.tensors["bn1.num_batches_tracked"], torch.tensor(7))


def test_shared_memory(save: Save, lenet: State) -> None:
    memory = torch.cat([tensor.flatten() for tensor in lenet.values()])
    parts = memory.split([tensor.numel() for tensor in lenet.values()])
    views = {n: part.view(lenet[n].shape) for n, part in zip(lenet, parts, strict=True)}
    views["conv2.weight"] = views["conv2.weight"].to(memory_format=torch.channels_last)
    assert same(convert(save(views), "lenet5").path, lenet)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (
            "conv2.weight",
            torch.zeros(16, 6, 3, 3),
            r"conv2.weight is \[16, 6, 3, 3\], the model has",
        ),
        ("head.bias", torch.zeros(3), r"head.bias is \[3\], the model has \[10\]"),
        ("head.weight", torch.zeros(0, 84), r"head.weight is \[0, 84\], the model has \[1, 84\]"),
        (
            "fc1.bias",
            torch.zeros(120, dtype=torch.int64),
            "fc1.bias is int64, the model has float32",
        ),
        ("fc1.bias", torch.full((120,), torch.nan), "NaN or infinite scores"),
        ("fc1.bias", torch.empty(120, device="meta"), "has no values"),
    ],
    ids=["shape", "classes", "none", "type", "nan", "meta"],
)
def test_values_that_do_not_fit(
    name: str, tensor: Tensor, message: str, save: Save, lenet: State, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=message):
        convert(save({**lenet, name: tensor}), "lenet5")
    assert [path.name for path in tmp_path.iterdir()] == ["flowers.pth"]


# --- names that are not found --------------------------------------------------------------------


def renamed(state: State) -> State:
    return {name.replace("head.", "classifier."): tensor for name, tensor in state.items()}


def test_unknown_names(save: Save, lenet: State) -> None:
    with pytest.raises(WeightsError) as caught:
        convert(save(prefixed(renamed(lenet), "model.")), "lenet5")
    assert "classifier.weight [10, 84] (closest: head.weight)" in caught.value.message
    assert "it lacks 2 tensors: head.weight [10, 84]" in caught.value.message
    assert "--map classifier=head" in caught.value.hint
    assert not Path("flowers.safetensors").exists()


@pytest.mark.parametrize("pair", [("classifier", "head"), ("model.classifier.", "head.")])
def test_map(pair: tuple[str, str], save: Save, lenet: State) -> None:
    done = convert(save(prefixed(renamed(lenet), "model.")), "lenet5", key_map=[pair])
    assert done.rules and same(done.path, lenet)


def test_what_adapt_does_is_reported(lenet: State) -> None:
    def adapt(state: State, model: nn.Module) -> State:
        adapted = {name.replace("old.", "head."): tensor for name, tensor in state.items()}
        del adapted["junk"]
        adapted["fc1.bias"] = adapted.pop("fc1.shift") + 1
        return adapted

    target = outline(zoo.info("lenet5"))
    target = replace(target, architecture=replace(target.architecture, adapt=adapt))
    state = {name.replace("head.", "old."): tensor for name, tensor in lenet.items()}
    state |= {"junk": torch.ones(1), "fc1.shift": state.pop("fc1.bias") - 1}
    found = named(state, target, "old.pth")
    assert [tuple(rule) for rule in found.rules] == [
        ("adapt of lenet", 2, "old.weight", "head.weight"),
        ("adapt of lenet made", 1, "its tensors", "fc1.bias"),
    ]
    assert found.dropped == dict.fromkeys(
        ("junk", "fc1.shift"), "used up or not needed (adapt of lenet)"
    )
    with pytest.raises(WeightsError, match="adapt of lenet fails on it: KeyError: 'junk'"):
        named(lenet, target, "old.pth")


def test_by_order(save: Save, lenet: State, resnet: nn.Module) -> None:
    numbered = {f"net.{i}": tensor for i, tensor in enumerate(lenet.values())}
    with pytest.raises(WeightsError, match="Add --by-order: all 10 unknown names"):
        convert(save(numbered), "lenet5")
    done = convert(save(numbered), "lenet5", by_order=True)
    assert rules(done)["by order and shape"] == len(lenet) and same(done.path, lenet)
    with pytest.raises(WeightsError, match="order and shapes do not say what is what"):
        convert(save(dict(reversed(numbered.items()))), "lenet5", by_order=True, force=True)
    target = outline(zoo.info("resnet18"))
    for state in (
        resnet.state_dict(),
        {n: t for n, t in resnet.state_dict().items() if not n.endswith("tracked")},
    ):
        found = named(
            {f"x{i}": t for i, t in enumerate(state.values())}, target, "x.pth", by_order=True
        )
        assert list(found.tensors) == list(state)


def test_what_does_not_belong(save: Save, lenet: State) -> None:
    file = save({**prefixed(lenet, "model."), "criterion.weight": torch.ones(10)})
    with pytest.raises(WeightsError, match=r"1 of its names are unknown: criterion.weight \[10\]"):
        convert(file, "lenet5")
    done = convert(file, "lenet5", drop=["criterion"])
    assert done.dropped == {"criterion.weight": "--drop criterion"} and same(done.path, lenet)


def test_two_models_in_one(save: Save, lenet: State) -> None:
    doubled = {name: tensor * 2 for name, tensor in lenet.items()}
    file = save({**prefixed(lenet, "student."), **prefixed(doubled, "teacher.")})
    with pytest.raises(WeightsError, match="more than once: under student and under teacher"):
        convert(file, "lenet5")
    done = convert(file, "lenet5", drop=["student"])
    assert same(done.path, doubled) and len(done.dropped) == len(lenet)


def test_two_tensors_for_one_name(save: Save, lenet: State) -> None:
    file = save({**prefixed(lenet, "module."), "fc1.bias": lenet["fc1.bias"]})
    with pytest.raises(
        WeightsError, match=r"module\.fc1\.bias and fc1\.bias would both be fc1\.bias"
    ):
        convert(file, "lenet5")
    with pytest.raises(WeightsError, match=r"would both be head\.weight"):
        convert(
            save({**lenet, "old.weight": lenet["head.weight"]}), "lenet5", key_map=[("old", "head")]
        )


def test_a_part_of_a_model(save: Save, lenet: State) -> None:
    del lenet["head.weight"], lenet["head.bias"]
    with pytest.raises(WeightsError, match=r"it lacks 2 tensors: head.weight \[10, 84\]"):
        convert(save(lenet), "lenet5")


def test_a_pair_and_a_drop_for_nothing(save: Save, lenet: State) -> None:
    with pytest.raises(WeightsError, match=r'no tensor is under "fc11"\. Closest: fc1'):
        convert(save(lenet), "lenet5", key_map=[("fc11", "x")])
    with pytest.raises(WeightsError, match='no tensor is under "convv2"'):
        convert(save(lenet), "lenet5", drop=["convv2"])


# --- files that are refused ----------------------------------------------------------------------


class Gadget:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (Gadget(), "posix.system"),
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (argparse.Namespace(lr=0.1), "argparse.Namespace"),
    ],
    ids=["gadget", "module", "namespace"],
)
def test_code_is_never_run(content: Any, named: str, legacy: bool, tmp_path: Path) -> None:
    held = {"state_dict": {}, "args": content}
    torch.save(held, "their.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=f"needs {named}: loading it would run code"):
        convert("their.pth", "lenet5")
    assert [path.name for path in tmp_path.iterdir()] == ["their.pth"]


def test_a_plain_pickle_is_not_run_either() -> None:
    for protocol, message in {2: r"needs posix\.system", 4: "torch reads without"}.items():
        Path("their.bin").write_bytes(pickle.dumps({"weights": Gadget()}, protocol))
        with pytest.raises(WeightsError, match=message):
            convert("their.bin", "lenet5")
    assert not Path("pwned").exists()


def test_files_that_are_nothing(save: Save, lenet: State, tmp_path: Path) -> None:
    whole = save(lenet).read_bytes()
    cases = {
        "cut.pth": (whole[: len(whole) // 2], "damaged or cut short"),
        "empty.ckpt": (b"", "is empty"),
        "text.pth": (b"<html>not found</html>", "no checkpoint that torch reads"),
        "cut.safetensors": (b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "not a whole safetensors file"),
    }
    for name, (content, message) in cases.items():
        Path(name).write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            convert(name, "lenet5", out="out.safetensors")
    for name, message in {"none.pth": "No such file", str(tmp_path): "Is a directory"}.items():
        with pytest.raises(WeightsError, match=message):
            convert(name, "lenet5", out="out.safetensors")
    assert not Path("out.safetensors").exists()


def test_checkpoints_without_a_state_dict(save: Save, lenet: State) -> None:
    with pytest.raises(WeightsError, match="holds a list, not a state dict"):
        convert(save([1, 2]), "lenet5")
    with pytest.raises(WeightsError, match=r"holds none. In it: epoch \(3\)"):
        convert(save({"epoch": 3}), "lenet5")
    with pytest.raises(WeightsError, match="holds several: generator, critic"):
        convert(save({"generator": lenet, "critic": lenet}), "lenet5")
    with pytest.raises(WeightsError, match="holds none"):
        convert(save({0: lenet}), "lenet5")


def test_hostile_checkpoints(save: Save, lenet: State) -> None:
    endless: dict[str, Any] = {"x": torch.ones(1)}
    endless["model"] = endless
    with pytest.raises(WeightsError, match="without end"):
        convert(save(endless), "lenet5")
    others = {"\x1b[2Jpwned": 1, "huge": 10**100, 7: torch.ones(2), "text": "\x1b]0;pwned"}
    done = convert(save({**lenet, **others}), "lenet5")
    assert done.left_out == {
        "'\\x1b[2Jpwned'": "1",
        "huge": "int",
        "7": "tensor [2]",
        "text": "'\\x1b]0;pwned'",
    }
    with pytest.raises(WeightsError) as caught:
        convert(save({**lenet, "\x1b[2J.weight": torch.ones(2)}), "lenet5", force=True)
    assert str(caught.value).isprintable()


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_torchscript() -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), "program.pt")
    with pytest.raises(WeightsError, match="is TorchScript"):
        convert("program.pt", "lenet5")


# --- where it goes -------------------------------------------------------------------------------


def test_a_file_that_is_there_stays(save: Save, lenet: State) -> None:
    place = Path("flowers.safetensors")
    place.write_bytes(b"mine")
    with pytest.raises(WeightsError, match="is there already"):
        convert(save(lenet), "lenet5")
    assert place.read_bytes() == b"mine"
    assert same(convert(save(lenet), "lenet5", force=True).path, lenet)
    with pytest.raises(WeightsError, match=r"should end with \.safetensors"):
        convert(save(lenet), "lenet5", out="flowers.bin")


@pytest.mark.parametrize("out", ["flowers.pth/out.safetensors", "nowhere/out.safetensors"])
def test_a_place_that_cannot_be_written(out: str, save: Save, lenet: State) -> None:
    with pytest.raises(WeightsError, match=f"{out} cannot be written: No"):
        convert(save(lenet), "lenet5", out=out)


def test_names(save: Save, lenet: State) -> None:
    file = save(lenet, "my flowers (2).pth.tar")
    assert convert(file, "lenet5").path.name == "my flowers (2).safetensors"
    assert convert(file, "lenet5", force=True).weights == "my-flowers-2"
    with pytest.raises(WeightsError, match="is no tag"):
        convert(file, "lenet5", weights="a b", force=True)
    with pytest.raises(UnknownName, match='No model "lenet6"'):
        convert(file, "lenet6", force=True)


# --- the table -----------------------------------------------------------------------------------


def _registered(done: Converted) -> nn.Module:
    """The model that a manifest with the printed table makes."""
    manifest = Path("registry.toml")
    model = '[models.resnet18]\narchitecture = "resnet"\nconfig = { variant = "resnet18" }\n'
    manifest.write_text(f"schema = 1\n{model}\n{done.manifest}", encoding="utf-8")
    with using_catalogue(Catalogue(load_plugins(), official=manifest)):
        info = zoo.info("resnet18").weights[done.weights]
        assert (info.sha256, info.license, info.input) == (done.sha256, done.license, done.input)
        model = zoo.create(f"resnet18.{done.weights}")
    return model


def test_the_table_makes_the_model(save: Save) -> None:
    """Here one of timm's, for four classes of grey pictures."""
    original = timm.create_model("resnet18", in_chans=1, num_classes=4).eval()
    file = save(original.state_dict())
    done = convert(file, "resnet18", weights="my.grey", license="mit")
    assert done.input.size == (1, 224, 224) and len(done.input.mean) == 1
    assert '[models.resnet18.weights."my.grey"]' in done.manifest
    assert "num_classes = 4\n" in done.manifest
    assert torch.equal(scores(_registered(done), 1), scores(original, 1))


def test_the_table_says_that_a_licence_is_missing(save: Save, lenet: State) -> None:
    done = convert(save(lenet), "lenet5")
    assert '# license = "..."' in done.manifest and "num_classes" not in done.manifest
    assert "flip = false" in done.manifest


# --- the command ---------------------------------------------------------------------------------


def command(*words: str) -> Done:
    done = run("convert", *words)
    assert "Traceback" not in done.stderr
    return done


def test_the_command(save: Save, lenet: State, capsys: Capture) -> None:
    """Here in this process; docs/converting.md runs it in a shell."""
    file = save({"state_dict": prefixed(lenet, "model."), "epoch": 3})
    words = (file.name, "--model", "lenet5", "--weights", "mine", "--license", "mit")
    assert main(["convert", *words]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("[models.lenet5.weights.mine]\nsource = ")
    assert "model. removed: 10 tensors (such as model.conv1.weight -> conv1.weight)" in printed.err
    assert "left out: epoch (3)" in printed.err
    assert same(Path("flowers.safetensors"), lenet)


def test_the_command_fails_in_a_line(save: Save) -> None:
    done = command(save({"args": Gadget()}).name, "--model", "lenet5")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: flowers.pth needs posix.system")
    assert len(done.stderr.splitlines()) == 2


@pytest.fixture
def json_of(capsys: Capture) -> Iterator[Callable[..., dict[str, Any]]]:
    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["convert", *words, "--json"]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return json.loads(printed.out)

    yield run


def test_json(save: Save, lenet: State, json_of: Callable[..., dict[str, Any]]) -> None:
    file = save({"model": renamed(lenet), "model_ema": lenet, "extra": torch.ones(2)})
    told = json_of(file.name, "--model", "lenet5", "--map", "classifier=head")
    assert told["rules"] == [
        {
            "what": "classifier=head",
            "tensors": 2,
            "before": "classifier.weight",
            "after": "head.weight",
        }
    ]
    assert told["left_out"].keys() == {"model_ema", "extra"}
    assert told["size"] == Path(told["path"]).stat().st_size and len(told["sha256"]) == 64
    assert told["model"] == "lenet5" and told["manifest"].startswith("[models.lenet5.")


def test_wrong_usage(capsys: Capture) -> None:
    done = command("flowers.pth")
    assert done.returncode == 2 and "--model" in done.stderr
    assert main(["convert", "flowers.pth", "--model", "lenet5", "--map", "fc"]) == 2
    assert "OLD=NEW" in capsys.readouterr().err
