"""The conformance kit: what it finds in plugins, models, manifests, and folders not installed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.tiny import SIZE, STAGES, Tiny, architecture, changed
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core import Architecture, RegularizerSpec, Stage, UnknownName, WeightSource
from zoo_core.cli import main
from zoo_core.conformance.cases import Case, NotHere, Result, Wish
from zoo_core.conformance.contract import CONTRACT, Check
from zoo_core.conformance.plugin import examinations, manifest_examination, specimen_cases
from zoo_core.conformance.specimen import Specimen
from zoo_core.conformance.use import USE
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin
from zoo_core.types import InputSpec

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")

INPUT = InputSpec(SIZE, (0.5,) * 3, (0.5,) * 3)


# --- a case --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "status", "found"),
    [
        (AssertionError("mend it"), "fail", "mend it"),
        (UnknownName('No "x".', hint="Take y."), "fail", 'No "x". Take y.'),
        (Wish("no licence"), "warn", "no licence"),
        (NotHere("no compiler"), "skip", "no compiler"),
        (KeyError("scale"), "fail", "KeyError: 'scale'"),
        (SystemExit(3), "fail", "SystemExit: 3"),
        (AssertionError(), "fail", "AssertionError: no message"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_a_check_raises(raised: BaseException, status: str, found: str) -> None:
    def look() -> str:
        raise raised

    result = Case("net", "a check", look).run()
    assert (result.status, result.found) == (status, found)
    assert ("Traceback" in result.traceback) is (status == "fail")


# --- models --------------------------------------------------------------------------------------


def looked_at(made: Architecture, checks: Mapping[str, Check] = CONTRACT) -> dict[str, Result]:
    cases = specimen_cases(Specimen(made, {}, INPUT), checks)
    return {case.check: case.run() for case in cases}


def failing(results: dict[str, Result]) -> set[str]:
    return {name for name, result in results.items() if result.status == "fail"}


def test_a_network_that_keeps_every_rule() -> None:
    results = looked_at(architecture(), CONTRACT | USE)
    assert {r.status for n, r in results.items() if n != "state-dict names"} == {"pass"}
    assert results["builds"].found == "303 parameters, for pictures of 3x12x12"
    assert results["path of create"].found.startswith("fast")


def test_each_point_is_looked_at_on_its_own() -> None:
    assert failing(looked_at(architecture(EvalOnly))) == {"stages compose"}
    results = looked_at(architecture(lambda num_classes, in_chans: Tiny(num_classes, 3)))
    assert failing(results) == {"in_chans"}


def test_where_stages_do_not_fit_is_told_once() -> None:
    """The flatten before the head is missing."""
    results = looked_at(architecture(stages=changed(Stage("pool", run=("pool",)))))
    told = results["stages compose"]
    assert told.status == "fail"
    assert told.found.startswith('"head" does not take (2, 4, 1, 1): mat1 and mat2')
    assert "Is a step missing in stages(), such as a flatten" in told.found
    for check in ("freezing equals autograd", "frozen stages stand still"):
        assert results[check].status == "skip"
        assert results[check].found == 'not looked at: see "stages compose".'


def test_arguments_without_names_are_a_wish() -> None:
    def build(*, num_classes: int, in_chans: int, **others: Any) -> nn.Module:
        return Tiny(num_classes, in_chans)

    made = Architecture("tiny", build, lambda model: list(STAGES))
    result = looked_at(made, USE)["arguments named"]
    assert (result.status, "misspelt" in result.found) == ("warn", True)


def test_an_argument_that_never_comes_is_a_wish() -> None:
    def build(*, num_classes: int, in_chans: int, pretrained: bool = False) -> nn.Module:
        return Tiny(num_classes, in_chans)

    made = Architecture("tiny", build, lambda model: list(STAGES))
    result = looked_at(made, USE)["arguments named"]
    assert (result.status, "has pretrained, which create() keeps" in result.found) == ("warn", True)


def test_what_cannot_be_built_is_told_once() -> None:
    def build(*, num_classes: int, in_chans: int) -> nn.Module:
        return Tiny(num_classes, in_chans)[0]  # type: ignore[index]

    made = Architecture("tiny", build, lambda model: list(STAGES))
    results = looked_at(made, CONTRACT | USE)
    assert failing(results) == {"builds"}
    assert "'Tiny' object is not subscriptable" in results["builds"].line
    rest = [result for name, result in results.items() if name != "builds"]
    assert {result.status for result in rest} == {"skip"}
    assert rest[-1].found == 'not looked at: see "builds".'


class EvalOnly(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if self.training else 2)


class Unseeded(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.fc.weight.data.fill_(int.from_bytes(os.urandom(4)))


class Noisy(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(1)


class Unsaved(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.scale = float(torch.rand(()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class Halved(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.full((7,), 0.5)


class Deciding(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


class Refusing(Tiny):
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("not me")


class Rounding(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.round(decimals=1) if x.dtype == torch.float64 else x)


@pytest.mark.parametrize(
    ("network", "check", "status", "told"),
    [
        (Unseeded, "determinism", "fail", "fc.weight differs between two builds with one seed"),
        (Noisy, "determinism", "fail", "two forward passes of the same pictures give different"),
        (Unsaved, "save and load", "fail", "Saved and loaded, the model gives other scores"),
        (Halved, "dtype", "fail", "In torch.bfloat16 the tensor before the end is torch.float32"),
        (Halved, "device", "warn", "make tensors buffers, or with device=x.device"),
        (Rounding, "dtype", "fail", "In float64 the scores are others"),
        (Deciding, "export", "fail", "torch.export cannot follow forward()"),
        (Deciding, "compile", "pass", "traced"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_people_do_with_a_model(
    network: type[Tiny], check: str, status: str, told: str
) -> None:
    specimen = Specimen(architecture(network), {}, INPUT)
    (case,) = specimen_cases(specimen, {check: USE[check]})
    result = case.run()
    assert result.status == status, result.line
    assert told in result.line


def test_a_class_that_no_import_finds() -> None:
    class Local(Tiny):
        pass

    (case,) = specimen_cases(Specimen(architecture(Local), {}, INPUT), {"": USE["pickle"]})
    assert "its classes and functions must be those of a module" in case.run().line


class WithBuffer(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.norm.register_buffer("eps2", torch.ones(1), persistent=False)


def test_the_plain_path_is_told() -> None:
    made = architecture(WithBuffer, changed(Stage("stem", run=("conv1", "norm", "act"))))
    (case,) = specimen_cases(Specimen(made, {}, INPUT), {"": USE["path of create"]})
    told = "plain: the buffer norm.eps2 is in no checkpoint; weights are copied"
    assert (case.run().status, case.run().found) == ("pass", told)


def test_names_of_a_known_model_are_compared() -> None:
    made = architecture()
    (case,) = specimen_cases(Specimen(made, {}, INPUT, "resnet18"), {"": USE["state-dict names"]})
    assert "is in one of the two only: take the names of timm's" in case.run().line


# --- manifests -----------------------------------------------------------------------------------

LENET = """
schema = 1
[models.mine]
architecture = "lenet"
num_classes = 10
"""
RIGHT = """
params = 61_706
summary = "mine"
input = { size = [1, 32, 32], mean = [0.1], std = [0.3] }
"""
WEIGHTS = """
[models.mine.weights.digits]
source = "pkg://zoo_lenet/weights/lenet5.mnist5k.safetensors"
"""
PINNED = """
sha256 = "875243004a48cae054ab660d4b59ce2e5f39ff2c4df9a82b94393e0e4a182be2"
license = "mit"
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
"""


def manifest(folder: Path, text: str) -> dict[str, Result]:
    path = folder / "models.toml"
    path.write_text(text)
    return {case.check: case.run() for case in manifest_examination(path).cases}


def test_a_manifest_that_is_right(tmp_path: Path) -> None:
    results = manifest(tmp_path, LENET + RIGHT + WEIGHTS + PINNED)
    assert {r.check: r.line for r in results.values() if r.status != "pass"} == {}
    assert results["params as stated"].found == "61,706"


def test_facts_that_are_missing_are_warnings(tmp_path: Path) -> None:
    size = "\ninput = { size = [1, 32, 32], mean = [0.1], std = [0.3] }\n"
    results = manifest(tmp_path, LENET + size + WEIGHTS)
    missing = {name: result.line for name, result in results.items() if result.status == "warn"}
    assert missing["params as stated"] == "params is missing: write params = 61_706."
    assert missing["sha256"].startswith('no sha256: write sha256 = "875243004a48')
    assert "no licence" in missing["licence"]
    assert "no labels" in missing["labels"]
    assert failing(results) == set()


@pytest.mark.parametrize(
    ("text", "check", "told"),
    [
        (
            LENET + RIGHT.replace("61_706", "61_707"),
            "params as stated",
            "params is 61,707, but build() makes 61,706: write params = 61_706, or mend config.",
        ),
        (LENET + RIGHT.replace("32, 32", "64, 64"), "input as stated", "RuntimeError: mat1"),
        (
            LENET + RIGHT + WEIGHTS + PINNED.replace("8752", "0000"),
            "weights load",
            "not the expected 000043004a48",
        ),
        (
            LENET + RIGHT + WEIGHTS + PINNED.replace('"9"', '"9", "10"'),
            "labels",
            "",
        ),
        (
            LENET + RIGHT + WEIGHTS.replace("mnist5k.safetensors", "gone.safetensors"),
            "weights load",
            'The package "zoo_lenet" has no file "weights/lenet5.gone.safetensors".',
        ),
        (
            LENET.replace('"lenet"', '"alexnet"') + "input = { size = [3, 64, 64] }" + WEIGHTS,
            "weights load",
            "",
        ),
    ],
)
def test_facts_that_are_wrong(tmp_path: Path, text: str, check: str, told: str) -> None:
    if check == "labels":
        text = text.replace("labels = [", "num_classes = 10\nlabels = [")
        told = "11 labels for 10 classes: mend labels or num_classes."
    result = manifest(tmp_path, text)[check]
    assert result.status == "fail"
    assert told in result.line


def test_weights_that_are_elsewhere_are_not_fetched(tmp_path: Path) -> None:
    away = WEIGHTS.replace("pkg://zoo_lenet/weights", "https://127.0.0.1:9/nowhere")
    result = manifest(tmp_path, LENET + RIGHT + away + PINNED)["weights load"]
    assert result.status == "skip"
    assert result.line.startswith("not on this machine: https://127.0.0.1:9/nowhere")


def test_a_manifest_for_what_nobody_builds(tmp_path: Path) -> None:
    result = manifest(tmp_path, LENET.replace('"lenet"', '"lenett"'))["architecture"]
    assert result.status == "fail"
    assert 'No installed plugin builds the architecture "lenett"' in result.line


# --- plugins -------------------------------------------------------------------------------------

Known = Callable[..., None]


@pytest.fixture
def known() -> Iterator[Known]:
    """Make the kit see one third party's plugin, with these hooks, beside the built-in ones."""

    def register(**hooks: Callable[..., Any]) -> None:
        plugins = load_plugins(only=())
        marked = {name: zoo.hookimpl(hook) for name, hook in hooks.items()}
        plugin = Plugin("zoo_acme", "zoo-acme", "1.2", "zoo_acme")
        plugins.register(SimpleNamespace(**marked), plugin)
        uses.enter_context(using_catalogue(Catalogue(plugins)))

    with contextlib.ExitStack() as uses:
        yield register


