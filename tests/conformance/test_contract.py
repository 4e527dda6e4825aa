"""The contract tests fail, and say why, for whatever breaks the contract."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from support.tiny import SIZE, STAGES, Tiny, architecture, changed
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from zoo_core import Regularizer, Stage
from zoo_core.conformance.plugin import specimen_cases
from zoo_core.conformance.specimen import Specimen
from zoo_core.testing import check_architecture, check_regularizer
from zoo_core.types import InputSpec

pytestmark = pytest.mark.usefixtures("one_thread")


def fails(network: Any = Tiny, stages: Sequence[Stage] = STAGES) -> str:
    """What the check says about a network that breaks the contract."""
    with pytest.raises(AssertionError) as raised:
        check_architecture(architecture(network, stages), size=SIZE)
    return str(raised.value)


def test_what_keeps_the_contract_passes() -> None:
    check_architecture(architecture(), size=SIZE)
    check_architecture(architecture(), size=(1, 16, 12))


def test_it_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    check_architecture(architecture(), size=SIZE)
    assert torch.equal(torch.rand(1), expected)


# --- 1. the stages compose -----------------------------------------------------------------------


class EvalOnly(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if self.training else 2)


class TrainOnly(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if self.training else 1)


class UndeclaredDropout(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.dropout(x, 0.1, self.training))


@pytest.mark.parametrize(
    ("network", "mode"), [(EvalOnly, "eval"), (TrainOnly, "train"), (UndeclaredDropout, "train")]
)
def test_stages_that_do_not_compose(network: type[Tiny], mode: str) -> None:
    told = fails(network)
    assert told.startswith(f"In {mode} mode the stages do not compose to forward()")
    assert "stem -> body -> pool -> head" in told


class Both(Tiny):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class BothInTraining(Tiny):
    def forward(self, x: Tensor) -> Any:
        scores = super().forward(x)
        return (scores, x) if self.training else scores


class AlwaysRandom(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.dropout(x, 0.5))


class Locked(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.act.lock = threading.Lock()


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Both, "forward() must give one tensor of scores, not a tuple of 2: return"),
        (BothInTraining, "one tensor of scores in train mode, not a tuple of 2: return"),
        (AlwaysRandom, "In eval mode two forward passes of the same pictures give different"),
        (Locked, "act.lock of the model cannot be copied: cannot pickle '_thread.lock' object"),
        (lambda num_classes, in_chans: None, "build() returns nothing, not a module."),
    ],
)
def test_what_spoils_every_check_is_told_by_one(network: Any, told: str) -> None:
    found = architecture(network)
    cases = specimen_cases(Specimen(found, {}, InputSpec(size=SIZE)))
    failed = [result for case in cases if (result := case.run()).status == "fail"]
    assert len(failed) == 1 and told in failed[0].line


class HeadOfZeros(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        nn.init.zeros_(self.fc.weight)


class Fading(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        nn.init.normal_(self.conv1.weight, std=1e-20)
        nn.init.zeros_(self.conv1.bias)


def double(model: nn.Module, x: Tensor) -> Tensor:
    return x if model.training else 2 * x


@pytest.mark.parametrize("network", [HeadOfZeros, Fading])
def test_first_weights_do_not_hide_that_stages_do_not_compose(network: type[Tiny]) -> None:
    check_architecture(architecture(network), size=SIZE)
    stages = changed(Stage("stem", run=("conv1", "norm", "act", double)))
    assert fails(network, stages).startswith("In eval mode the stages do not compose")


# --- 2. every parameter and buffer belongs to one stage ------------------------------------------


class WithBuffer(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.register_buffer("mean", torch.zeros(1), persistent=False)


class WithUnusedParameter(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.scale = nn.Parameter(torch.ones(1))


def test_what_belongs_to_no_stage() -> None:
    stages = changed(Stage("stem", run=("conv1", "norm", "act"), owns=("conv1",)))
    assert fails(stages=stages) == "norm.weight belongs to no stage: add the stage, or its `owns`."
    assert fails(WithUnusedParameter).startswith("scale belongs to no stage")
    assert fails(WithBuffer).startswith("mean belongs to no stage")


def test_what_belongs_to_two_stages() -> None:
    stages = changed(Stage("body", run=("conv2",), owns=("conv2", "norm.bias")))
    assert fails(stages=stages) == "norm.bias belongs to stem and body: leave it in one."


def test_a_name_is_no_prefix_of_a_longer_one() -> None:
    stages = changed(Stage("stem", run=("conv1", "norm", "act"), owns=("conv", "norm")))
    assert "the stage" in fails(stages=stages).lower() and "conv" in fails(stages=stages)


# --- 3. what the declaration freezes is what feeds a stage ---------------------------------------


def reuse(model: Any, x: Tensor) -> Tensor:
    return model.conv2(model.conv2(x))


class Reusing(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.act(self.norm(self.conv1(x))))
        return self.fc(self.dropout(self.flatten(self.pool(self.conv2(x)))))


def test_a_declaration_that_disagrees_with_autograd() -> None:
    stages = changed(
        Stage("stem", run=("conv1", "norm", "act"), owns=("conv2", "norm")),
        Stage("body", run=("conv2",), owns=("conv1",)),
    )
    told = 'conv1.bias belongs to body, but autograd says that "stem" uses it.'
    assert fails(stages=stages) == told


def test_a_layer_that_two_stages_use() -> None:
    stages = changed(Stage("pool", run=("conv2", "pool", "flatten"), owns=("pool",)))
    told = 'conv2.bias belongs to body, but autograd says that "pool" uses it.'
    assert fails(Reusing, stages) == told


class Remembering(Tiny):
    """Hands something to a later stage beside the boundary, where no cache would find it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.flatten(self.pool(add(self, self.conv2(keep(self, x)))))))


