"""Those that act on batches, losses and passes: the contract, their names, and bad numbers."""

from __future__ import annotations

import pytest

import zoo_core as zoo
from zoo_core.testing import check_regularizer

NAMES = [
    *("label-smoothing", "confidence-penalty", "mixup", "cutmix", "manifold-mixup", "r-drop"),
    *("sam", "sam:adaptive=true,rho=0.5"),
]


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_contract(name: str) -> None:
    check_regularizer(name)


@pytest.mark.parametrize("name", ["label-smoothing", "mixup", "manifold-mixup", "r-drop", "sam"])
def test_fine_tuning_by_name(name: str) -> None:
    chosen = ["dropout", name] if name == "r-drop" else [name]
    given = {"freeze_until": "head", "epochs": 1, "out": False, "progress": False}
    assert zoo.finetune("lenet5", "digits", regularizers=chosen, **given).accuracy > 0.5


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("label-smoothing=1", r"share must be in \[0, 1\), not 1"),
        ("confidence-penalty=-1", r"beta must be 0 or more, not -1"),
        ("mixup=-1", r"alpha must be above 0, not -1"),
        ("cutmix=0", r"alpha must be above 0, not 0"),
        ("manifold-mixup:prob=1.5", r"prob must be in \[0, 1\], not 1.5"),
        ("r-drop=nan", r"alpha must be 0 or more, not nan"),
        ("sam=0", r"rho must be above 0, not 0"),
    ],
)
def test_bad_numbers_are_refused(chosen: str, message: str) -> None:
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.regularizers(chosen)
