"""What zoo asks of every regularizer, and what the paper says."""

from __future__ import annotations

import pytest
import torch

import zoo_core as zoo
from zoo_core.testing import check_regularizer, plugin_tests
from zoo_cutout.cutout import cutout

test_contract = plugin_tests("zoo_cutout")


def test_options() -> None:
    check_regularizer("cutout=3:prob=0.5")


def test_a_square_is_blank_and_the_rest_as_it_was() -> None:
    x = torch.rand(64, 3, 20, 30) + 1
    blank = cutout(x, size=6) == 0
    assert torch.equal(cutout(x, size=6, prob=0.0), x)
    assert bool((blank == blank[:, :1]).all()), "all channels lose the same"
    area = blank[:, 0].sum((1, 2))
    assert int(area.max()) == 36
    assert int(area.min()) >= 9, "a square may be over the edge up to its centre"
    assert len({tuple(place.nonzero()[0].tolist()) for place in blank[:, 0]}) > 32


def test_the_rest_of_the_picture_stays() -> None:
    x = torch.rand(8, 1, 16, 16) + 1
    y = cutout(x, size=5)
    assert torch.equal(y[y != 0], x[y != 0])


@pytest.mark.parametrize("chosen", ["cutout=0", "cutout:prob=2"])
def test_a_bad_number(chosen: str) -> None:
    with pytest.raises(zoo.RecipeError):
        zoo.regularizers(chosen)
