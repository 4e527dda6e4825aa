"""One broken plugin never breaks the rest: real packages, installed by pip, seen by new processes.

Each goes wrong in its own way. They are loaded one at a time beside a sound one, and all at once.
test_entry_points.py has finer ways to go wrong, without pip.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.third_parties import FACTS, NET, install, python, write_project, zoo


@dataclass(frozen=True)
class Package:
    """The distribution `zoo-NAME` with a model `NAME8`, and what zoo should say of it.

    `model`: another name for its model. `manifest`: what follows its facts. `lists`: whether its
    model is listed all the same.
    """

    name: str
    code: str
    faults: tuple[str, ...] = ()
    model: str = ""
    manifest: str = ""
    needs: str = "zoo-core"
    lists: bool = True

    def written(self, folder: Path) -> Path:
        facts = FACTS.format(name=self.model or f"{self.name}8") + self.manifest
        return write_project(folder, f"zoo-{self.name}", self.code, facts, self.needs)


NEWER = "was built for a newer zoo-core: its metadata ask for zoo-core>=9, and this is "
UPGRADE = "Try: pip install --upgrade zoo-core"
CLASH = 'offers the model "clash8", which {} offers too: write "{}:clash8".'

PACKAGES = (
    Package("fine", NET),
    Package("heavy", "import torch\n" + NET),
    Package(
        "raising",
        NET + "raise RuntimeError('no such luck')",
        ("does not import: RuntimeError: no such luck",),
        lists=False,
    ),
    Package(
        "leaving",
        NET + "import sys; sys.exit(3)",
        ("does not import: SystemExit: 3",),
        lists=False,
    ),
    Package(
        "misspelt",
        NET.replace("zoo_manifests", "zoo_manifest"),
        ('declares a hook "zoo_manifest" that does not exist. Closest: "zoo_manifests"',),
        lists=False,
    ),
    Package(
        "newhook",
        NET + "\n@hookimpl\ndef zoo_adapters(): ...\n",
        ('declares a hook "zoo_adapters" that does not exist.', NEWER, UPGRADE),
        needs="zoo-core>=9",
    ),
    Package(
        "newargument",
        NET.replace("def zoo_manifests()", "def zoo_manifests(locale)"),
        ('asks for "locale" in zoo_manifests, which has no arguments.', NEWER, UPGRADE),
        needs="zoo-core>=9",
        lists=False,
    ),
    Package(
        "newname",
        "from zoo_core import Adapter\n",
        ("does not import: ImportError: cannot import name 'Adapter'", NEWER, UPGRADE),
        needs="zoo-core>=9",
        lists=False,
    ),
    Package("clash-a", NET, (CLASH.format("zoo-clash-b", "zoo-clash-a"),), model="clash8"),
    Package("clash-b", NET, (CLASH.format("zoo-clash-a", "zoo-clash-b"),), model="clash8"),
    Package(
        "manifest",
        NET,
        ("has a broken manifest", "zoo_manifest.toml, [models.manifest8]: unknown key"),
        manifest='licence = "mit"\n',
        lists=False,
    ),
    Package(
        "wrong",
        NET.replace("return [Path(", "return ['models.toml', Path("),
        ("returns a list with str from zoo_manifests, not Path.",),
    ),
    Package("failing", NET.replace("from torch import nn", "raise OSError('no disk')")),
    Package("quitting", NET.replace("from torch import nn", "raise SystemExit(3)")),
)
BROKEN = [package for package in PACKAGES if package.faults]
# one that fails when it is imported, registered, asked, read and compared with others
RAISED = ("raising", "newargument", "wrong", "manifest", "clash-a")
STRICT = [package for package in PACKAGES if package.name in RAISED]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, as pip leaves them."""
    folder = tmp_path_factory.mktemp("third_parties")
    install([package.written(folder / "projects") for package in PACKAGES], folder / "site")
    return folder / "site"


def chosen(package: Package) -> dict[str, str]:
    """The environment in which only one of them and the sound one are loaded."""
    names = [p.name for p in PACKAGES if p.name.startswith("clash") or p is package]
    names = names if package.name.startswith("clash") else [package.name]
    return {"ZOO_PLUGINS": ",".join(f"zoo_{n}".replace("-", "_") for n in ("fine", *names))}


