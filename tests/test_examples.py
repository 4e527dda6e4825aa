"""The packages in docs/examples, installed by pip and tested as third parties would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.third_parties import python, zoo

from zoo_core.data.opening import open_data
from zoo_core.data.splitting import per_class
from zoo_core.plugins.known import known_plugins

EXAMPLES = sorted((Path(__file__).parent.parent / "docs" / "examples").iterdir())
# the whole contract, model by model, takes minutes; its heart is checked by another_width
QUICK = "not contract or cutout or zoo_residual_attention or stated"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, as pip leaves them."""
    folder = tmp_path_factory.mktemp("examples")
    given = ["--quiet", "--no-deps", "--no-build-isolation", "--target", folder, *EXAMPLES]
    pip = [sys.executable, "-m", "pip", "install", *given]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_their_own_tests(installed: Path) -> None:
    folders = [example / "tests" for example in EXAMPLES]
    how = ["-p", "no:cacheprovider", "--import-mode=importlib", "-k", QUICK]
    done = python(installed, "-m", "pytest", *how, *folders, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    for example in EXAMPLES:
        assert f"{example.name}/tests/test_plugin.py ." in done.stdout


def test_they_offer_what_the_directory_of_known_plugins_says(installed: Path) -> None:
    rows = json.loads(zoo(installed, "plugins", "--json").stdout)
    found = {row["distribution"]: row for row in rows if not row["built_in"]}
    assert sorted(found) == [example.name for example in EXAMPLES]
    for plugin in known_plugins():
        row = found[plugin.distribution]
        assert (row["name"], row["ok"], row["slow"]) == (plugin.plugin, True, "")
        for kind in ("architectures", "models", "regularizers"):
            assert sorted(row["offers"][kind]) == sorted(getattr(plugin, kind))


@pytest.mark.slow
def test_both_at_work_on_digits(installed: Path, tmp_path: Path) -> None:
    digits, out = a_few_digits(tmp_path / "digits"), tmp_path / "run"
    words = ["residual_attention56_small", "--data", f"folder:{digits}", "--freeze-until", "head"]
    words += ["--regularizer", "cutout=8", "--epochs", "1", "--out", str(out)]
    done = zoo(installed, "finetune", *words)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["val_accuracy"] > 0.2  # random features, a solved head, 50 pictures
    assert "cutout" in (out / "recipe.toml").read_text()


def a_few_digits(folder: Path, each: int = 5) -> Path:
    """Scanned digits as a folder of pictures."""
    digits = open_data("digits")
    for index in per_class(digits.targets, each, seed=0):
        place = folder / str(digits.targets[index])
        place.mkdir(parents=True, exist_ok=True)
        digits.read(index).save(place / f"{index}.png")
    return folder