def subjects(name: str) -> set[str]:
    return {case.subject for one in examinations(name) for case in one.cases}


def test_what_a_name_means() -> None:
    assert {one.title for one in examinations("zoo-core")} >= {"zoo_lenet (zoo-core 0.1.0)"}
    whole = {"zoo_lenet", "lenet5", "lenet5.mnist5k", "lenet5.fashion_mnist", "zoo demo"}
    assert subjects("zoo_lenet") == whole
    assert subjects("lenet") == subjects("lenet5") == whole - {"zoo demo"}
    assert subjects("l2") == {"zoo_regularizers", "l2"}
    (one,) = examinations("resnet152d")
    assert {"resnet152d", "zoo_resnet"} <= {case.subject for case in one.cases}
    assert not one.left_out


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "zoo_lenett"]) == 1
    told = capsys.readouterr().err
    assert 'No plugin, model or regularizer "zoo_lenett". Closest: "zoo_lenet"' in told
    assert main(["plugins", "check", "./zoo_lenet"]) == 2
    assert "nothing is at zoo_lenet" in capsys.readouterr().err


def test_of_many_models_a_few_are_looked_at(known: Known, tmp_path: Path) -> None:
    tables = [f'[models.tiny{n}]\narchitecture = "tiny"\nparams = {n}\n' for n in range(1, 101)]
    path = tmp_path / "models.toml"
    path.write_text("\n".join(["schema = 1", *tables]))
    known(zoo_architectures=lambda: [architecture()], zoo_manifests=lambda: [path])
    (one,) = examinations("zoo_acme")
    assert one.models == ("tiny1", "tiny51")
    assert one.note == "2 of 100 models: tiny1, tiny51. For another, check its name."