@pytest.mark.parametrize("package", BROKEN, ids=lambda package: package.name)
def test_what_zoo_says_of_it(installed: Path, package: Package) -> None:
    listed = zoo(installed, "list", **chosen(package))
    assert listed.returncode == 0, listed.stderr
    models = [line.split(" ")[0].rpartition(":")[2] for line in listed.stdout.splitlines()]
    assert {"resnet50", "fine8"} <= {*models}
    assert package.lists == ((package.model or f"{package.name}8") in models)
    assert f" (zoo-{package.name} 1.2)" in listed.stderr
    assert 'Run "zoo plugins"' in listed.stderr

    done = zoo(installed, "plugins", "--json", **chosen(package))
    assert done.returncode == 0, done.stderr
    rows = {row["distribution"]: row for row in json.loads(done.stdout)}
    row = rows[f"zoo-{package.name}"]
    assert (row["ok"], row["version"]) == (False, "1.2")
    assert [fault for fault in package.faults if fault not in " ".join(row["faults"])] == []
    assert rows["zoo-fine"]["ok"] and rows["zoo-core"]["ok"]


@pytest.mark.parametrize("package", STRICT, ids=lambda package: package.name)
def test_strict_raises_it(installed: Path, package: Package) -> None:
    done = zoo(installed, "plugins", **chosen(package), ZOO_STRICT="1")
    assert (done.returncode, done.stdout) == (1, "")
    first, *hint = done.stderr.splitlines()
    assert first.startswith("Error: Plugin zoo_") and f" (zoo-{package.name} 1.2) " in first
    assert package.faults[0] in first
    assert (NEWER in package.faults) == (NEWER in " ".join(hint))


def test_two_that_clash(installed: Path) -> None:
    only = {"ZOO_PLUGINS": "zoo_clash_a,zoo_clash_b"}
    bare = zoo(installed, "show", "clash8", **only)
    assert bare.returncode == 1
    assert bare.stderr.splitlines() == [
        'Error: More than one plugin offers "clash8".',
        'Write "zoo-clash-a:clash8" or "zoo-clash-b:clash8".',
    ]
    for owner in ("zoo-clash-a", "zoo-clash-b"):
        shown = json.loads(zoo(installed, "show", f"{owner}:clash8", "--json", **only).stdout)
        assert shown["distribution"] == owner


ALL_AT_ONCE = """
from zoo_core.cli import main

assert main(["plugins", "--json"]) == 0
print("---")
assert main(["list", "--json"]) == 0
print("---")
assert main(["stages", "quitting8"]) == 1

import torch, zoo_core as zoo
for name in ("lenet5", "fine8", "heavy8", "zoo-clash-b:clash8", "newhook8"):
    model = zoo.create(name)
    print(name, *model(torch.zeros(2, *model.input.size)).shape)
for name in ("failing8", "quitting8"):
    try:
        zoo.create(name)
    except zoo.ZooError as error:
        print(error.message)
"""


def test_all_at_once(installed: Path) -> None:
    """In one process, since one of them makes each take long."""
    done = python(installed, "-c", ALL_AT_ONCE)
    assert done.returncode == 0, done.stderr
    plugins, models, created = done.stdout.split("---\n")

    rows = json.loads(plugins)
    broken = {row["distribution"] for row in rows if not row["ok"]}
    assert broken == {f"zoo-{package.name}" for package in BROKEN}
    slow = {row["name"]: row["slow"] for row in rows if row["slow"]}
    assert slow == {"zoo_heavy": "imports torch"}

    names = [row["name"] for row in json.loads(models)]
    clash = ["zoo-clash-a:clash8", "zoo-clash-b:clash8"]
    others = [f"{package.name}8" for package in PACKAGES if package.lists and not package.model]
    assert names[-len(clash + others) :] == sorted(clash + others)

    what = 'The architecture "acmenet" of {} cannot be built: {}.'
    failing = what.format("zoo_failing (zoo-failing 1.2)", "OSError: no disk")
    quitting = what.format("zoo_quitting (zoo-quitting 1.2)", "SystemExit: 3")
    sound = ("lenet5", "fine8", "heavy8", "zoo-clash-b:clash8", "newhook8")
    assert created.splitlines() == [*(f"{name} 2 10" for name in sound), failing, quitting]
    assert done.stderr.splitlines()[-2:] == [
        f"Error: {quitting}",
        '"zoo plugins check zoo_quitting" says more, --debug shows where.',
    ]
