"""Third-party plugins, good and bad, as pip leaves them, seen by a new process.

Each is a module and a dist-info folder; test_isolation.py has real packages.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support.places import ROOT
from support.third_parties import FACTS, NET, python, zoo

from zoo_core.plugins.manager import HOOKS

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Install a distribution: its module's code, perhaps its manifest, and its entry point."""

    def put(name: str, code: str, manifest: str = "", entry: str = "") -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        if manifest:
            (tmp_path / f"{module}.toml").write_text(manifest)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[zoo_core]\n{entry or module} = {module}\n")

    return put


def plugin(path: Path, name: str, **environment: str) -> dict:
    """What `zoo plugins` says of one plugin."""
    done = zoo(path, "plugins", "--json", **environment)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}[name]


def faults(path: Path, name: str) -> str:
    """What is broken about a plugin, and nothing else is; the models are still listed."""
    rows = json.loads(zoo(path, "plugins", "--json").stdout)
    assert [row["name"] for row in rows if not row["ok"]] == [name]
    listed = zoo(path, "list")
    assert listed.returncode == 0
    assert "resnet50 " in listed.stdout
    return " ".join(plugin(path, name)["faults"])


# --- the hooks -----------------------------------------------------------------------------------


def test_every_hook_has_a_test() -> None:
    here = Path(__file__).read_text()
    assert [hook for hook in HOOKS if f"def test_hook_{hook}" not in here] == []


def test_hook_zoo_architectures(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET, FACTS.format(name="acmenet8"))
    code = """
import torch, zoo_core as zoo
model = zoo.create("acmenet8", num_classes=3, width=2)
print(list(model.chain), tuple(model(torch.zeros(1, 3, 8, 8)).shape), model.info.distribution)
"""
    done = python(tmp_path, "-c", code)
    assert done.stdout.strip() == "['stem', 'head'] (1, 3) zoo-acme", done.stderr


def test_hook_zoo_manifests(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET, FACTS.format(name="acmenet8"))
    rows = json.loads(zoo(tmp_path, "list", "--json").stdout)
    assert rows[-1]["name"] == "acmenet8"
    assert rows[-1]["distribution"] == "zoo-acme"
    assert not rows[-1]["official"]
    assert zoo(tmp_path, "list").stdout.splitlines()[-1].endswith("zoo-acme")
    shown = zoo(tmp_path, "show", "acmenet8").stdout
    assert "acmenet: one convolution" in shown
    assert "width=4" in shown
    assert "zoo-acme (plugin zoo_acme)" in shown
    stages = json.loads(zoo(tmp_path, "stages", "acmenet8", "--json").stdout)
    assert [(row["stage"], row["output"], row["params"]) for row in stages] == [
        ("stem", [144], 112),
        ("head", [10], 1450),
    ]


def test_hook_zoo_regularizers(tmp_path: Path, install: Install) -> None:
    code = """
from zoo_core import RegularizerSpec, hookimpl

@hookimpl
def zoo_regularizers():
    return [RegularizerSpec("acme-noise", make), RegularizerSpec("l2", make)]

def make(): ...
"""
    install("zoo-acme", code)
    ask = """
from zoo_core.plugins.catalogue import catalogue
found = catalogue().regularizers()
print(list(found), found["l2"].factory.__module__)
"""
    done = python(tmp_path, "-c", ask)
    assert "'acme-noise'" in done.stdout, done.stderr
    assert "zoo-acme:l2" in done.stdout
    assert "zoo_regularizers" in done.stdout  # an official name cannot be taken over
    assert 'the regularizer "l2", which zoo-core offers too' in faults(tmp_path, "zoo_acme")


SOURCE = """
from pathlib import Path
from zoo_core import Fetched, WeightSource, hookimpl

@hookimpl
def zoo_weight_sources():
    return [WeightSource("SCHEME", fetch)]

def fetch(reference, filename, *, cache, offline, progress):
    return Fetched(Path("/acme") / reference)
"""


def test_hook_zoo_weight_sources(tmp_path: Path, install: Install) -> None:
    install("a-acme", SOURCE.replace("SCHEME", "acme"))
    install("a-file", SOURCE.replace("SCHEME", "file"))
    ask = """
from zoo_core.plugins.catalogue import catalogue
print(*(catalogue().source(scheme).fetch.__module__ for scheme in ("acme", "file")))
"""
    done = python(tmp_path, "-c", ask)
    assert done.stdout.split() == ["a_acme", "zoo_files"], done.stderr
    assert 'the weight source "file"' in faults(tmp_path, "a_file")


