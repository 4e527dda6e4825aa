"""The probe of all boundaries beside one forward pass over the same pictures.

Both read and decode the pictures; the probe begins with an empty cache. A second question, which
finds all it needs, is measured beside them.

    python -m benchmarks.probing                       lenet5 on scanned digits
    python -m benchmarks.probing MODEL SPEC [PICTURES]
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row, alternate, at_most, ms, show
from zoo_core.advice.probe import BATCH, probe
from zoo_core.advice.sample import sampled
from zoo_core.cache import using_cache
from zoo_core.data.loader import loader
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import Samples
from zoo_core.inference.evaluate import scored
from zoo_core.inference.matching import as_model
from zoo_core.model.zoo_model import ZooModel

TARGET, ROUNDS = 1.1, 3


def forward(model: ZooModel, pictures: Pictures) -> None:
    """One pass over the pictures, as `zoo.evaluate` makes it."""
    samples = Samples(pictures, model.transform(), random=False, seed=0)
    batches = loader(samples, BATCH, shuffle=False, workers="auto")
    with contextlib.closing(batches):
        scored(model, batches)


def measure(name: str, spec: str, most: int) -> list[Row]:
    model, pictures = as_model(name), sampled(open_data(spec), most, seed=0)

    def first() -> None:
        with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
            assert probe(model, pictures, progress=False).computed == len(pictures)

    def again() -> None:
        assert probe(model, pictures, progress=False).computed == 0

    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        probe(model, pictures, progress=False)
        ways = {"forward": lambda: forward(model, pictures), "probe": first, "again": again}
        times = alternate(ways, ROUNDS)
    what = f"probe of {len(pictures):,} pictures, {name} on {spec}, against a forward pass"
    own, pass_ = ms(times.median("probe")), ms(times.median("forward"))
    return [
        at_most(what, own, pass_, times.ratio("probe", "forward"), TARGET),
        at_most(
            f"{what}, the second time",
            ms(times.median("again")),
            pass_,
            times.ratio("again", "forward"),
            0.5,
        ),
    ]


if __name__ == "__main__":
    name, spec, most = [*sys.argv[1:], *("lenet5", "digits", "2000")[len(sys.argv) - 1 :]]
    show(measure(name, spec, int(most)))
