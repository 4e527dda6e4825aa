"""How long a picture takes on this machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch

from zoo_core.advice.budget import Budget
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import MEMORY, Samples
from zoo_core.inference.matching import place_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.solving.logistic import PARAMETERS, WORK
from zoo_core.transfer.eval_twin import in_eval_mode

FEW, MANY = 8, 64  # pictures of a batch whose time is taken: many where they take no time
QUICK = 0.05  # seconds of a few, below which what a call costs counts more than its pictures
# seconds of each step of solving a head, about, as measured on one core of 2026
RIDGE, LOGISTIC = 5e-10, 2e-9


@dataclass(frozen=True)
class Speed:
    """Seconds of a picture: to read and preprocess it, and for its forward pass in a batch.

    `kept`: how many a training keeps in memory, and reads but once.
    """

    reading: float
    forward: float
    kept: int

    def looking(self, count: int) -> float:
        """Seconds of one pass over so many."""
        return count * (self.reading + self.forward)

    def training(self, train: int, val: int, epochs: int, work: float) -> float:
        """Seconds of a training, about; `work`: forward passes that an epoch costs a picture."""
        reads = 1 if train + val <= self.kept else max(epochs, 1)
        passes = max(epochs * (work * train + val), train) + val
        return reads * (train + val) * self.reading + passes * self.forward


def speed_of(network: ZooModel, pictures: Pictures) -> Speed:
    """How quickly some of the pictures are read, and run through the network."""
    samples = Samples(pictures, network.transform(), random=False, seed=0)
    is_kept = pictures.fixed and not pictures.streamed
    kept = MEMORY // samples.nbytes if is_kept else 0
    return Speed(*seconds_of_picture(network, pictures), kept)


def seconds_of_picture(network: ZooModel, pictures: Pictures) -> tuple[float, float]:
    """Seconds to read and preprocess a picture, and for its forward pass in a batch of some.

    Raises DataError for pictures that cannot be read.
    """
    samples = Samples(pictures, network.transform(), random=False, seed=0)
    samples.sample(1, 0)  # the first also finds the decoder
    reading, forward, seconds = _seconds_of(network, samples, FEW)
    if seconds < QUICK:
        reading, forward, _ = _seconds_of(network, samples, MANY)
    return reading, forward


def _seconds_of(network: ZooModel, samples: Samples, most: int) -> tuple[float, float, float]:
    """Seconds to read a picture, for its forward pass, and for the batch of all of them."""
    places = torch.linspace(0, len(samples) - 1, min(most, len(samples))).long().tolist()
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
    seconds = statistics.median(times)
    return reading, seconds / len(places), seconds


def seconds_to_compare(count: int, width: int) -> float:
    """Seconds, about, to solve a head by ridge regression alone on features (count, width)."""
    return RIDGE * count * width * min(count, width)


def seconds_to_solve(count: int, width: int, classes: int) -> float:
    """Seconds, about, to solve a head on features (count, width); see `training/solving`."""
    parameters = (width + 1) * classes
    refined = count >= 2 * width and parameters <= PARAMETERS and count * parameters**2 <= WORK
    seconds = seconds_to_compare(count, width)
    return seconds + (LOGISTIC * count * parameters**2 if refined else 0.0)
