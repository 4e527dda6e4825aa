"""Datasets that draw random numbers: the same again, with any workers, after a resume."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset

import zoo_core as zoo
from zoo_core.data.loader import Feed, Order
from zoo_core.data.opening import open_data
from zoo_core.data.samples import Samples, seeded

OWN = np.random.default_rng(5)


class Drawing(Dataset):
    """Pictures with noise of somebody's own."""

    def __init__(self, draw):
        self.draw, self.targets = draw, [0, 1] * 12
        self.rng, self.python = np.random.default_rng(3), random.Random(4)
        self.legacy, self.torch = np.random.RandomState(1), torch.Generator().manual_seed(2)
        self.transforms = [{"deep": self._step}]

    def __len__(self):
        return len(self.targets)

    def _step(self):
        return self.rng.random()

    def __getitem__(self, index):
        return torch.full((1, 32, 32), float(self.draw(self))), self.targets[index]


class Lazy(Drawing):
    """Makes its generator when it is first read."""

    made = None

    def __getitem__(self, index):
        if self.made is None:
            self.made = np.random.default_rng()
        return torch.full((1, 32, 32), self.made.random()), self.targets[index]


def helper():
    return sum(OWN.random() for _ in range(2))


def by_global(data):
    return helper()


def closed_over():
    inner = random.Random(8)
    return lambda data: inner.random()


DRAWS = {
    "numpy's": lambda data: np.random.rand(),
    "numpy's, normal": lambda data: np.random.randn(),
    "Python's": lambda data: random.random(),
    "torch's": lambda data: torch.rand(()),
    "a Generator": lambda data: data.rng.normal(),
    "a RandomState": lambda data: data.legacy.randn(),
    "a Random": lambda data: data.python.gauss(0, 1),
    "torch's own": lambda data: torch.rand((), generator=data.torch),
    "deep inside": lambda data: data.transforms[0]["deep"](),
    "enclosed": closed_over(),
    "a global": by_global,
}


def epochs(data, workers, given=((1, 0), (2, 0))):
    samples = Samples(open_data(data), torch.nn.Identity(), random=False, seed=0)
    feed = Feed(samples, Order(24, 8, seed=0), workers)
    found = [batch.x[:, 0, 0, 0] for epoch in given for batch in feed.epoch(*epoch)]
    feed.close()
    return torch.cat(found)


@pytest.mark.parametrize("name", DRAWS)
def test_a_sample_follows_the_seed_whatever_it_is_drawn_from(name, capfd):
    draw = DRAWS[name]
    once = epochs(Drawing(draw), 0)
    assert torch.equal(once, epochs(Subset(Drawing(draw), range(24)), 0))
    assert len(once.unique()) == 48, "new in each epoch"
    assert torch.equal(once[40:], epochs(Drawing(draw), 0, [(2, 2)])), "after a resume"
    assert "another picture each time" not in capfd.readouterr().err


def test_processes_that_read_draw_the_same():
    draws = list(DRAWS.values())

    def all_of_them(data):
        return sum(float(draw(data)) for draw in draws)

    once = epochs(Drawing(all_of_them), 0)
    for workers in (1, 2):
        assert torch.equal(once, epochs(Drawing(all_of_them), workers))
    assert torch.equal(epochs(Lazy(all_of_them), 0), epochs(Lazy(all_of_them), 1))


def test_generators_outside_go_on_as_if_nothing_had_been_read():
    data, twin = Drawing(lambda data: data.rng.random() + np.random.randn()), Drawing(None)
    np.random.seed(0)
    wanted = np.random.randn(3)
    np.random.seed(0)
    first = np.random.randn()
    epochs(data, 0)
    assert [first, *np.random.randn(2)] == wanted.tolist()
    assert data.rng.random() == twin.rng.random()


def test_what_no_seed_reaches_is_said(capfd):
    entropy = random.SystemRandom()
    open_data(Drawing(lambda data: entropy.random()))
    assert "Drawing: item 0 is another picture each time" in capfd.readouterr().err
    open_data(Drawing(lambda data: np.random.default_rng().random()), progress=False)
    assert capfd.readouterr().err == ""


def test_two_trainings_on_numbers_of_numpy_are_equal():
    data = Drawing(lambda data: np.random.rand() + data.rng.random())
    given = {"epochs": 2, "batch_size": 8, "out": False, "progress": False}
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        run = zoo.finetune(zoo.create("lenet5"), data, **given)
        losses.append([row["loss"] for row in run.history])
    assert losses[0] == losses[1]


def test_numpys_state_is_put_back_to_the_last_number():
    np.random.seed(1)
    wanted = np.random.randn(5)
    np.random.seed(1)
    assert np.random.randn() == wanted[0]
    with seeded(1, numpy=True):
        inside = np.random.rand()
    assert np.random.randn() == wanted[1]
    with seeded(1, numpy=True):
        assert np.random.rand() == inside