def keep(model: Any, x: Tensor) -> Tensor:
    model.kept = model.conv1(x)
    return model.act(model.norm(model.kept))


def add(model: Any, x: Tensor) -> Tensor:
    return x + model.kept


def test_a_connection_that_goes_round_the_boundary() -> None:
    stages = changed(
        Stage("stem", run=(keep,), owns=("conv1", "norm")),
        Stage("pool", run=(add, "pool", "flatten"), owns=("pool",)),
    )
    assert '"pool" uses it' in fails(Remembering, stages)


# --- frozen stages stand still -------------------------------------------------------------------


def noise(model: nn.Module, x: Tensor) -> Tensor:
    return functional.dropout(x, 0.5, model.training)


class RandomByFunction(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        x = noise(self, self.conv2(self.act(self.norm(self.conv1(x)))))
        return self.fc(self.dropout(self.flatten(self.pool(x))))


class OtherInTraining(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        x = double(self, self.conv2(self.act(self.norm(self.conv1(x)))))
        return self.fc(self.dropout(self.flatten(self.pool(x))))


@pytest.mark.parametrize(
    ("network", "step"), [(RandomByFunction, noise), (OtherInTraining, double)]
)
def test_functions_that_freezing_cannot_still(network: type[Tiny], step: Any) -> None:
    told = fails(network, changed(Stage("body", run=("conv2", step))))
    assert told.startswith('Before "pool" something is random')
    assert "make it a module, not a function" in told


class Counting(nn.Module):
    """Moves its own buffer, whatever the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x


class MovingBuffer(Tiny):
    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.act = Counting()


def test_a_buffer_that_moves_although_it_is_frozen() -> None:
    assert fails(MovingBuffer) == 'act.calls moves although it is before "body".'


# --- the head ------------------------------------------------------------------------------------


def test_a_head_that_owns_two_layers() -> None:
    stages = (*STAGES[:1], Stage("head", run=("conv2", "pool", "flatten", "dropout", "fc")))
    told = "The head must own the last linear layer (or convolution) alone, not conv2, fc."
    assert fails(stages=stages) == told


class Mixing(Tiny):
    """Two layers give the scores, each its share."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.fc2 = nn.Linear(self.fc.in_features, num_classes)
        self.shares = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.act(self.norm(self.conv1(x))))
        return mixed(self, self.dropout(self.flatten(self.pool(x))))


class Scaling(Mixing):
    """What scales the features is no share of a layer."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__(num_classes, in_chans)
        self.shares = nn.Parameter(torch.ones(self.fc.in_features))


def mixed(model: Any, x: Tensor) -> Tensor:
    if len(model.shares) > 2:
        return model.fc(x * model.shares) + model.fc2(x)
    return model.shares[0] * model.fc(x) + model.shares[1] * model.fc2(x)


def test_a_head_may_have_the_shares_of_several_layers() -> None:
    head = Stage("head", run=("dropout", mixed), owns=("fc", "fc2", "shares"))
    check_architecture(architecture(Mixing, changed(head)), size=SIZE)
    told = "The head must own the last linear layer (or convolution) alone, not fc, fc2, shares."
    assert fails(Scaling, changed(head)) == told


def test_a_head_that_owns_nothing() -> None:
    stages = (*STAGES[:2], Stage("tail", run=("pool", "flatten", "dropout", "fc")))
    stages += (Stage("head", run=("act",)),)

    class Positive(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            return self.act(super().forward(x))

    assert fails(Positive, stages).endswith("alone, not nothing.")


def test_a_head_may_have_members_without_parameters_before_its_layer() -> None:
    head = Stage("head", run=("act", "pool", "flatten", "dropout", "fc"))

    class LateActivation(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            x = self.conv2(self.norm(self.conv1(x)))
            return self.fc(self.dropout(self.flatten(self.pool(self.act(x)))))

    stages = (Stage("stem", run=("conv1", "norm")), Stage("body", run=("conv2",)), head)
    check_architecture(architecture(LateActivation, stages), size=SIZE)


def test_a_head_may_be_a_convolution() -> None:
    class Convolutional(Tiny):
        def __init__(self, num_classes: int, in_chans: int) -> None:
            super().__init__(num_classes, in_chans)
            self.fc = nn.Conv2d(4, num_classes, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv2(self.act(self.norm(self.conv1(x))))
            return self.flatten(self.pool(self.fc(self.dropout(x))))

    head = Stage("head", run=("dropout", "fc", "pool", "flatten"))
    check_architecture(architecture(Convolutional, (*STAGES[:2], head)), size=SIZE)


def test_a_last_stage_of_another_name() -> None:
    told = fails(stages=changed(rename="classifier"))
    assert 'must have different names and end with "head": stem, body, pool, classifier.' in told


# --- 4. classes and channels ---------------------------------------------------------------------


def test_classes_that_are_ignored() -> None:
    told = fails(lambda num_classes, in_chans: Tiny(5, in_chans))
    assert "num_classes=7) gives scores of shape (2, 5)" in told
    assert "pass num_classes on to the last layer" in told


def test_channels_that_are_ignored() -> None:
    told = fails(lambda num_classes, in_chans: Tiny(num_classes, 3))
    assert "build(in_chans=1, num_classes=7) takes no pictures of shape (1, 12, 12)" in told
    assert "Is in_chans passed on to the first layer" in told


def test_scores_that_are_no_tensor() -> None:
    class Pair(Tiny):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), x

    assert "forward() must give one tensor of scores, not a tuple of 2:" in fails(Pair)


# --- 6. and 7. names and torch -------------------------------------------------------------------


def test_a_name_that_zoo_adds() -> None:
    class Summarised(Tiny):
        def summary(self) -> str:
            return "mine"

    assert fails(Summarised).startswith("Summarised has attributes that zoo needs: summary")

    class Chained(Tiny):
        chain = ()

    assert fails(Chained).startswith("Chained has attributes that zoo needs: chain")


def test_a_path_that_is_not_there() -> None:
    told = fails(stages=changed(Stage("stem", run=("conv0", "norm", "act"))))
    assert 'The stage "stem" of "tiny" names conv0, which its Tiny does not have.' in told


def test_a_path_that_is_nearly_there() -> None:
    told = fails(stages=changed(Stage("stem", run=("conv", "norm", "act"))))
    assert 'names conv, which its Tiny does not have. Closest: "conv2", "conv1".' in told


def test_one_path_is_a_tuple_of_one() -> None:
    with pytest.raises(TypeError, match=r'"pool" must be a tuple: run=\("pool",\)'):
        Stage("pool", run="pool")  # type: ignore[arg-type]


def test_a_function_that_no_import_finds() -> None:
    stages = changed(Stage("body", run=("conv2", lambda model, x: x)))
    assert "the functions in `run` must be those of a module" in fails(stages=stages)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(AssertionError, match=r'No model "lenet7"\. Closest: .*"lenet5"'):
        check_architecture("lenet7")


# --- regularizers --------------------------------------------------------------------------------


class Decay(Regularizer):
    """λΣw²/2, which keeps every rule."""

    def gradients(self) -> None:
        for weight in self.trained.values():
            weight.grad += 0.1 * weight.detach()

    def penalty(self) -> Tensor:
        return 0.05 * sum((w.detach() ** 2).sum() for w in self.trained.values())


class TooStrong(Decay):
    def gradients(self) -> None:
        super().gradients()
        super().gradients()


class ForgetsBiases(Decay):
    def gradients(self) -> None:
        for weight in self.decayed.values():
            weight.grad += 0.1 * weight.detach()


class TouchesFrozen(Regularizer):
    @torch.no_grad()
    def weights(self) -> None:
        for weight in self.model.parameters():
            weight.mul_(0.9)


class NoNumber(Regularizer):
    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss * torch.nan


class Exploding(Regularizer):
    @torch.no_grad()
    def weights(self) -> None:
        for weight in self.trained.values():
            weight.div_(0)


class NotANumber(Regularizer):
    def penalty(self) -> Tensor:
        return torch.tensor(torch.nan)


class Shrink(Regularizer):
    """0.1·Σw², by its proximal step."""

    strength = 0.1

    @torch.no_grad()
    def weights(self) -> None:
        taken = 1 if self.step_taken is None else self.step_taken
        for weight in self.trained.values():
            weight.div_(1 + 2 * self.optimizer.param_groups[0]["lr"] * self.strength * taken)

    def penalty(self) -> Tensor:
        return 0.1 * sum((w.detach() ** 2).sum() for w in self.trained.values())


class ShrinkTooMuch(Shrink):
    strength = 0.2


class ShrinkSkipped(Shrink):
    @torch.no_grad()
    def weights(self) -> None:
        for weight in self.trained.values():
            weight.div_(1 + 2 * self.optimizer.param_groups[0]["lr"] * self.strength)


class Forgetful(Regularizer):
    """Gets stronger with the steps, and does not say so in its state."""

    done = 0

    def gradients(self) -> None:
        self.done += 1
        for weight in self.trained.values():
            weight.grad += 0.1 * self.done * weight.detach()


class LeavesHooks(Regularizer):
    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        model.register_forward_hook(lambda *args: None)


class KeepsAverages(Regularizer):
    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        with torch.no_grad():
            for weight in self.trained.values():
                weight.mul_(0.5)
        yield


class Misnamed(Regularizer):
    def gradient(self) -> None:
        """Nobody calls this."""


class NoVerdict(Regularizer):
    def validation(self, metrics: Any) -> None:  # type: ignore[override]
        """Returns nothing."""


class NoLoss(Regularizer):
    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:  # type: ignore[override]
        """Returns nothing."""


class Unsaveable(Regularizer):
    def state_dict(self) -> dict[str, Any]:
        return {"rule": lambda: None}


class Raising(Regularizer):
    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        raise KeyError("scale")


def test_a_regularizer_that_keeps_the_contract_passes() -> None:
    check_regularizer(Decay())
    check_regularizer(Shrink())
    check_regularizer(Regularizer())
    assert zoo.regularizers([Decay()]).members


@pytest.mark.parametrize(
    ("regularizer", "told"),
    [
        (TooStrong(), r"gradients\(\) adds .* of block\.conv\.weight, but penalty\(\) rises by"),
        (ForgetsBiases(), r"gradients\(\) adds 0 along a direction of block\.norm\.weight, but"),
        (
            TouchesFrozen(),
            r"stem\.0\.weight, .* moved although .* act on self\.trained only",
        ),
        (NoNumber(), r"The loss is no number"),
        (Exploding(), r"no number"),
        (NotANumber(), r"penalty\(\) is nan, not a number"),
        (ShrinkTooMuch(), r"no proximal step of penalty\(\): for .* it is too strong"),
        (ShrinkSkipped(), r"block\.conv\.weight, .* moved in a step that the scaler skipped"),
        (Forgetful(), r"A resumed run differs in block\.conv\.weight"),
        (LeavesHooks(), r"detach\(\) leaves hooks or modules in the network"),
        (KeepsAverages(), r"is another one after evaluating\(\)"),
        (Misnamed(), r"Misnamed\.gradient is called by nobody: is it gradients\?"),
        (NoVerdict(), r"validation\(\) of NoVerdict returns no Verdict"),
        (NoLoss(), r"loss\(\) returns None, not the loss"),
        (Unsaveable(), r"state_dict\(\) cannot be saved and read again"),
        (Raising(), r"loss\(\) of Raising raised KeyError: 'scale'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Regularizer) else "",
)
def test_regularizers_that_break_the_contract(regularizer: Regularizer, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_regularizer(regularizer)