def named(name: str) -> Architecture:
    return dataclasses.replace(architecture(), name=name)


def test_an_architecture_is_looked_at_alone(known: Known, tmp_path: Path) -> None:
    """With its models, or by its defaults where it has none; with its distribution, too."""
    path = tmp_path / "models.toml"
    path.write_text(
        'schema = 1\n[models.a1]\narchitecture = "a"\n[models."acme/b1"]\narchitecture = "b"\n'
    )
    known(
        zoo_architectures=lambda: [named("a"), named("b"), named("bare")],
        zoo_manifests=lambda: [path],
    )
    assert subjects("zoo_acme") == {"zoo_acme", "a1", "acme/b1", "bare"}
    for name, own in {"a": "a1", "b": "acme/b1", "bare": "bare"}.items():
        assert subjects(name) == subjects(f"zoo-acme:{name}") == {"zoo_acme", own}
    assert subjects("acme/b1") == subjects("zoo-acme:acme/b1") == {"zoo_acme", "acme/b1"}


def test_what_is_no_classifier_is_told_once(known: Known, tmp_path: Path) -> None:
    """In the facts of models that are tried, too; and of one that is not, in the same words."""

    class Pair(Tiny):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), x

    path = tmp_path / "models.toml"
    facts = "input = { size = [3, 12, 12] }\nparams = 303\n"
    path.write_text(f'schema = 1\n[models.pair]\narchitecture = "tiny"\n{facts}')
    known(zoo_architectures=lambda: [architecture(Pair)], zoo_manifests=lambda: [path])
    results = [case.run() for one in examinations("tiny") for case in one.cases]
    told = "forward() must give one tensor of scores, not a tuple of 2"
    failed = [r for r in results if r.status == "fail" and r.check != "params as stated"]
    assert [(r.check, r.found.partition(":")[0]) for r in failed] == [("builds", told)]
    facts_alone = {case.check: case.run() for case in manifest_examination(path).cases}
    assert facts_alone["input as stated"].found.startswith(told)


