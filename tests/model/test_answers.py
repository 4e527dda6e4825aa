"""What is no classifier of pictures: a clear sentence from create() and from the checks alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.tiny import SIZE, STAGES, Tiny, architecture, changed
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core import Architecture, PluginError, Stage
from zoo_core.conformance.contract import CONTRACT
from zoo_core.conformance.plugin import specimen_cases
from zoo_core.conformance.specimen import Specimen
from zoo_core.model.answers import told
from zoo_core.model.build import Plan, outline, without_weights
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manager import Plugin
from zoo_core.types import InputSpec

pytestmark = pytest.mark.usefixtures("one_thread")

MAKER = Plugin("zoo_tiny", "zoo-tiny", "0.1")


class TwoInputs(Tiny):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x * mask)


class ByKeyword(Tiny):
    def forward(self, x: Tensor, *, mask: Tensor) -> Tensor:
        return super().forward(x * mask)


class Nothing(Tiny):
    def forward(self) -> Tensor:  # type: ignore[override]
        return torch.zeros(2, 7)


class Dict(Tiny):
    def forward(self, x: Tensor) -> Any:
        return {"out": super().forward(x), "aux": x}


class Pair(Tiny):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class List(Tiny):
    def forward(self, x: Tensor) -> Any:
        return [super().forward(x)]


class Prototype(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(classes, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


class Prototypes(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.fc = Prototype(num_classes)  # type: ignore[assignment]


class Silent(Tiny):
    def forward(self, x: Tensor) -> Any:
        super().forward(x)


class PairInTraining(Tiny):
    def forward(self, x: Tensor) -> Any:
        scores = super().forward(x)
        return (scores, scores) if self.training else scores


class Dense(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.fc = nn.Conv2d(4, num_classes, 1)  # type: ignore[assignment]
        self.pool, self.flatten = nn.Identity(), nn.Identity()  # type: ignore[assignment]


class Unflattened(Dense):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.pool = nn.AdaptiveAvgPool2d(1)


class Tokens(Dense):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(2).transpose(1, 2)


class Bare(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        del self.fc
        self.classes = nn.Parameter(torch.randn(4, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.act(self.norm(self.conv1(x))))
        return by_product(self, self.flatten(self.pool(x)))


class OwnBias(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.fc = nn.Linear(4, num_classes, bias=False)
        self.shift = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.shift


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(x + skip)


class WithJoin(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.conv2 = Joined()  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.conv1(x)))
        return self.fc(self.flatten(self.pool(self.conv2(x, x))))


def by_product(model: Any, x: Tensor) -> Tensor:
    return x @ model.classes


def shifted(model: Any, x: Tensor) -> Tensor:
    return model.fc(model.dropout(x)) + model.shift


def branches(model: Any, x: Tensor) -> Any:
    return [model.act(model.norm(model.conv1(x)))] * 2


def branches_by_name(model: Any, x: Tensor) -> Any:
    return {"high": x, "low": x}


def one_branch(model: Any, x: Any) -> Tensor:
    return model.conv2(x[0])


def alone(model: Any) -> Tensor:
    return model.fc.weight


LISTS = changed(
    Stage("stem", run=(branches,), owns=("conv1", "norm")),
    Stage("body", run=(one_branch,), owns=("conv2",)),
)
BARE = changed(Stage("head", run=(by_product,), owns=("classes",)))
CASES = {
    "two inputs": (TwoInputs, STAGES, "forward() of TwoInputs wants 2 inputs, x, mask"),
    "by keyword": (ByKeyword, STAGES, "forward() of ByKeyword wants 2 inputs, x, mask"),
    "no input": (Nothing, STAGES, "forward() of Nothing takes nothing"),
    "dict": (Dict, STAGES, "one tensor of scores, not a dict with out and aux"),
    "tuple": (Pair, STAGES, "one tensor of scores, not a tuple of 2"),
    "list": (List, STAGES, "one tensor of scores, not a list of 1"),
    "nothing": (Silent, STAGES, "one tensor of scores, not nothing"),
    "in training": (PairInTraining, STAGES, "scores in train mode, not a tuple of 2"),
    "dense": (Dense, STAGES, "gives dense outputs of shape (2, 7, 5, 5) for two pictures"),
    "tokens": (Tokens, STAGES, "an answer for each token"),
    "unflattened": (Unflattened, STAGES, "(pictures, classes), so flatten them"),
    "bare": (Bare, BARE, "The head has the bare parameter classes: zoo puts new classes in"),
    "run bare": (Bare, changed(Stage("head", run=("classes",))), "The head has the bare parameter"),
    "own module": (
        Prototypes,
        changed(Stage("head", run=("fc",))),
        "The head has fc.weight of fc, a Prototype: zoo puts new classes in the place of an",
    ),
    "own bias": (
        OwnBias,
        changed(Stage("head", run=(shifted,), owns=("fc", "shift"))),
        "The head has the bare parameter shift beside fc",
    ),
    "tensors of a layer": (
        Tiny,
        changed(Stage("head", run=("dropout", "fc"), owns=("fc.weight", "fc.bias"))),
        'it must own the layer, owns=("fc",)',
    ),
    "boundary a list": (Tiny, LISTS, '"stem" gives a list of 2: what is between two stages must'),
    "boundary a dict": (
        Tiny,
        changed(Stage("body", run=("conv2", branches_by_name))),
        '"body" gives a dict with high and low',
    ),
    "stage of two": (
        WithJoin,
        STAGES,
        '"body" runs conv2, whose forward() wants 2 inputs, x, skip',
    ),
    "function of one": (
        Tiny,
        changed(Stage("body", run=("conv2", alone))),
        '"body" runs alone(model): a function in run takes (model, x)',
    ),
    "method": (
        Tiny,
        changed(Stage("head", run=("fc.forward",), owns=("fc",))),
        '"head" runs fc.forward, which is no module',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_checks_say_what_it_is(case: str) -> None:
    network, stages, sentence = CASES[case]
    specimen = Specimen(architecture(network, stages), {}, InputSpec(SIZE))
    results = [one.run() for one in specimen_cases(specimen, CONTRACT)]
    failed = [result for result in results if result.status == "fail"]
    assert [sentence in result.found for result in failed] == [True], failed
    assert "flatten, or a whole stage" not in failed[0].found
    assert failed[0].check in ("builds", "stages compose")
    assert "Error" not in failed[0].found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [without_weights, outline])
def test_create_says_what_it_is(case: str, make: Any) -> None:
    network, stages, sentence = CASES[case]
    with pytest.raises(PluginError) as caught:
        make(plan(architecture(network, stages)), 7, 3)
    assert caught.value.message.startswith('The architecture "tiny" of zoo_tiny (zoo-tiny 0.1): ')
    assert sentence in caught.value.message
    assert caught.value.hint == '"zoo plugins check zoo_tiny" says more.'


def plan(made: Architecture) -> Plan:
    return Plan(made, {}, torch.device("cpu"), maker=MAKER, size=SIZE[1:])


class Deciding(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if float(x.sum()) > 1 else -x)


class DecidingPair(Tiny):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), float(x.sum())


class AnySize(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != 64:
            raise ValueError("64 pixels only")
        return super().forward(x)


def test_one_that_needs_values_is_asked_itself() -> None:
    without_weights(plan(architecture(Deciding)), 7, 3)
    with pytest.raises(PluginError, match="not a tuple of 2"):
        without_weights(plan(architecture(DecidingPair)), 7, 3)


@pytest.mark.parametrize("network", [Tiny, Deciding, AnySize])
def test_a_sound_one_stays_as_it_was(network: Any) -> None:
    """Its modes, its statistics and the random numbers, too; sizes are the business of checks."""
    torch.manual_seed(0)
    plainly = network(7, 3)
    after = torch.rand(1)
    torch.manual_seed(0)
    built = without_weights(plan(architecture(network)), 7, 3).module
    assert torch.equal(torch.rand(1), after)
    state = plainly.state_dict()
    assert all(torch.equal(state[name], value) for name, value in built.state_dict().items())
    assert all(part.training for part in built.modules())


def test_what_is_zoos_own_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*given: object) -> str:
        raise AssertionError("asked")

    monkeypatch.setattr("zoo_core.model.build.answers_fault", asked)
    zoo.create("lenet5")
    assert catalogue().maker(catalogue().architecture(zoo.info("lenet5"))) is None


def test_how_values_are_told() -> None:
    assert told(torch.zeros(1, 2)) == "a tensor of shape (1, 2)"
    assert told({}) == "a dict"
    assert told(InputSpec()) == "an InputSpec"
