"""How long a picture takes on this machine."""

from __future__ import annotations

import statistics

import torch

from zoo_core.advice.budget import Budget
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import Samples
from zoo_core.inference.matching import place_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.solving.logistic import PARAMETERS, WORK
from zoo_core.transfer.eval_twin import in_eval_mode

TIMED = 8  # pictures of a batch whose time is taken
# seconds of each step of solving a head, about, as measured on one core of 2026
RIDGE, LOGISTIC = 2e-9, 8e-9


def seconds_of_picture(network: ZooModel, pictures: Pictures) -> tuple[float, float]:
    """Seconds to read and preprocess a picture, and for its forward pass in a batch of some.

    Raises DataError for pictures that cannot be read.
    """
    samples = Samples(pictures, network.transform(), random=False, seed=0)
    places = torch.linspace(0, len(samples) - 1, min(TIMED, len(samples))).long().tolist()
    start = Budget.clock()
    x = torch.stack([samples.sample(1, place) for place in places])
    reading = (Budget.clock() - start) / len(places)
    x = x.to(*place_of(network))
    twin, times = in_eval_mode(network), []
    with torch.inference_mode():
        twin(x)
        for _ in range(3):
            start = Budget.clock()
            twin(x).sum().item()  # which waits for a GPU
            times.append(Budget.clock() - start)
    return reading, statistics.median(times) / len(places)


def seconds_to_solve(count: int, width: int, classes: int) -> float:
    """Seconds, about, to solve a head on features (count, width); see `training/solving`."""
    parameters = (width + 1) * classes
    refined = count >= 2 * width and parameters <= PARAMETERS and count * parameters**2 <= WORK
    seconds = RIDGE * count * width * min(count, width)
    return seconds + (LOGISTIC * count * parameters**2 if refined else 0.0)
