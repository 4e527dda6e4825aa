"""Samples of large sets: each class by its share, rare ones too, the same again by seed."""

from __future__ import annotations

import random

import pytest

from zoo_core.advice.sample import sampled
from zoo_core.data.pictures import Pictures


def own(targets: list[object], *, multilabel: bool = False) -> Pictures:
    return Pictures("own", lambda index: index, targets, None, multilabel=multilabel)


def test_all_are_taken_where_there_is_room() -> None:
    pictures = own([0, 1, 0])
    assert sampled(pictures, 3, seed=0) is pictures


@pytest.mark.parametrize("most", [6, 10, 50, 333])
def test_each_class_has_its_share(most: int) -> None:
    targets = [0] * 900 + [1] * 90 + [2] * 10
    random.Random(0).shuffle(targets)
    sample = sampled(own(list(targets)), most, seed=0)
    assert len(sample) == most
    for number, share in enumerate((0.9, 0.09, 0.01)):
        assert abs(sample.class_counts()[number] - max(share * most, 2)) <= 4


def test_the_seed_decides_and_nothing_else() -> None:
    pictures = own([index % 3 for index in range(100)])
    first = [sampled(pictures, 20, seed).read(0) for seed in (0, 1, 2, 3)]
    assert [sampled(pictures, 20, seed).read(0) for seed in (0, 1, 2, 3)] == first
    assert len(set(first)) > 1


def test_pictures_stay_in_their_order() -> None:
    sample = sampled(own([0, 1] * 50), 10, seed=3)
    numbers = [sample.read(index) for index in range(len(sample))]
    assert numbers == sorted(numbers)


def test_with_several_labels_the_rare_ones_are_there() -> None:
    targets: list[object] = [(0,)] * 80 + [(0, 1)] * 18 + [(0, 1, 2)] * 2 + [()] * 20
    sample = sampled(own(targets, multilabel=True), 12, seed=0)
    assert len(sample) == 12
    assert sample.class_counts()[2] == 2
    assert () in sample.targets


def test_more_classes_than_room() -> None:
    sample = sampled(own(list(range(50))), 7, seed=0)
    assert len(sample) == 7 and len(set(sample.targets)) == 7
