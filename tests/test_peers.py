"""What docs/coming-from/ shows of libraries that are not installed here, run with them.

They are fetched into an environment of their own, which sees torch and timm of this one. Where no
package index answers, the test is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hub.server import HubServer
from support.new_environment import NewEnvironment
from support.places import ROOT
from support.run_page import blocks
from support.stand_ins import stand_ins

pytestmark = pytest.mark.slow

PACKAGES = ["fastai>=2.8", "keras>=3.15", "grain"]
KERAS_WEIGHTS = "models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
MAKE_KERAS_WEIGHTS = """
import sys, h5py, keras
from keras.src.legacy.saving import legacy_h5_format as h5
network = keras.applications.MobileNetV2(
    include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3)
)
with h5py.File(sys.argv[1], "w") as file:
    h5.save_weights_to_hdf5_group(file, network)
"""


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> NewEnvironment:
    """fastai and Keras on PyTorch, beside the packages that are here."""
    environment = NewEnvironment(tmp_path_factory.mktemp("peers"))
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    with_index = {"PIP_NO_DEPS": "0", "PIP_NO_INDEX": "0", **index}
    pip = ("python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt")
    done = environment.run(*pip, *PACKAGES, **with_index)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr
    return environment


@pytest.mark.parametrize(("name", "left"), [("fastai", "cells.pkl"), ("keras", "cells.keras")])
def test_the_left_side_runs(peers: NewEnvironment, name: str, left: str, tmp_path: Path) -> None:
    """As the page shows it, in a folder with photographs, and with weights where it looks."""
    page = (ROOT / "docs" / "coming-from" / f"{name}.md").read_text(encoding="utf-8")
    [block] = [block for block in blocks(page) if block.file == f"{name}_way.py"]
    with HubServer() as hub:
        found = stand_ins(hub, tmp_path) | hub.environment(tmp_path / ".hf", None)
        keras = {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path / ".keras")}
        make_keras_weights(peers, tmp_path / ".keras" / KERAS_WEIGHTS, keras)
        (tmp_path / f"{name}_way.py").write_text(block.text, encoding="utf-8")
        peers.folder = tmp_path
        done = peers.run("python", f"{name}_way.py", **found, **keras)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.rglob(left))


def make_keras_weights(peers: NewEnvironment, file: Path, variables: dict[str, str]) -> None:
    file.parent.mkdir(parents=True)
    done = peers.run("python", "-c", MAKE_KERAS_WEIGHTS, file, **variables)
    assert done.returncode == 0, done.stderr
