"""Names that hold escape sequences, line breaks and markup: in no command are they obeyed."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import tomli_w
from PIL import Image
from support.hostile import HOSTILE, OBEYED, SHOWN, typed

import zoo_core as zoo

NAME = HOSTILE.replace("/", "")  # of a file
SEEN = SHOWN.replace("/", "")
BOTH = pytest.mark.parametrize("terminal", [False, True], ids=["plain", "terminal"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes and a run with such names, and another run whose recipe is made of them."""
    folder = tmp_path_factory.mktemp("hostile")
    for number in range(2):
        kind = folder / "data" / f"{number}{NAME}"
        kind.mkdir(parents=True)
        for shade in range(5):
            file = BytesIO()
            Image.new("L", (28, 28), 100 * number + shade).save(file, "png")
            (kind / f"{shade}{NAME}.png").write_bytes(file.getvalue())
    (folder / "data" / f"0{NAME}" / f"bad{NAME}.png").write_bytes(b"no picture")
    words = ["--epochs", "1", "--freeze-until", "head", "--skip-unreadable"]
    run = folder / "runs" / f"1{NAME}"
    done = typed("finetune", "lenet5", "--data", f"folder:{folder / 'data'}", "--out", run, *words)
    assert done.returncode == 0 and f"The run is in {run.parent}/1{SEEN}" in done.stdout
    assert f"bad{SEEN}" in done.stderr
    recipe = {
        "schema": 1,
        "model": {"reference": HOSTILE},
        "data": {"spec": HOSTILE},
        "train": {"freeze_until": HOSTILE, "regularizers": [HOSTILE], "epochs": 3, HOSTILE: 1},
    }
    other = folder / "runs" / f"2{NAME}"
    other.mkdir()
    (other / "recipe.toml").write_text(tomli_w.dumps(recipe))
    return folder


@BOTH
def test_runs_are_a_row_each(place: Path, terminal: bool) -> None:
    first, second = sorted((place / "runs").iterdir())
    lines = typed("runs", place / "runs", terminal=terminal).stdout.splitlines()
    assert sum(line.startswith(str(place)) for line in lines) == 2
    assert len(lines) == 3 or terminal  # where a cell has no room it folds
    sides = typed("runs", first, second, terminal=terminal).stdout
    assert "".join(f"train.{SHOWN}".split()) in "".join(sides.split())


def test_csv_has_a_line_for_each_and_json_what_is_true(place: Path) -> None:
    lines = typed("runs", place / "runs", "--csv").stdout.splitlines()
    assert len(lines) == 3
    assert list(csv.reader(lines))[2][1].startswith(SHOWN)
    for terminal in (False, True):
        said = json.loads(typed("runs", place / "runs", "--json", terminal=terminal).stdout)
        assert [one["path"] for one in said] == [f"{place}/runs/{n}{NAME}" for n in (1, 2)]
        assert said[1]["model"] == HOSTILE


@BOTH
def test_a_run_is_used_as_any_other(place: Path, terminal: bool, tmp_path: Path) -> None:
    run, data = place / "runs" / f"1{NAME}", place / "data"
    done = typed("predict", run, data, "--skip-unreadable", terminal=terminal)
    assert done.returncode == 0 and "Skipped 1" in done.stderr
    assert SEEN.split()[0] in done.stdout and "[link=http:e]" in done.stdout
    said = typed("predict", run, data, "--skip-unreadable", "--json", terminal=terminal).stdout
    answers = json.loads(said)
    assert {one["label"] for one in answers} == {f"0{NAME}", f"1{NAME}"}
    assert all(Path(one["picture"]).is_file() for one in answers)
    table = typed("predict", run, data, "--skip-unreadable", "--csv", terminal=terminal).stdout
    assert len(table.splitlines()) == 11
    assert typed("predict", run, data, terminal=terminal).returncode == 1
    written = tmp_path / f"{NAME}.csv"
    assert typed("evaluate", run, "--csv", written, terminal=terminal).returncode == 0
    assert len(written.read_text().splitlines()) == 3
    assert typed("stages", run, terminal=terminal).returncode == 0
    assert typed("export", run, tmp_path / NAME, terminal=terminal).returncode == 1


