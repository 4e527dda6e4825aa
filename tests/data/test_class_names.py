"""Class names in every form that people give them, and two classes of one name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import zoo_core as zoo
from zoo_core.data.class_names import class_names
from zoo_core.data.formats.numbering import numbered
from zoo_core.data.pictures import Pictures
from zoo_core.inference.matching import matched
from zoo_core.inference.metrics import measured


def names(**given):
    return class_names(SimpleNamespace(**given))


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
        ({"a": 0, "b": 1}.keys(), ["a", "b"]),
        ({"b": 1, "a": 0}, ["a", "b"]),
        ({1: "b", 0: "a"}, ["a", "b"]),
        ({"1": "b", "0": "a"}, ["a", "b"]),
        ({np.int64(1): "b", np.int64(0): "a"}, ["a", "b"]),
        (pd.Series({"a": 1, "b": 0}), ["b", "a"]),
        ([("tench", "Tinca tinca"), ("crane",)], ["tench, Tinca tinca", "crane"]),
        ({0: "a", 2: "c"}, ["a", "1", "c"]),
        (torch.arange(2), ["0", "1"]),
        (range(2), ["0", "1"]),
        ([b"a", "b"], ["a", "b"]),
        ([], None),
        (np.array([]), None),
        (None, None),
    ],
)
def test_classes_in_every_form(classes, wanted):
    found = names(classes=classes)
    assert found == wanted and all(type(name) is str for name in found or ())


@pytest.mark.parametrize(
    ("numbers", "classes", "wanted"),
    [
        ({"a": 0, "b": 1}, None, ["a", "b"]),
        ({"10": 10, "2": 2} | {str(i): i for i in range(10)}, ["0", "1", "10"], list(range(11))),
        ({"a": 1, "b": 0}, ["a", "b"], ["b", "a"]),
        ({"kitten": 0, "cat": 0, "dog": 1}, ["cat", "dog"], ["kitten, cat", "dog"]),
        ({"a": 0, "c": 2}, ["a", "c"], ["a", "1", "c"]),
        ({"a": torch.tensor(1), "b": np.int64(0)}, {"a", "b"}, ["b", "a"]),
        ({"crane": 1, "x": 1, "y": 2}, [("crane",), ("crane", "x"), ("y",)],
         ["crane", "crane, x", "y"]),
        ({0: "a", 1: "b"}, None, ["a", "b"]),
        ({7: 0, 8: 1}, None, ["7", "8"]),
    ],
)  # fmt: skip
def test_class_to_idx_says_which_name_has_which_number(numbers, classes, wanted):
    assert names(class_to_idx=numbers, classes=classes) == [str(name) for name in wanted]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"classes": {"a", "b"}}, "is a set, which has no order"),
        ({"classes": "cat dog"}, "no list of names but a str"),
        ({"classes": 10}, "no list of names but a int"),
        ({"classes": iter(["a"])}, "no list of names but a list_iterator"),
        ({"classes": [3, 7]}, "holds numbers, 3 first"),
        ({"classes": ["a", None]}, "holds None"),
        ({"classes": ["a", float("nan")]}, "holds nan"),
        ({"classes": {0: 5, 1: 6}}, "which is the number and which the name"),
        ({"classes": {"a": "b"}}, "which is the number and which the name"),
        ({"classes": pd.Series(["a", "b"], index=[1, 0])}, "an order and an index"),
        ({"class_to_idx": {"a": -1}}, "which is the number"),
        ({"class_to_idx": {"a": 0.5}}, "which is the number"),
        ({"class_to_idx": {"a": 0, "b": 10**9}}, "highest class number is 1,000,000,000"),
    ],
)
def test_names_without_an_order_are_refused(given, said):
    with pytest.raises(zoo.DataError, match=said):
        names(**given)


def test_names_for_fewer_classes_than_there_are_name_the_item():
    from zoo_core.data.opening import open_data

    class Mine(list):
        classes = ("a", "b")

    with pytest.raises(zoo.DataError, match=r"Item 1 of the Mine has class number 2.*for 2: a, b"):
        open_data(Mine([(Image.new("L", (4, 4)), 0), (Image.new("L", (4, 4)), 2)]))


def birds(targets, classes):
    shades = [Image.new("L", (4, 4), 40 * i) for i in range(len(targets))]
    return Pictures("birds", shades.__getitem__, targets, classes)


def test_two_classes_of_one_name_are_never_merged():
    both = ["crane", "owl", "crane", "tit"]
    data = birds([0, 1, 2, 3], both)
    assert matched(data, tuple(both), 4).targets == [0, 1, 2, 3]
    for other in (["owl", "crane", "crane", "tit"], ["crane", "owl", "tit"], [*both, "jay"]):
        with pytest.raises(zoo.DataError, match='"crane" is the name of two classes'):
            matched(data, tuple(other), len(other))
    with pytest.raises(zoo.DataError, match='"crane" is the name of two classes'):
        matched(birds([0, 1], ["owl", "crane"]), tuple(both), 4)
    known = matched(birds([0, 1], ["tit", "owl"]), tuple(both), 4)
    assert known.targets == [3, 1], "no picture is a crane"


def test_two_classes_of_one_name_have_a_row_each():
    scores = torch.eye(3)
    table = measured(scores, torch.arange(3), ["crane", "crane", "crane (0)"])["table"]
    assert [row["count"] for row in table.values()] == [1, 1, 1]


def test_a_label_that_is_the_name_of_two_classes_is_refused():
    both = ["crane", "owl", "crane"]
    assert numbered([2, 0, "owl"], both, "shards").targets == [2, 0, 1]
    with pytest.raises(zoo.DataError, match='shards has a label "crane", the name of two classes'):
        numbered(["owl", "crane"], both, "shards")
