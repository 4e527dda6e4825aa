"""The split: disjoint, whole, by seed, each class with its share, and no copy on both sides."""

import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from support.pictures import colours

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.data.splitting import per_class, split, stratified
from zoo_core.errors import DataError

SEEDS = st.integers(0, 2**31)


@st.composite
def labelled(draw):
    """Targets with at least two of each class, and a count to hold out."""
    sizes = draw(st.lists(st.integers(2, 30), min_size=1, max_size=6))
    targets = [target for target, size in enumerate(sizes) for _ in range(size)]
    targets = draw(st.permutations(targets))
    return targets, draw(st.integers(1, len(targets) - 1))


@given(labelled(), SEEDS)
def test_parts_are_disjoint_whole_and_stratified(case, seed):
    targets, count = case
    rest, held_out = stratified(targets, count, seed=seed)
    assert sorted(rest + held_out) == list(range(len(targets)))
    assert (rest, held_out) == stratified(targets, count, seed=seed)
    sizes, taken = Counter(targets), Counter(targets[i] for i in held_out)
    for target, size in sizes.items():
        share = size * count / len(targets)
        assert 1 <= taken[target] < size
        assert min(share - 1, size - 2) < taken[target] < max(share + 1, 2)


@given(labelled(), SEEDS)
def test_groups_of_one_change_nothing(case, seed):
    targets, count = case
    alone = [f"picture {i}" for i in range(len(targets))]
    assert stratified(targets, count, seed=seed, groups=alone) == stratified(
        targets, count, seed=seed
    )


@given(labelled(), SEEDS, st.integers(1, 5), st.booleans())
def test_groups_stay_whole_and_training_keeps_every_class(case, seed, size, mixed):
    targets, count = case
    draw = np.random.default_rng(seed)
    groups = [(draw.integers(len(targets) // size + 1), 0 if mixed else t) for t in targets]
    try:
        rest, held_out = stratified(targets, count, seed=seed, groups=groups)
    except zoo.DataError as error:
        assert "one picture only" in str(error)
        return
    assert sorted(rest + held_out) == list(range(len(targets)))
    assert not {groups[i] for i in rest} & {groups[i] for i in held_out}
    assert {targets[i] for i in rest} == set(targets)
    if not mixed:
        assert {targets[i] for i in held_out} == set(targets)


def test_a_class_of_copies_is_one_picture():
    with pytest.raises(zoo.DataError, match="Class 1 has one picture only, in 3 copies"):
        stratified([0, 0, 1, 1, 1], 2, seed=0, groups="abccc")


def test_a_large_group_does_not_swallow_the_share():
    groups = ["large"] * 15 + list(range(5))
    for seed in range(20):
        rest, held_out = stratified([0] * 20, 4, seed=seed, groups=groups)
        assert len(held_out) == 4 and set(rest) >= set(range(15))


# --- several classes of a picture ----------------------------------------------------------------

SETS = st.lists(st.sets(st.integers(0, 6), max_size=4), min_size=8, max_size=80)


@given(SETS, st.floats(0.1, 0.5), SEEDS, st.integers(1, 4))
def test_sets_of_classes_are_split_whole_and_training_has_all(sets, share, seed, size):
    targets = [tuple(sorted(numbers)) for numbers in sets]
    groups = [i // size for i in range(len(targets))]
    count = max(int(share * len(targets)), 1)
    try:
        rest, held_out = stratified(targets, count, seed=seed, groups=groups)
    except zoo.DataError as error:
        assume("only one of its class" not in str(error))
        raise
    assert sorted(rest + held_out) == list(range(len(targets))) and rest and held_out
    assert not {groups[i] for i in rest} & {groups[i] for i in held_out}
    assert {n for i in rest for n in targets[i]} == {n for t in targets for n in t}
    assert (rest, held_out) == stratified(targets, count, seed=seed, groups=groups)


def test_iterative_stratification_keeps_the_shares_of_rare_classes():
    draw = np.random.default_rng(0)
    chances = 0.6 * 0.7 ** np.arange(10)
    targets = [tuple(np.flatnonzero(draw.random(10) < chances).tolist()) for _ in range(1000)]
    total = Counter(n for t in targets for n in t)
    for seed in range(5):
        _, held_out = stratified(targets, 200, seed=seed)
        found = Counter(n for i in held_out for n in targets[i])
        assert abs(len(held_out) - 200) <= 4
        assert all(abs(found[n] - total[n] / 5) <= 2 for n in total)
    assert len(set(total.values())) > 5 and min(total.values()) < 30


# --- pictures ------------------------------------------------------------------------------------


def noisy(folder, count=10):
    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            array = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(array).save(folder / name / f"{i}.png")
    return folder


def test_copies_of_a_file_are_never_on_both_sides(tmp_path):
    folder = noisy(tmp_path / "p")
    for i in range(3):
        shutil.copy(folder / "cats" / "0.png", folder / "cats" / f"copy {i}.png")
        shutil.copy(folder / "cats" / "1.png", folder / "dogs" / f"wrong {i}.png")
    data = open_data(f"folder:{folder}")
    leaks = 0
    for seed in range(30):
        train, val = split(data, 0.25, seed)
        assert len(train) + len(val) == 26
        assert not set(map(train.digest, range(len(train)))) & set(map(val.digest, range(len(val))))
        rest, held_out = stratified(data.targets, 6, seed=seed)
        leaks += bool(set(map(data.digest, rest)) & set(map(data.digest, held_out)))
    assert leaks > 10, "without groups, copies would have leaked"


def test_without_copies_the_split_is_that_of_the_targets():
    digits = open_data("digits")
    train, val = split(digits, 0.2, seed=0)
    rest, held_out = stratified(digits.targets, 359, seed=0)
    assert (train.read.indices, val.read.indices) == (rest, held_out)
    assert val.classes == digits.classes


def test_datasets_of_others_are_not_read_for_the_split():
    def read(index):
        raise AssertionError("read")

    data = Pictures("own", read, [0, 1] * 10, None, fixed=False)
    assert [len(part) for part in split(data, 4, seed=0)] == [16, 4]


@pytest.mark.parametrize("held_out", [0, -1, 8, 9, 0.0, 1.0, -0.5, 1.5])
def test_what_cannot_be_held_out_is_refused(tmp_path, held_out):
    data = open_data(f"folder:{colours(tmp_path / 'p', {'a': (0, 0, 0), 'b': (9, 9, 9)})}")
    with pytest.raises(zoo.DataError, match=rf"^{held_out} of 8 pictures cannot be held out"):
        split(data, held_out, seed=0)


@pytest.mark.parametrize("count", [-1, 2.5, True, "5", float("nan"), None])
def test_what_is_no_count_is_refused(count):
    digits = open_data("digits#test")
    with pytest.raises(DataError, match="no number of pictures"):
        per_class(digits.targets, count, seed=0)
    with pytest.raises(DataError, match="no number of pictures"):
        stratified(digits.targets, count, seed=0)
    with pytest.raises(DataError, match="cannot be held out"):
        split(digits, count, seed=0)


def test_pictures_are_no_classes():
    digits = open_data("digits#test")
    with pytest.raises(DataError, match=r"pictures\.targets"):
        per_class(digits, 5, seed=0)
    with pytest.raises(DataError, match=r"pictures\.targets"):
        stratified(digits, 5, seed=0)
    with pytest.raises(DataError, match="several labels"):
        per_class([(0,), (0, 1)], 1, seed=0)
    assert per_class([], 2, seed=0) == []
    train, val = split(digits, np.float32(0.25), seed=0)
    assert len(val) == len(digits) // 4 and len(train) + len(val) == len(digits)