WRONG = [
    ["show"], ["list"], ["stages"], ["predict", "lenet5"], ["runs"], ["fetch"], ["lock"],
    ["regularizers"], ["plugins", "check"], ["plugins", "new"], ["plugins", "uninstall", "-y"], [],
    ["finetune", "--recipe"], ["finetune", "--resume"], ["convert", "--model", "lenet5"],
    ["finetune", "lenet5", "--data"],
    *(["finetune", "lenet5", "--data", "digits", option] for option in (
        "-r", "--freeze-until", "--train", "--schedule", "--tracker", "--optimizer", "--config")),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_errors(words: list[str], terminal: bool) -> None:
    forms = [HOSTILE]
    if len(words) < 2:
        forms += [f"./{HOSTILE}", f"hf://a/{HOSTILE}"]
    if words[-1:] == ["--data"]:
        forms += [f"{format}:{HOSTILE}" for format in ("folder", "csv", "idx", "torch/mnist")]
    for form in forms:
        done = typed(*words, form, terminal=terminal)
        assert done.returncode != 0 or words == ["list"]
        assert r"\x1b]0;owned\x07" in done.stderr
    if words == ["show"]:
        assert f'Error: No model "{SHOWN}' in done.stderr or "hf://" in form
        assert "Traceback" in typed("--debug", "show", HOSTILE, terminal=terminal).stderr


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """Its bytes are shown, also in the recipe; nothing is lost after the work."""
    for name in ("a", "b"):
        (tmp_path / "p\udc80" / name).mkdir(parents=True)
        for shade in range(5):
            picture = Image.new("L", (28, 28), 50 * shade + 9 * (name == "b"))
            picture.save(tmp_path / "p\udc80" / name / f"{shade}.png")
    words = ["--data", f"folder:{tmp_path}/p\udc80", "--out", tmp_path / "run", "--epochs", "1"]
    done = typed("finetune", "lenet5", "--freeze-until", "head", *words)
    assert done.returncode == 0, done.stderr
    assert rf"folder:{tmp_path}/p\x80" in typed("runs", tmp_path).stdout
    assert typed("predict", tmp_path / "run", tmp_path / "p\udc80").returncode == 0


def test_a_real_terminal(place: Path) -> None:
    """Colours are all that it is told."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "zoo_core", "runs", str(place / "runs")]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "400"}
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said = b""
        while piece := _read(ours):
            said += piece
    os.close(ours)
    text = said.decode()
    assert process.returncode == 0 and "\x1b[36m" in text and SHOWN in text
    for colour in ("\x1b[36m", "\x1b[1m", "\x1b[0m", "\r\n"):
        text = text.replace(colour, "")
    assert not OBEYED.search(text), ascii(text)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


def test_the_report_shows_names_as_text(place: Path) -> None:
    page = (place / "runs" / f"1{NAME}" / "report.html").read_text(encoding="utf-8")
    assert not OBEYED.search(page.replace("\t", " "))
    assert "<script" not in page and "&lt;script&gt;alert`1`|&#39;&#34;&amp;amp;" in page
    assert r"\u202egpj\u2028" in page


# --- plugins -------------------------------------------------------------------------------------

MODULE = """
import sys
from pathlib import Path
from zoo_core import hookimpl
print({text!r}); print({text!r}, file=sys.stderr)

@hookimpl
def zoo_manifests():
    print({text!r})
    return [Path(__file__).with_suffix(".toml")]

@hookimpl
def zoo_regularizers():
    raise ValueError({text!r})

@hookimpl
def zoo_commands(group):
    import click
    group.add_command(click.Command({text!r}, help={text!r}))
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    facts = folder / "zoo_evil-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-evil\nVersion: 1.0\n")
    name = "e\x1b]0;owned\x07[red]"
    (facts / "entry_points.txt").write_text(f"[zoo_core]\n{name} = zoo_evil\n")
    (folder / "zoo_evil.py").write_text(MODULE.format(text=HOSTILE))
    weights = {
        "source": "hf://a/b@" + 40 * "a",
        "license": HOSTILE,
        "recipe": HOSTILE,
        "labels": [HOSTILE] * 2,
        "metrics": {f"{HOSTILE}.top1": 1.0},
        "default": True,
    }
    model = {"architecture": "lenet5", "summary": HOSTILE, "paper": HOSTILE, "num_classes": 2}
    model["weights"] = {"first": weights}
    manifest = {"schema": 1, "models": {"evilnet": model}}
    (folder / "zoo_evil.toml").write_text(tomli_w.dumps(manifest))
    return folder


CALL = "import sys; from zoo_core.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    "words", ["list evil*", "show evilnet", "plugins --debug", "--help", "list x"]
)
def test_a_plugin_says_and_is_called_what_it_likes(plugin: Path, words: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), *sys.path])}
    env.pop("ZOO_PLUGINS", None)
    command = [sys.executable, "-c", CALL, *words.split()]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, err
    assert not OBEYED.search((out + err).replace("\t", "")), ascii(out + err)
    assert r"x\x1b]0;owned\x07" in err  # what it printed, in its own lines
    if words != "list x":
        assert r"\x1b]0;owned\x07" in out
    if "--debug" not in words:  # a traceback has the lines of its error
        assert not [line for line in out.splitlines() if line.startswith("owned")]


def test_python_says_the_same() -> None:
    with pytest.raises(zoo.UnknownName) as caught:
        zoo.create(HOSTILE)
    assert not OBEYED.search(str(caught.value)) and "\n" not in str(caught.value)
    assert SHOWN in caught.value.message