def test_two_third_party_sources_of_one_scheme(tmp_path: Path, install: Install) -> None:
    install("a-acme", SOURCE.replace("SCHEME", "acme"))
    install("b-acme", SOURCE.replace("SCHEME", "acme"))
    ask = "from zoo_core.plugins.catalogue import catalogue; catalogue().source('acme')"
    said = python(tmp_path, "-c", ask).stderr
    assert 'The weight source "acme:" is offered by a-acme and b-acme.' in said


COMMANDS = """
import click
from zoo_core import hookimpl

@hookimpl
def zoo_commands(group):
    group.add_command(hello)
    TAKEN

@click.command()
def hello():
    "Greet."
    click.echo("hello from acme")
"""


def test_hook_zoo_commands(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", COMMANDS.replace("TAKEN", ""))
    assert zoo(tmp_path, "hello").stdout == "hello from acme\n"
    assert zoo(tmp_path, "hello", "--debug").returncode == 0
    assert "hello         Greet." in zoo(tmp_path, "--help").stdout
    done = zoo(tmp_path, "helo")
    assert done.returncode == 2
    assert "hello" in done.stderr


def test_a_command_cannot_replace_another(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", COMMANDS.replace("TAKEN", 'group.add_command(hello, "list")'))
    assert 'the command "list" is taken' in faults(tmp_path, "zoo_acme")
    assert "resnet50" in zoo(tmp_path, "list").stdout
    assert zoo(tmp_path, "hello").returncode == 0


def test_ctrl_c_in_a_command(tmp_path: Path, install: Install) -> None:
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # also in the background
    interrupt = f"import os, signal; {heard}; os.kill(os.getpid(), signal.SIGINT)"
    code = COMMANDS.replace('click.echo("hello from acme")', interrupt)
    install("zoo-acme", code.replace("TAKEN", ""))
    done = zoo(tmp_path, "hello")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


def test_a_command_that_fails(tmp_path: Path, install: Install) -> None:
    code = COMMANDS.replace("TAKEN", "").replace('click.echo("hello from acme")', "return ERROR")
    for error, message in (
        ("1 / 0", "Error: unexpected ZeroDivisionError: division by zero"),
        ("open('no/such/file')", "Error: No such file or directory: no/such/file"),
        ("click.get_current_context().exit(3)", ""),
    ):
        install("zoo-acme", code.replace("ERROR", error))
        done = zoo(tmp_path, "hello")
        assert done.returncode == (1 if message else 3)
        assert "".join(done.stderr.splitlines()[:1]) == message


# --- broken plugins ------------------------------------------------------------------------------


def test_it_raises_on_import(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", "import no_such_module\n")
    expected = "does not import: ModuleNotFoundError: No module named 'no_such_module'"
    assert expected in faults(tmp_path, "zoo_acme")
    assert "Broken plugin: zoo_acme (zoo-acme 1.2)." in zoo(tmp_path, "list").stderr
    assert "Traceback" not in zoo(tmp_path, "plugins").stdout
    assert "import no_such_module" in zoo(tmp_path, "plugins", "--debug").stdout
    unknown = zoo(tmp_path, "show", "acmenet8")
    assert unknown.returncode == 1
    assert "zoo_acme (zoo-acme 1.2) is broken and might have had it" in unknown.stderr


@pytest.mark.parametrize("code", ["raise SystemExit", "1 +", "raise RuntimeError"])
def test_it_does_not_import(tmp_path: Path, install: Install, code: str) -> None:
    install("zoo-acme", code)
    assert "does not import" in faults(tmp_path, "zoo_acme")


def test_a_hook_that_does_not_exist(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET.replace("zoo_manifests", "zoo_manifest"), FACTS.format(name="acmenet8"))
    found = faults(tmp_path, "zoo_acme")
    assert 'declares a hook "zoo_manifest" that does not exist. Closest: "zoo_manifests"' in found
    assert plugin(tmp_path, "zoo_acme")["hooks"] == ["zoo_architectures"]


def test_hookimpl_forgotten(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET.replace("@hookimpl", ""), FACTS.format(name="acmenet8"))
    assert "adds nothing: none of its functions is a @hookimpl" in faults(tmp_path, "zoo_acme")


def test_hookimpl_forgotten_once(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET.replace("@hookimpl", "", 1), FACTS.format(name="acmenet8"))
    told = faults(tmp_path, "zoo_acme")
    assert "has zoo_architectures, which does nothing without @hookimpl." in told


def test_a_hook_that_raises(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET.replace("return [Path", "return 1 / 0, [Path"))
    expected = "fails in zoo_manifests: ZeroDivisionError: division by zero"
    assert expected in faults(tmp_path, "zoo_acme")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("[{}]", "returns a list with dict from zoo_architectures, not Architecture"),
        ("'acmenet'", "returns str from zoo_architectures, not a list"),
        ("7", "returns int from zoo_architectures, not a list"),
        ("None", "returns nothing from zoo_architectures, not a list"),
    ],
)
def test_a_wrong_type(tmp_path: Path, install: Install, returned: str, message: str) -> None:
    code = "from zoo_core import hookimpl\n\n@hookimpl\ndef zoo_architectures():\n    return "
    install("zoo-acme", f"{code}{returned}\n")
    assert message in faults(tmp_path, "zoo_acme")


OFFERS = """
from zoo_core import Architecture, RegularizerSpec, WeightSource, hookimpl

def make(**given): ...

@hookimpl
def {hook}({takes}):
    {body}
"""


@pytest.mark.parametrize(
    ("hook", "item", "message"),
    [
        ("zoo_architectures", "Architecture(make, 'own', make)", "whose name is a function, not a"),
        ("zoo_architectures", "Architecture('own', None, make)", "whose build is a NoneType, not"),
        (
            "zoo_architectures",
            "Architecture('my net', make, make)",
            'whose name is "my net", not a',
        ),
        ("zoo_regularizers", "RegularizerSpec(make, 'own')", "whose name is a function, not a"),
        ("zoo_regularizers", "RegularizerSpec('own', make, options=('a',))", "not Option records"),
        ("zoo_weight_sources", "WeightSource(make, 'own')", "whose scheme is a function, not a"),
    ],
)
def test_a_field_of_another_kind(
    tmp_path: Path, install: Install, hook: str, item: str, message: str
) -> None:
    install("zoo-acme", OFFERS.format(hook=hook, takes="", body=f"return [{item}]"))
    told = faults(tmp_path, "zoo_acme")
    assert f" from {hook} whose " in told and message in told
    assert zoo(tmp_path, "regularizers").returncode == 0


def test_a_command_that_is_none(tmp_path: Path, install: Install) -> None:
    body = "group.commands['bogus'] = 'text'"
    install("zoo-acme", OFFERS.format(hook="zoo_commands", takes="group", body=body))
    assert 'adds "bogus", which is no command of click.' in faults(tmp_path, "zoo_acme")
    assert zoo(tmp_path, "--help").returncode == 0


def test_modules_that_do_strange_things(tmp_path: Path, install: Install) -> None:
    """Imports on demand, as of large packages; and a panic, which is no Exception."""
    lazy = "import importlib\n\ndef __getattr__(name):\n    return importlib.import_module(name)\n"
    install("zoo-acme", NET + lazy, FACTS.format(name="acmenet8"))
    assert plugin(tmp_path, "zoo_acme")["faults"] == []
    install("zoo-panic", "raise BaseException('panic')\n")
    assert "does not import: BaseException: panic" in faults(tmp_path, "zoo_panic")
    assert zoo(tmp_path, "show", "acmenet8").returncode == 0


def test_halves_of_packages(tmp_path: Path, install: Install) -> None:
    """What an interrupted pip leaves, and a list of entry points that is none."""
    install("zoo-acme", NET, FACTS.format(name="acmenet8"))
    half = tmp_path / "zoo_half-1.dist-info"
    half.mkdir()
    (half / "entry_points.txt").write_text("[zoo_core]\nzoo_half = zoo_half\n")
    assert "does not import: ModuleNotFoundError" in faults(tmp_path, "zoo_half")
    install("zoo-odd", "")
    (tmp_path / "zoo_odd-1.2.dist-info" / "entry_points.txt").write_text("[zoo_core]\nzoo_odd\n")
    done = zoo(tmp_path, "plugins")
    assert done.returncode == 0 and "zoo-odd" in done.stdout
    assert "cannot be read" in " ".join(plugin(tmp_path, "zoo-odd")["faults"])
    assert zoo(tmp_path, "show", "acmenet8").returncode == 0


def test_a_missing_manifest(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET)
    expected = "zoo_acme.toml: cannot be read: No such file or directory"
    assert expected in faults(tmp_path, "zoo_acme")


def test_a_model_that_nothing_installed_builds(tmp_path: Path, install: Install) -> None:
    manifest = FACTS.format(name="acmenet8").replace('"acmenet"', '"acmenett"')
    install("zoo-acme", NET, manifest)
    expected = 'No installed plugin builds the architecture "acmenett" of acmenet8.'
    assert f'{expected} Closest: "acmenet"' in faults(tmp_path, "zoo_acme")
    assert "acmenett (not installed)" in zoo(tmp_path, "show", "acmenet8").stdout
    listed = zoo(tmp_path, "list")
    assert "acmenet8" in listed.stdout and "Broken plugin: zoo_acme" in listed.stderr
    done = zoo(tmp_path, "stages", "acmenet8")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No installed plugin builds")


def test_a_config_that_build_does_not_take(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET, FACTS.format(name="acmenet8") + "config = { depth = 3 }\n")
    assert zoo(tmp_path, "show", "acmenet8").returncode == 0
    done = zoo(tmp_path, "stages", "acmenet8")
    assert done.returncode == 1
    assert "depth" in done.stderr
    assert "Traceback" not in done.stderr


def test_stages_without_a_head(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET.replace('Stage("head"', 'Stage("tail"'), FACTS.format(name="acmenet8"))
    done = zoo(tmp_path, "stages", "acmenet8")
    assert done.returncode == 1
    assert 'must have different names and end with "head": stem, tail' in done.stderr


def test_what_a_plugin_prints_stays_out_of_json(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", "print('hello')\n" + NET, FACTS.format(name="acmenet8"))
    for words in (["list"], ["show", "acmenet8"], ["plugins"]):
        json.loads(zoo(tmp_path, *words, "--json").stdout)


# --- names that clash ----------------------------------------------------------------------------


def test_an_official_name_cannot_be_taken_over(tmp_path: Path, install: Install) -> None:
    install("a-acme", NET, FACTS.format(name="resnet18"))
    expected = 'offers the model "resnet18", which zoo-core offers too: write "a-acme:resnet18"'
    assert expected in faults(tmp_path, "a_acme")
    official = json.loads(zoo(tmp_path, "show", "resnet18", "--json").stdout)
    assert (official["distribution"], official["params"]) == ("zoo-core", 11_689_512)
    theirs = json.loads(zoo(tmp_path, "show", "a-acme:resnet18", "--json").stdout)
    assert (theirs["name"], theirs["params"]) == ("a-acme:resnet18", 1_602)
    explicit = json.loads(zoo(tmp_path, "show", "zoo-core:resnet18", "--json").stdout)
    assert explicit["distribution"] == "zoo-core"


def test_two_plugins_with_one_entry_point_name(tmp_path: Path, install: Install) -> None:
    install("a-acme", NET, FACTS.format(name="anet"), entry="acme")
    install("b-acme", NET, FACTS.format(name="bnet"), entry="acme")
    rows = json.loads(zoo(tmp_path, "plugins", "--json").stdout)
    found = [(row["distribution"], row["ok"]) for row in rows if row["name"] == "acme"]
    assert found == [("a-acme", True), ("b-acme", True)]
    names = [row["name"] for row in json.loads(zoo(tmp_path, "list", "--json").stdout)]
    assert names[-2:] == ["anet", "bnet"]


def test_an_unknown_distribution(tmp_path: Path, install: Install) -> None:
    install("zoo-acme", NET, FACTS.format(name="acmenet8"))
    done = zoo(tmp_path, "show", "zoo-acmee:acmenet8")
    assert done.returncode == 1
    assert '"zoo-acme:acmenet8"' in done.stderr


# --- which plugins are loaded --------------------------------------------------------------------


def test_zoo_plugins_chooses_third_parties(tmp_path: Path, install: Install) -> None:
    install("a-acme", NET, FACTS.format(name="anet"))
    install("b-acme", "import no_such_module")

    def third_parties(chosen: str) -> list[str]:
        rows = json.loads(zoo(tmp_path, "plugins", "--json", ZOO_PLUGINS=chosen).stdout)
        assert "zoo_resnet" in [row["name"] for row in rows]
        return [row["name"] for row in rows if not row["built_in"]]

    assert third_parties("") == []
    assert third_parties("a_acme") == ["a_acme"]
    assert third_parties("a_acme, b_acme") == ["a_acme", "b_acme"]


def test_zoo_plugins_with_a_name_that_is_not_installed(tmp_path: Path, install: Install) -> None:
    install("a-acme", NET, FACTS.format(name="anet"))
    missing = plugin(tmp_path, "a_acm", ZOO_PLUGINS="a_acm")
    assert missing["faults"] == [
        'is named in ZOO_PLUGINS, but no such plugin is installed. Closest: "a_acme".'
    ]
    done = zoo(tmp_path, "list", ZOO_PLUGINS="a_acm")
    assert done.returncode == 0
    assert "anet" not in done.stdout


# --- the built-in ones ---------------------------------------------------------------------------


def test_every_folder_of_plugins_has_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["entry-points"]["zoo_core"]
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    assert folders == set(declared)
    assert all(name == value for name, value in declared.items())
    entries = entry_points(group="zoo_core")
    installed = {entry.name for entry in entries if entry.dist and entry.dist.name == "zoo-core"}
    assert installed == folders, "the installed entry points are old: pip install -e . again"


def test_the_built_in_plugins_are_sound(tmp_path: Path) -> None:
    rows = json.loads(zoo(tmp_path, "plugins", "--json").stdout)
    assert [row["faults"] for row in rows if not row["ok"]] == []
    assert all(row["distribution"] == "zoo-core" for row in rows)
