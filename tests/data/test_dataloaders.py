"""DataLoaders of other people: what they draw is what is in the set, or a reason why not."""

from __future__ import annotations

import itertools
import random

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

import zoo_core as zoo
from zoo_core.data.opening import open_data

SIZE = 22
X = torch.arange(float(SIZE)).view(SIZE, 1, 1, 1).expand(SIZE, 1, 4, 4)
DATA = TensorDataset(X, torch.arange(SIZE) % 3)
PART = [3, 20, 7, 8, 1]


class Own(Sampler[int]):
    """Draws what a function gives."""

    def __init__(self, draw):
        self.draw, self.rng = draw, np.random.default_rng(7)

    def __iter__(self):
        return iter(self.draw(self))

    def __len__(self):
        return SIZE


class Batches(Own):
    batch_size = 4


class OwnLoader(DataLoader):
    def __iter__(self):
        return itertools.islice(super().__iter__(), 1)


def of(sampler, **given):
    return DataLoader(DATA, 4, sampler=sampler, **given)


HONOURED = {
    "plain": lambda: DataLoader(DATA, 4),
    "shuffle": lambda: DataLoader(DATA, 4, shuffle=True),
    "shuffle, seeded": lambda: DataLoader(
        DATA, 4, shuffle=True, generator=torch.Generator().manual_seed(3)
    ),
    "drop_last, in order": lambda: DataLoader(DATA, 4, drop_last=True),
    "drop_last, nothing to drop": lambda: DataLoader(DATA, 11, shuffle=True, drop_last=True),
    "one by one": lambda: DataLoader(DATA, batch_size=None),
    "collate by name": lambda: DataLoader(DATA, 4, collate_fn=default_collate),
    "sequential": lambda: of(SequentialSampler(DATA)),
    "sequential, of less": lambda: of(SequentialSampler(range(5))),
    "random subset": lambda: of(SubsetRandomSampler(PART)),
    "random subset, seeded": lambda: of(
        SubsetRandomSampler(PART, generator=torch.Generator().manual_seed(0))
    ),
    "list": lambda: of(PART),
    "array": lambda: of(np.array(PART)),
    "tensors": lambda: of(torch.tensor(PART)),
    "from the end": lambda: of([-1, 0]),
    "own, shuffled by numpy": lambda: of(Own(lambda own: own.rng.permutation(SIZE))),
    "own, shuffled by random": lambda: of(Own(lambda own: random.sample(PART, len(PART)))),
    "batches": lambda: DataLoader(DATA, batch_sampler=BatchSampler(PART, 2, drop_last=False)),
    "batches, cut": lambda: DataLoader(DATA, batch_sampler=BatchSampler(PART, 2, drop_last=True)),
    "batches, own": lambda: DataLoader(DATA, batch_sampler=Batches(lambda own: [[3, 1], [2]])),
    "batches, a list": lambda: DataLoader(DATA, batch_sampler=[[3, 1], [2]]),
    "of a subset": lambda: DataLoader(Subset(DATA, PART), 2, sampler=SubsetRandomSampler([4, 0])),
}


@pytest.mark.parametrize("name", HONOURED)
def test_the_set_is_what_iterating_the_loader_yields(name):
    loader = HONOURED[name]()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = open_data(loader, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    yielded = [(x.view(-1, 16)[:, 0], y.view(-1)) for x, y in loader]
    pairs = zip(*(torch.cat(parts).tolist() for parts in zip(*yielded, strict=True)), strict=True)
    ours = [(found.read(i)[0, 0, 0].item(), found.targets[i]) for i in range(len(found))]
    assert sorted(ours) == sorted(pairs)


REFUSED = {
    "replacement": (lambda: of(RandomSampler(DATA, replacement=True)), 'balance="sampler"'),
    "weighted": (lambda: of(WeightedRandomSampler([1.0] * SIZE, SIZE)), 'balance="sampler"'),
    "more than there are": (
        lambda: of(RandomSampler(DATA, num_samples=3 * SIZE)),
        "more than once",
    ),
    "some of all": (lambda: of(RandomSampler(DATA, num_samples=9)), "other items of its 22"),
    "weighted, a few": (
        lambda: of(WeightedRandomSampler([1.0] * SIZE, 3, replacement=False)),
        "other items of its 22",
    ),
    "distributed": (lambda: of(DistributedSampler(DATA, 2, 0)), "zoo shares each batch"),
    "drop_last": (lambda: DataLoader(DATA, 4, shuffle=True, drop_last=True), "Leave drop_last out"),
    "drop_last, seeded": (
        lambda: DataLoader(
            DATA, 4, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(3)
        ),
        "Leave drop_last out",
    ),
    "nothing left": (lambda: DataLoader(DATA, 40, drop_last=True), "drop_last draws nothing"),
    "nothing": (lambda: of([]), "draws nothing"),
    "collate": (lambda: DataLoader(DATA, 4, collate_fn=lambda batch: batch[0]), "__getitem__"),
    "endless": (lambda: of(Own(lambda own: itertools.cycle(PART))), "more than once"),
    "endless, empty batches": (
        lambda: DataLoader(DATA, batch_sampler=Batches(lambda own: itertools.repeat([]))),
        "draws nothing",
    ),
    "once": (lambda: of(iter(PART)), "only once"),
    "once, in batches": (
        lambda: DataLoader(DATA, batch_sampler=BatchSampler(iter(PART), 2, False)),
        "only once",
    ),
    "generator": (lambda: of(i for i in PART), "only once"),
    "outside": (lambda: of([0, SIZE]), "gives index 22 of 22 items"),
    "lists": (
        lambda: DataLoader(DATA, batch_size=None, sampler=BatchSampler(PART, 2, False)),
        "not the index of an item",
    ),
    "keys": (lambda: of(["a"]), "gives a str"),
    "a loader of one's own": (lambda: OwnLoader(DATA, 4), "OwnLoader makes batches of its own"),
    "stream": (lambda: DataLoader(datasets.IterableDataset.from_generator(range)), "no length"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_to_is_refused_with_the_reason(name):
    loader, said = REFUSED[name]
    with pytest.raises(zoo.DataError, match=said):
        open_data(loader(), progress=False)


def test_a_generator_of_a_sampler_goes_on_as_if_it_had_not_been_asked():
    ours, theirs = (SubsetRandomSampler(PART, torch.Generator().manual_seed(1)) for _ in range(2))
    own = Own(lambda own: own.rng.permutation(SIZE))
    twin = np.random.default_rng(7)
    open_data(of(ours)), open_data(of(own))
    assert list(ours) == list(theirs) and list(own) == twin.permutation(SIZE).tolist()


class Strict(Dataset):
    """Only the pictures of one part can be read, and have a class."""

    def __init__(self, targets=None):
        if targets:
            self.targets = targets

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        if index not in PART:
            raise KeyError(index)
        return X[index], 1


def test_what_is_not_drawn_is_not_read():
    assert open_data(DataLoader(Strict(), 4, sampler=PART)).targets == [1] * 5


def test_training_and_validation_keep_to_their_samplers():
    x = torch.randn(60, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, torch.arange(60) % 2)
    train = DataLoader(data, 8, sampler=SubsetRandomSampler(range(40)))
    val = DataLoader(data, 8, sampler=SubsetRandomSampler(range(40, 60)))
    model = zoo.create("lenet5", num_classes=2)
    run = zoo.finetune(model, train, val=val, epochs=1, out=False, progress=False)
    assert run.recipe["data"]["count"] == 40 and run.recipe["data"]["val_count"] == 20
    assert zoo.evaluate(run, val, progress=False)["count"] == 20
