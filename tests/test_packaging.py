"""A wheel built from this tree works without it: code, plugins, registry and bundled weights."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from zoo_core import __version__
from zoo_core.plugins.catalogue import catalogue

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path) -> str:
    dropped = ("ZOO_", "PYTHON", "VIRTUAL_ENV")
    env = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
    run(*build, "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with only the wheel in it.

    torch and the rest come from this one's packages, after its own. A path in a .pth file is
    searched, but its own .pth files are not read: so the checkout is out of sight.
    """
    folder = tmp_path_factory.mktemp("empty") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run(python, "-c", ask, cwd=folder).strip())
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "others.pth").write_text("\n".join(sorted(others)) + "\n")
    return folder


def test_what_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        "zoo_core/registry.toml",
        "zoo_core/py.typed",
        "zoo_lenet/weights/lenet5.mnist5k.safetensors",
    }
    for folder in ("zoo_core", "plugins"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(path.relative_to(ROOT).as_posix().removeprefix("plugins/"))
    assert expected - inside == set()
    extra = {name for name in inside - expected if ".dist-info/" not in name}
    assert extra == set(), "nothing else is shipped"
    for model in catalogue().models():
        for weights in model.weights.values():
            kind, _, path = weights.source.partition("://")
            of_another = weights.install is not None  # a package that the error names
            assert kind != "pkg" or of_another or path in inside


def test_it_works_without_the_checkout(empty: Path, tmp_path: Path) -> None:
    zoo, python = empty / "bin" / "zoo", empty / "bin" / "python"
    ask = "import zoo_core as zoo, zoo_resnet; print(zoo.__file__, zoo_resnet.__file__)"
    files = run(python, "-c", ask, cwd=tmp_path).split()
    version = run(python, "-c", "import zoo_core; print(zoo_core.__version__)", cwd=tmp_path)
    assert all(file.startswith(str(empty)) for file in files)
    assert version.strip() == __version__

    ours = run(sys.executable, "-m", "zoo_core", "list", cwd=tmp_path)
    assert run(zoo, "list", cwd=tmp_path) == ours
    assert "61,706" in run(zoo, "show", "lenet5", cwd=tmp_path)
    rows = run(zoo, "plugins", cwd=tmp_path).splitlines()[1:]
    assert len(rows) == len(list((ROOT / "plugins").glob("*/__init__.py")))
    assert all(row.split()[4] == "ok" for row in rows)


def test_the_bundled_weights_work_without_the_checkout(empty: Path, tmp_path: Path) -> None:
    code = """
import torch, zoo_core as zoo
model = zoo.create("lenet5", pretrained=True)
print(*model(torch.zeros(1, 1, 32, 32)).shape)
"""
    assert run(empty / "bin" / "python", "-c", code, cwd=tmp_path).split() == ["1", "10"]
