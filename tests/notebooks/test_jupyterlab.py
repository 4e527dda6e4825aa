"""A person's way through a notebook in JupyterLab, light and dark, in a browser.

It runs where `jupyter-lab` is on the PATH; from an environment of its own will do. With
`ZOO_SCREENSHOTS=FOLDER` what a person would see is kept there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub.sealing import free_port
from support.notebook import kernel_spec, notebook

pytestmark = pytest.mark.slow

CELLS = [
    'import zoo_core as zoo\nmodel = zoo.create("lenet5", pretrained=True)',
    'model.freeze_until("fc1")',
    'run = zoo.finetune(model, "digits", epochs=4, out="run")\nrun',
    "zoo.evaluate(run)",
    "run.held_out",
    "zoo.predict(run, [run.held_out.read(i) for i in range(3)])",
    'zoo.rank("digits#test", ["lenet5"], budget="20s")',
]
SECONDS = 120


@pytest.fixture(params=["Light", "Dark"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab with the notebook `t.ipynb`, in one of its themes."""
    command = shutil.which("jupyter-lab")
    if command is None:
        pytest.skip("needs JupyterLab: pip install jupyterlab, in any environment on the PATH")
    nbformat = pytest.importorskip("nbformat")
    places = {name: tmp_path / name for name in ("config", "data", "runtime")}
    root = tmp_path / "root"
    root.mkdir()
    nbformat.write(notebook(CELLS, "zoo"), root / "t.ipynb")
    settings = places["config"] / "lab/user-settings/@jupyterlab/apputils-extension"
    _write(settings / "themes.jupyterlab-settings", {"theme": f"JupyterLab {request.param}"})
    _write(settings / "notification.jupyterlab-settings", {"fetchNews": "false"})
    _write(places["data"] / "kernels/zoo/kernel.json", kernel_spec())
    port = free_port()
    words = [command, "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0"]
    words += [f"--ServerApp.root_dir={root}", "--IdentityProvider.token="]
    env = {**os.environ, **{f"JUPYTER_{n.upper()}_DIR": str(p) for n, p in places.items()}}
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(words, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        _until(lambda: _answers(f"{address}/api/status"), (tmp_path / "lab.log").read_text)
        yield address
    finally:
        server.terminate()
        server.wait()


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _until(there: Callable[[], Any], what: Callable[[], str], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


def test_a_notebook_in_jupyterlab(
    lab: str, _chromium: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page = _chromium.new_page(viewport={"width": 1200, "height": 2600})
    page.goto(f"{lab}/lab/tree/t.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector("text=zoo | Idle", timeout=60_000)  # else it asks which kernel
    page.click("text=Run >> nth=0")
    page.click("text=Run All Cells")
    drawn: list[tuple[str, float]] = []
    _until(lambda: _looked(page, drawn), lambda: page.inner_text("body"))
    folder = Path(os.environ.get("ZOO_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{request.node.name}.png")
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    shown = page.locator(".jp-OutputArea-output.jp-RenderedHTMLCommon").count()
    assert shown >= len(CELLS) - 1
    within = [done for title, done in drawn if title == "epoch 1/4"]
    assert len(set(within)) > 1 and within == sorted(within)  # it moves within an epoch
    page.close()


def _looked(page: Any, drawn: list[tuple[str, float]]) -> bool:
    """Note where the first bar stands; whether all cells have run."""
    bars = page.evaluate(
        "[...document.querySelectorAll('progress')].map(bar => [bar.ariaLabel, bar.value])"
    )
    drawn += [tuple(bar) for bar in bars[:1]]
    prompts = page.locator(".jp-InputPrompt").all_inner_texts()
    return len(prompts) >= len(CELLS) and all(p.strip("[]: ").isdigit() for p in prompts)
