"""What every kind of data opens to: classes, one or several; contents; weights and orders."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

import zoo_core as zoo
from zoo_core.data.balance import balanced_order, class_weights
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures

SHADES = [Image.new("L", (8, 8), 10 * i) for i in range(5)]


def several(**given_):
    targets = [(2, 0), (), (1,), [1, 1, 0], (2,)]
    names = ["a", "b", "c"]
    return Pictures("own", SHADES.__getitem__, targets, names, multilabel=True, **given_)


def test_several_classes_of_a_picture_are_sorted_and_become_vectors():
    data = several()
    assert data.targets == [(0, 2), (), (1,), (0, 1), (2,)]
    wanted = [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert data.target_tensor().tolist() == wanted
    assert data.target_tensor().dtype is torch.float32 and data.class_counts() == [2, 2, 2]
    assert data[3][1].tolist() == [1, 1, 0] and data[1][1].tolist() == [0, 0, 0]
    [(_, y)] = DataLoader([(i, data[i][1]) for i in range(5)], batch_size=5)
    assert torch.equal(y, data.target_tensor())


def test_subsets_and_new_numbers_hold_for_several_classes_too():
    data = several()
    chosen = data.subset([4, 0]).renamed(["z", "c", "b", "a"])
    assert chosen.targets == [(1,), (1, 3)] and chosen.num_classes == 4 and chosen.multilabel
    assert chosen.target_tensor().shape == (2, 4)
    assert data.subset([]).target_tensor().shape == (0, 3)


def test_one_class_each_is_a_vector_of_numbers():
    data = Pictures("own", SHADES.__getitem__, [0, 3, 3, 0, 1], None)
    assert data.target_tensor().tolist() == [0, 3, 3, 0, 1]
    assert data.target_tensor().dtype is torch.int64
    assert data.class_counts() == [2, 1, 0, 2] and data.num_classes == 4
    assert data.subset([0, 4]).num_classes == 2


def test_a_dataset_with_vectors_has_several_classes():
    ones = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0.0]])
    data = open_data(TensorDataset(torch.randn(3, 1, 8, 8), ones))
    assert data.multilabel and data.targets == [(0,), (), (0, 1)] and data.num_classes == 3
    assert torch.equal(data.target_tensor(), ones)
    assert data.subset([0]).num_classes == 3

    class WithTargets(Dataset):
        classes, targets = ["x", "y", "z"], ones.numpy()

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return SHADES[index], ones[index]

    assert open_data(WithTargets()).classes == ("x", "y", "z")
    assert open_data([(SHADES[0], [0, 1]), (SHADES[1], (1, 0))]).targets == [(1,), (0,)]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([[0, 1], [1, 0, 0]], "Item 1 of the list has no vector of 2"),
        ([[0, 1], 1], "Item 1 of the list has no vector of 2"),
        ([1, [0, 1]], "Item 0 of the list has no vector"),
        ([[0, 2]], "Item 0 of the list has no vector of 2 numbers that are 0 or 1"),
        ([[0.5, 0.5]], "Item 0 of the list is no"),
        ([[]], "no vector of 0"),
        (["cat"], "Item 0 of the list is no"),
        ([1.5], "Item 0 of the list is no"),
        ([None], "Item 0 of the list is no"),
    ],
)
def test_targets_that_are_none_are_named(targets, message):
    with pytest.raises(zoo.DataError, match=message):
        open_data([(SHADES[0], target) for target in targets])


def test_contents_of_tensors_count_with_type_and_shape():
    x = torch.arange(12, dtype=torch.int32)
    items = [x, x.view(3, 4), x.view(torch.float32), x + 1, torch.tensor(1.0)]
    data = Pictures("own", items.__getitem__, range(5), None)
    assert len({data.digest(i) for i in range(5)}) == 5
    assert all(len(data.digest(i)) == 16 for i in range(5))
    assert not data.has_digests and open_data("digits").has_digests


def test_the_fingerprint_is_that_of_the_contents_in_their_order():
    digits = open_data("digits")
    few = digits.subset([5, 6, 7])
    again = open_data("digits").subset(range(5, 8))
    assert few.fingerprint() == again.fingerprint() and len(few.fingerprint()) == 64
    assert few.subset([1, 0, 2]).fingerprint() != few.fingerprint()
    assert few.subset([2, 0]).digest(1) == digits.digest(5)
    assert pickle.loads(pickle.dumps(few)).fingerprint() == few.fingerprint()
    assert copy.deepcopy(few).fingerprint() == few.fingerprint()


def test_weights_make_all_classes_weigh_the_same():
    counts = [30, 0, 10]
    weights = class_weights(counts)
    assert weights[1] == 0 and weights[0] * 30 == weights[2] * 10
    assert (weights * torch.tensor(counts)).sum() / 40 == pytest.approx(1)
    loss = torch.nn.functional.cross_entropy(torch.randn(4, 3), torch.tensor([0, 2, 0, 2]), weights)
    assert loss.isfinite()
    with pytest.raises(zoo.DataError, match="No class has a picture"):
        class_weights([0, 0])


def test_a_balanced_order_draws_every_class_alike_and_every_picture_of_it():
    targets = [0] * 900 + [1] * 90 + [2] * 10
    order = balanced_order(targets, 30_000, torch.Generator().manual_seed(0))
    drawn = torch.tensor(targets)[order].bincount()
    assert order.dtype is torch.int64 and (drawn - 10_000).abs().max() < 500  # 6 deviations
    rare = order[order >= 990].bincount()[990:]
    assert rare.min() > 800 and rare.max() < 1200
    again = balanced_order(targets, 30_000, torch.Generator().manual_seed(0))
    assert torch.equal(order, again)


def test_a_balanced_order_knows_pictures_of_several_classes_and_of_none():
    targets = [(0,)] * 96 + [(0, 1)] * 2 + [()] * 2
    order = balanced_order(targets, 9_000, torch.Generator().manual_seed(1))
    counts = order.bincount(minlength=100)
    assert abs(counts[98:].sum() - 3000) < 300
    assert abs(counts[96:98].sum() - 3000 - 2 * 3000 / 98) < 300
    with pytest.raises(zoo.DataError, match="no pictures to draw from"):
        balanced_order([], 3, torch.Generator())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 100))
def test_every_order_has_indices_of_the_pictures(targets, size):
    order = balanced_order(targets, size, torch.Generator().manual_seed(size))
    assert len(order) == size and all(0 <= i < len(targets) for i in order.tolist())