def test_what_a_family_lacks_is_one_warning_a_point(
    known: Known, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = 'architecture = "lenet"\ninput = { size = [1, 32, 32], mean = [0.1], std = [0.3] }\n'
    weights = 'source = "https://127.0.0.1:9/none.safetensors"\nlabels = "imagenet-1k"\n'
    tables = [
        f"[models.own{n}]\n{facts}num_classes = {n}\n[models.own{n}.weights.a]\n{weights}"
        f"num_classes = 1000\n"
        for n in range(1, 29)
    ]
    path = tmp_path / "models.toml"
    path.write_text("\n".join(["schema = 1", *tables]))
    assert main(["plugins", "check", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    warned = [line.split()[1:3] for line in lines if line.startswith("warn")]
    assert warned == [["own1", "params"], ["own1.a", "licence"], ["own1.a", "sha256"]]
    assert "27 more like own1, params as stated: own2, own3, own4, own5, own6, …" in lines
    assert ", 3 warnings and 81 more like them, " in lines[-1]
    assert main(["plugins", "check", str(path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["results"]
    assert sum(row["status"] == "warn" for row in rows) == 84  # each of them is there


def test_regularizers_sources_and_commands(known: Known) -> None:
    known(
        zoo_regularizers=lambda: [RegularizerSpec("acme-none", lambda: 3)],  # type: ignore
        zoo_weight_sources=lambda: [WeightSource("Acme", lambda reference: None)],  # type: ignore
    )
    (one,) = examinations("zoo_acme")
    found = {(c.subject, c.check): c for c in one.cases}
    assert found["acme-none", "is made"].run().found == "the factory makes a int."
    assert '"Acme" is no scheme' in found["Acme:", "weight source"].run().found
    assert found["acme-none", "card"].run().status == "warn"


def test_what_is_broken_about_a_plugin_is_told(known: Known) -> None:
    known(zoo_architectures=lambda: [3])
    (one,) = examinations("zoo_acme")
    told = {case.check: case.run() for case in one.cases}
    assert told["loads"].status == "fail"
    assert "returns a list with int from zoo_architectures" in told["loads"].found
    assert told["description"].status == "skip"  # nothing of it is installed


def test_the_list_says_what_each_plugin_offers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "  ok      1 architecture, 1 model, 1 command" in rows["zoo_lenet"]
    assert main(["plugins", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["zoo_lenet"]["offers"]["models"] == ["lenet5"]
    assert found["zoo_lenet"]["offers"]["commands"] == ["demo"]
    assert found["zoo_files"]["offers"]["weight_sources"] == ["file", "pkg"]
    assert found["zoo_files"]["health"] == "ok"


# --- a folder ------------------------------------------------------------------------------------

PROJECT = """
[project]
name = "zoo-acme"
version = "1.2"
dependencies = ["zoo-core", "no-such-package>=3"]

[project.entry-points.zoo_core]
zoo_acme = "zoo_acme"
"""
CODE = """
from zoo_core import Architecture, Stage, hookimpl
from zoo_acme import network

@hookimpl
def zoo_architectures():
    print("hello")
    return [Architecture("acmenet", network.build, network.stages)]
"""
NETWORK = """
from torch import nn
from zoo_core import Stage

def build(*, num_classes, in_chans):
    return nn.Sequential(nn.Conv2d(in_chans, 4, 8, stride=8), nn.Flatten(), nn.Linear(4, 5))

def stages(model):
    return [Stage("stem", run=("0", "1")), Stage("head", run=("2",))]
"""


def test_a_folder_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "src" / "zoo_acme").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "src" / "zoo_acme" / "__init__.py").write_text(CODE)
    (tmp_path / "src" / "zoo_acme" / "network.py").write_text(NETWORK)
    files = sorted(tmp_path.rglob("*"))
    words = [sys.executable, "-m", "zoo_core", "plugins", "check", "./", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert not report["ok"]
    rows = {row["check"]: row for row in report["results"]}
    assert {row["plugin"] for row in rows.values()} == {"zoo_acme (zoo-acme 1.2)"}
    failed = {name: row["found"] for name, row in rows.items() if row["status"] == "fail"}
    assert failed == {
        "requirements": "no-such-package is missing: pip install them, or mend dependencies.",
        "imports no torch": "zoo_acme.network, line 2 imports torch: import it inside functions.",
        "builds": failed["builds"],
    }
    told = "build(in_chans=3, num_classes=7) takes no pictures of shape (3, 224, 224): mat1 and"
    assert failed["builds"].startswith(told)
    assert rows["licence"]["status"] == rows["description"]["status"] == "warn"
    assert sorted(tmp_path.rglob("*")) == files  # nothing was written


@pytest.mark.parametrize(
    ("project", "told"),
    [
        ("", "names no plugin: it has no entry point of the group"),
        ("[project", "is not valid TOML"),
        (PROJECT, "has no module zoo_acme, which its entry point names"),
        (None, "pyproject.toml cannot be read: No such file or directory"),
    ],
)
def test_a_folder_that_is_no_plugin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], project: str | None, told: str
) -> None:
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(project)
    assert main(["plugins", "check", str(tmp_path)]) == 1
    assert told in capsys.readouterr().err


# --- the report ----------------------------------------------------------------------------------


def test_the_report_in_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "models.toml"
    path.write_text(LENET + RIGHT.replace("61_706", "7"))
    assert main(["plugins", "check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    assert lines[1].startswith("FAIL  mine  params as stated           params is 7, but build()")
    assert lines[2] == "ok    mine  input as stated            1x32x32"
    assert lines[-1] == "3 checks: 2 passed, 1 failed."
