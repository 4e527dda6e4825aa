"""A ResNet-50 with a new head, pushed to a Hub on loopback and loaded again, warm.

The delta against the whole; loading base and delta against loading the base alone; and loading with
the sha256 checked, by its stamp, against not asking for it. It has a process of its own, since the
Hub's client reads its endpoint when it is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from benchmarks.measure import Row, alternate, at_most, ms, show

ROUNDS = 15
TESTS = Path(__file__).parent.parent / "tests"


def measure() -> list[Row]:
    sys.path.append(str(TESTS))
    from hub.server import HubServer

    with HubServer() as hub, tempfile.TemporaryDirectory() as folder:
        places = {"ZOO_CACHE": f"{folder}/zoo", "XDG_CONFIG_HOME": f"{folder}/config"}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.publishing", "client"],
            env={**os.environ, **hub.environment(Path(folder) / "hf"), **places},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    base, delta, unchecked = (ms(found[name]) for name in ("base", "delta", "unchecked"))
    pushed, whole = (f"{found[name] / 1e3:,.0f} kB" for name in ("pushed", "whole"))
    return [
        at_most("push of ResNet-50, head trained, 10 classes; peer: whole", pushed, whole,
                found["pushed"] / 1e3, 100, " kB"),
        at_most("the delta again, warm, against its base alone", delta, base,
                found["over base"], 1.3),
        at_most("pinned weights, warm, against not verifying them", base, unchecked,
                found["over unchecked"], 1.05),
    ]  # fmt: skip


def client() -> None:
    """What the process does that talks to the Hub: prints one line of JSON."""
    import torch
    from huggingface_hub import HfApi
    from safetensors.torch import save

    import zoo_core as zoo

    hub = HfApi()
    hub.create_repo("alice/base")
    file = save(zoo.create("resnet50").state_dict(), {"format": "pt"})
    done = hub.upload_file(
        path_or_fileobj=file, path_in_repo="model.safetensors", repo_id="alice/base"
    )
    base = f"hf://alice/base@{done.oid}/model.safetensors"
    model = zoo.create("resnet50", pretrained=base, num_classes=10)
    with torch.no_grad():
        model.fc.weight.add_(0.01)
    pushed = zoo.push(model, "alice/flowers")
    whole = zoo.push(model, "alice/whole", delta=False, dry_run=True)
    delta = f"hf://alice/flowers@{pushed.commit}"

    known = str(model.origin.sha256)

    def unchecked() -> object:
        with mock.patch("zoo_core.weights.hashes.sha256_of", lambda *_, **__: known):
            return zoo.create("resnet50", pretrained=base)

    times = alternate(
        {
            "base": lambda: zoo.create("resnet50", pretrained=base),
            "delta": lambda: zoo.create(delta),
            "unchecked": unchecked,
        },
        ROUNDS,
    )
    found = {name: times.median(name) for name in times}
    found |= {"pushed": sum(pushed.sizes.values()), "whole": sum(whole.sizes.values())}
    found["over base"] = times.ratio("delta", "base")
    found["over unchecked"] = times.ratio("base", "unchecked")
    print(json.dumps(found))


if __name__ == "__main__":
    client() if sys.argv[1:] == ["client"] else show(measure())
