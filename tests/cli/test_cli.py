"""The command line as a person meets it: a process of its own, two streams and an exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_core import __version__, list_models
from zoo_core.cli import COMMANDS, _failed, main
from zoo_core.errors import ZooError
from zoo_core.plugins.catalogue import catalogue

ZOO = [sys.executable, "-m", "zoo_core"]
QUICK = ("list", "show", "stages", "plugins", "doctor")


def environment(**given: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "_ZOO"))}
    return {**clean, "ZOO_PLUGINS": "", **given}


def zoo(*words: str, cwd: Path | None = None, **given: str) -> subprocess.CompletedProcess[str]:
    env = environment(**given)
    words = (*ZOO, *words)
    return subprocess.run(words, capture_output=True, text=True, env=env, cwd=cwd, check=False)


def fails(*words: str, code: int = 1, **given: str) -> str:
    """What a command that must fail says: no stdout, a few lines on stderr and no traceback."""
    done = zoo(*words, **given)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    return done.stderr


Capture = pytest.CaptureFixture[str]


def here(capsys: Capture, *words: str, code: int = 0) -> tuple[str, str]:
    """The same in this process, which imports torch only once: its stdout and its stderr."""
    capsys.readouterr()
    assert main(words) == code
    return tuple(capsys.readouterr())


# --- list ----------------------------------------------------------------------------------------


def test_list() -> None:
    done = zoo("list")
    header, *lines = done.stdout.splitlines()
    assert header.split() == "name params GMACs top-1 on input weights licence".split()
    assert [line.split()[0] for line in lines] == list_models()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    resnet50 = "25,557,032 4.09 80.38 imagenet-1k 3x224x224 a1_in1k apache-2.0"
    assert rows["resnet50"] == resnet50.split()
    assert rows["lenet5"][:2] == ["61,706", "0.00042"]
    assert re.fullmatch(r'1,\d+ more of timm: zoo list "timm/\*"\n', done.stderr)


def test_list_json() -> None:
    rows = json.loads(zoo("list", "--json").stdout)
    assert [row["name"] for row in rows] == list_models()
    row = next(row for row in rows if row["name"] == "resnet50")
    assert row["params"] == 25_557_032
    assert row["default_weights"] == "a1_in1k"
    assert row["license"] == "apache-2.0"
    assert row["metrics"]["imagenet-1k.top1"] == 80.382
    assert row["official"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("resnet18*", ["resnet18", "resnet18d"]),
        ("resnet50", ["resnet50"]),
        ("inception", ["inception_resnet_v2", "inception_v3", "inception_v4"]),
        ("*v[34]", ["inception_v3", "inception_v4"]),
        ("lenet", ["lenet5"]),
    ],
)
def test_list_a_pattern(pattern: str, expected: list[str]) -> None:
    assert [row["name"] for row in json.loads(zoo("list", pattern, "--json").stdout)] == expected


def test_list_in_natural_order() -> None:
    names = [row["name"] for row in json.loads(zoo("list", "resnet", "--json").stdout)]
    depths = (18, 26, 34, 50, 101, 152)
    assert names == [f"resnet{depth}{form}" for depth in depths for form in ("", "d")]


def test_list_of_nothing() -> None:
    done = zoo("list", "resnet51")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith('No model matches "resnet51". Closest: "resnet50"')
    assert json.loads(zoo("list", "resnet51", "--json").stdout) == []


# --- show ----------------------------------------------------------------------------------------


def test_show() -> None:
    text = zoo("show", "resnet50").stdout
    for fact in (
        "resnet50: 50 layers",
        "25,557,032",
        "4.09 G for a picture of 3x224x224",
        "https://arxiv.org/abs/1512.03385",
        "drop_rate=0.0, drop_path_rate=0.0",
        "stochastic depth",
        "hf://timm/resnet50.a1_in1k@5d9e13b8fdab4d9718bcf2c8f5c3af01878367e8/model.safetensors",
        "Next: zoo stages resnet50",
    ):
        assert fact in text
    first = next(line for line in text.splitlines() if line.startswith("a1_in1k"))
    assert first.split()[:6] == "a1_in1k yes 80.38 imagenet-1k 3x224x224 apache-2.0".split()
    rows = [line for line in text.splitlines() if "_in1k" in line]
    assert len(rows) == len(catalogue().find("resnet50").model.weights)


def test_show_tells_what_the_reductions_of_googlenet_save() -> None:
    text = zoo("show", "googlenet").stdout
    assert "save 91% of the parameters" in text
    assert "naive=False, aux_logits=False" in text


def test_show_a_family() -> None:
    assert zoo("show", "resnet").stdout == zoo("show", "resnet50").stdout


def test_show_certain_weights() -> None:
    text = zoo("show", "lenet5.mnist5k").stdout
    for fact in (
        "mnist5k (the default)",
        "0 1 2 3 4 5 6 7 8 9",
        "1x32x32, bilinear, crop 1",
        "mnist5k-test.top1",
    ):
        assert fact in text
    assert catalogue().find("lenet5.mnist5k").weights.sha256 in text  # type: ignore[operator, union-attr]


def test_show_json() -> None:
    shown = json.loads(zoo("show", "googlenet", "--json").stdout)
    assert shown["name"] == "googlenet"
    assert shown["params"] == 6_624_904
    assert shown["default_weights"] == "imagenet1k_v1"
    assert {"name": "naive", "default": False} in shown["options"]
    assert shown["weights"]["imagenet1k_v1"]["input"]["mean"] == [0.5, 0.5, 0.5]
    assert shown["input"]["size"] == [3, 224, 224]
    one = json.loads(zoo("show", "resnet50.tv_in1k", "--json").stdout)
    assert list(one["weights"]) == ["tv_in1k"]


@pytest.mark.parametrize("name", list_models())
def test_show_every_model(name: str, capsys: Capture) -> None:
    assert main(["show", name]) == 0
    assert f"Next: zoo stages {name}" in capsys.readouterr().out
    assert main(["show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == name


# --- stages --------------------------------------------------------------------------------------


def test_stages(capsys: Capture) -> None:
    out, _ = here(capsys, "stages", "lenet5", "--freeze-until", "fc2")
    assert out.splitlines() == [
        "stage  output   params  trains",
        "conv1  6x14x14     156  frozen",
        "conv2  16x5x5    2,416  frozen",
        "fc1    120      48,120  frozen",
        "fc2    84       10,164  yes",
        "head   10          850  yes",
        "total           61,706  11,014",
    ]


def test_stages_json(capsys: Capture) -> None:
    out, _ = here(capsys, "stages", "resnet18.a1_in1k", "--freeze-until", "layer4", "--json")
    rows = json.loads(out)
    stages = "stem layer1 layer2 layer3 layer4 pool head".split()
    assert [row["stage"] for row in rows] == stages
    assert [row["frozen"] for row in rows] == [True, True, True, True, False, False, False]
    assert rows[-1]["output"] == [1000]
    assert sum(row["params"] for row in rows) == 11_689_512


def test_stages_of_a_layer_that_is_not_there(capsys: Capture) -> None:
    out, err = here(capsys, "stages", "lenet5", "--freeze-until", "heed", code=1)
    assert out == ""
    error, hint = err.splitlines()
    assert error.startswith('Error: No layer "heed". Closest: "head"')
    assert "conv1 conv2 fc1 fc2 head" in hint


def test_stages_of_a_path_with_nothing(capsys: Capture) -> None:
    _, err = here(capsys, "stages", "./no-run", code=1)
    assert err.startswith("Error: Nothing is at no-run.")


# --- plugins, doctor -----------------------------------------------------------------------------


def test_plugins() -> None:
    header, *lines = zoo("plugins").stdout.splitlines()
    assert header.split() == ["plugin", "distribution", "version", "seconds", "health", "offers"]
    assert all("  ok  " in line for line in lines)
    (resnet,) = (line for line in lines if line.startswith("zoo_resnet"))
    assert resnet.split()[:3] == ["zoo_resnet", "zoo-core", __version__]
    assert zoo("plugins", "list").stdout.split()[:6] == header.split()


def test_plugins_json() -> None:
    for words in (["plugins", "--json"], ["plugins", "list", "--json"]):
        rows = json.loads(zoo(*words).stdout)
        files = next(row for row in rows if row["name"] == "zoo_files")
        assert files["hooks"] == ["zoo_weight_sources"]
        assert files["ok"]
        assert files["seconds"] < 1


def checks(**given: str) -> dict[str, dict]:
    done = zoo("doctor", "--json", **given)
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == (0 if all(check["ok"] for check in found.values()) else 1)
    return found


def test_doctor(tmp_path: Path) -> None:
    found = checks(ZOO_CACHE=str(tmp_path / "not" / "yet"), ZOO_OFFLINE="1")
    names = "python packages torchvision device cache network plugins weights"
    assert list(found) == names.split()
    assert [name for name, check in found.items() if not check["ok"]] == []
    assert str(tmp_path) in found["cache"]["found"]
    assert not (tmp_path / "not").exists()
    assert "offline (ZOO_OFFLINE=1)" in found["network"]["found"]
    assert "whole" in found["weights"]["found"]


MISMATCHED = 'raise RuntimeError("operator torchvision::nms does not exist")\n'


def test_doctor_finds_a_torchvision_of_another_torch(tmp_path: Path) -> None:
    """A torchvision as pip leaves it, that asks for another torch.

    It cannot load its operators beside this one.
    """
    (tmp_path / "torchvision.py").write_text(MISMATCHED)
    found = checks(PYTHONPATH=str(tmp_path))["torchvision"]
    assert not found["ok"]
    assert "operator torchvision::nms does not exist" in found["found"]
    assert "pip install --force-reinstall torch torchvision" in found["mend"]
    assert "for CPU only, from PyTorch's CPU index" in found["mend"]

    info = tmp_path / "torchvision-0.20.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.20.1\nRequires-Dist: numpy\n"
        "Requires-Dist: torch (==2.5.1)\n"
    )
    found = checks(PYTHONPATH=str(tmp_path))
    assert "this torchvision was made for torch 2.5.1" in found["torchvision"]["found"]
    assert "torchvision is 0.20.1, not >=" in found["packages"]["found"]


def test_a_mismatched_torchvision_is_told_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(MISMATCHED)
    error, hint = fails("stages", "resnet18", PYTHONPATH=str(tmp_path)).splitlines()
    assert error == "Error: unexpected RuntimeError: operator torchvision::nms does not exist"
    assert 'run "zoo doctor"' in hint


def test_doctor_finds_a_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    out, _ = here(capsys, "doctor", code=1)
    lines = out.splitlines()
    wrong = [number for number, line in enumerate(lines) if not line.startswith("ok ")]
    fault = f"WRONG  cache        {tmp_path}/file/cache cannot be written"
    assert lines[wrong[0]].startswith(fault)
    assert "set ZOO_CACHE to a folder of yours" in lines[wrong[1]]
    assert len(wrong) == 2


# --- errors and exit codes -----------------------------------------------------------------------


def test_an_unknown_model() -> None:
    assert fails("show", "resnet51").splitlines() == [
        'Error: No model "resnet51". Closest: "resnet50", "resnet18", "resnet".',
        'Run "zoo list" for all models.',
    ]
    assert "has no weights" in fails("show", "resnet50.a9_in1k")
    assert fails("stages", "resnet51").startswith("Error: No model")


def test_usage_errors() -> None:
    assert "'list'" in fails("lst", code=2)
    assert "--json" in fails("list", "--jsno", code=2)
    assert "'NAME'" in fails("show", code=2)
    assert "Commands:" in fails(code=2)


def test_help_and_version() -> None:
    assert zoo("--version").stdout == f"zoo {__version__}\n"
    for words in (["--help"], ["-h"]):
        text = zoo(*words).stdout
        assert all(f"\n  {name} " in text for name in COMMANDS)
    for name in QUICK:
        done = zoo(name, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: zoo {name} ")
        assert "--json" in done.stdout


def test_debug_shows_the_traceback() -> None:
    words = (["show", "x", "--debug"], ["--debug", "show", "x"])
    for done in (*(zoo(*some) for some in words), zoo("show", "x", ZOO_DEBUG="1")):
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-2].startswith('Error: No model "x"')


def test_what_nobody_expected_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("1 / 0\n")
    assert fails("stages", "resnet18", PYTHONPATH=str(tmp_path)).splitlines() == [
        "Error: unexpected ZeroDivisionError: division by zero",
        "For the whole story, run again with --debug.",
    ]


def test_main_returns_the_code(capsys: Capture) -> None:
    assert main(["list"]) == 0
    assert main(["show", "resnet51"]) == 1
    assert main(["lst"]) == 2
    assert "resnet50" in capsys.readouterr().out


def test_an_error_in_two_lines_is_printed_in_one(capsys: Capture) -> None:
    assert _failed(ZooError("first\n  second", hint="do\nthis"), debug=False) == 1
    assert capsys.readouterr().err == "Error: first second\ndo this\n"


# --- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["list", "list --json", "show resnet50 --json", "plugins"])
def test_a_reader_that_stops_early(words: str) -> None:
    command = ["bash", "-c", f"{sys.executable} -m zoo_core {words} | head -1"]
    env = environment()
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert re.fullmatch(r"(1,\d+ more of timm: .*\n)?", done.stderr)
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("words", [["list"], ["show", "resnet50"], ["plugins"]])
def test_no_terminal_no_escapes(words: list[str]) -> None:
    """Plain and whole, however narrow the terminal is said to be."""
    done = zoo(*words, COLUMNS="20", FORCE_COLOR="1", TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    assert done.stdout == zoo(*words).stdout or words == ["plugins"]  # which shows times


@pytest.mark.parametrize("columns", ["40", "200"])
def test_a_terminal(columns: str) -> None:
    """A table for people: colours, and every name whole even where there is little room."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*ZOO, "list", "resnet*"],
        stdout=follower,
        stderr=follower,
        env=environment(COLUMNS=columns, TERM="xterm-256color"),
    ) as process:
        os.close(follower)
        text = b""
        while chunk := _read(leader):
            text += chunk
    os.close(leader)
    assert process.returncode == 0
    assert b"\x1b[" in text
    for name in list_models("resnet*"):
        assert name.encode() in text
    assert b'Run "zoo show NAME"' in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


# --- shell completion ----------------------------------------------------------------------------


def completed(line: str) -> list[str]:
    """What bash is offered at the end of a line."""
    done = zoo(_ZOO_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))
    return [offer.partition(",")[2] for offer in done.stdout.splitlines()]


def test_completion() -> None:
    assert "complete" in zoo(_ZOO_COMPLETE="bash_source").stdout
    assert completed("zoo sh") == ["show"]
    assert set(COMMANDS) <= set(completed("zoo "))
    assert completed("zoo show resnet18") == ["resnet18", "resnet18d"]
    assert completed("zoo stages alex") == ["alexnet"]
    assert completed("zoo show resnet18.a") == [f"resnet18.a{n}_in1k" for n in (1, 2, 3)]
    assert completed("zoo plugins li") == ["list"]
    assert "--json" in completed("zoo list --j")


# --- the table of commands -----------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str) -> None:
    done = zoo(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: zoo {name} ")


def test_help_imports_no_command() -> None:
    code = "import sys; from zoo_core.cli import main; main(['--help']); "
    code += "print(*sys.modules, file=sys.stderr)"
    command, env = [sys.executable, "-c", code], environment()
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert not {module for module, _ in COMMANDS.values()} & set(done.stderr.split())
