"""Averages of weights and early stopping; scalers, and two processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support.plain_loop import step
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.regularize.regularizer import Verdict
from zoo_core.regularize.stack import Stack

QUIET = {"out": False, "progress": False}


class Normed(nn.Module):
    """A frozen layer, then one with batch statistics; float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(6, 8).requires_grad_(False)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.frozen(x)))


def trained(name: str, after_step=lambda model: None, steps: int = 12) -> tuple[nn.Module, Stack]:
    """A training with a validation each three steps; `after_step` sees the model at each."""
    model = Normed()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    stack = zoo.regularizers(name).attach(model, optimizer=optimizer)
    draw = torch.Generator().manual_seed(0)
    for number in range(steps):
        x = torch.randn(16, 6, dtype=torch.float64, generator=draw)
        y = torch.randint(3, (16,), generator=draw)
        step(model, optimizer, stack, x, y)
        after_step(model)
        if number % 3 == 2:
            with stack.evaluating():
                pass
            stack.validation({"loss": 1.0 / (number + 1), "accuracy": 0.5})
    return model, stack


def test_ema_equals_torchs() -> None:
    theirs: list[AveragedModel] = []

    def follow(model: nn.Module) -> None:
        theirs[0].update_parameters(model)

    start = AveragedModel(Normed(), multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=False)
    theirs.append(start)
    start.n_averaged += 1  # so that the first model counts as the average that it begins with
    model, stack = trained("ema=0.9:warmup=false", follow)
    stack.detach()
    for a, b in zip(model.parameters(), theirs[0].module.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-14)
    assert torch.equal(model.frozen.weight, Normed().frozen.weight)


def test_ema_begins_with_a_small_decay() -> None:
    """At step t, at most (1+t)/(10+t): by hand."""
    by_hand = Normed().head.bias.detach().clone()
    counts = iter(range(1, 100))

    def follow(model: nn.Module) -> None:
        t = next(counts)
        decay = min(0.999, (1 + t) / (10 + t))
        by_hand.mul_(decay).add_(model.head.bias.detach(), alpha=1 - decay)

    model, stack = trained("ema=0.999", follow)
    stack.detach()
    assert torch.allclose(model.head.bias, by_hand, atol=1e-14)


def test_swa_is_the_mean_of_the_late_weights_with_statistics_of_its_own() -> None:
    seen: list[Tensor] = []
    model, stack = trained("swa=2", lambda m: seen.append(m.head.weight.detach().clone()))
    with stack.evaluating():
        # Validations after steps 3, 6, 9 and 12; the first two do not count.
        assert torch.allclose(model.head.weight, (seen[8] + seen[11]) / 2, atol=1e-14)
        measured = model.norm.running_mean.clone()
    draw, frozen = torch.Generator().manual_seed(0), model.frozen
    batches = []
    for _ in range(12):
        batches.append(torch.randn(16, 6, dtype=torch.float64, generator=draw))
        torch.randint(3, (16,), generator=draw)
    means = [frozen(batch).mean(0) for batch in batches[-8:]]
    assert torch.allclose(measured, torch.stack(means).mean(0), atol=1e-12)
    assert torch.equal(model.head.weight, seen[11])
    stack.detach()
    assert torch.allclose(model.head.weight, (seen[8] + seen[11]) / 2, atol=1e-14)


def test_finetune_keeps_the_best_since_the_average_began(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A single model that happens to be better before does not win over the average."""
    quiet = {**QUIET, "lr": 0.03, "freeze_until": "fc1"}
    run = zoo.finetune("lenet5", "digits", epochs=4, regularizers="swa=2", **quiet)
    assert run.best["epoch"] > 2
    later = {**quiet, "progress": True}
    zoo.finetune("lenet5", "digits", epochs=1, regularizers="swa=2", **later)
    assert "swa did not begin in this training." in capsys.readouterr().err


def test_regularizers_of_an_earlier_training_are_refused() -> None:
    stack = zoo.regularizers(["l2", "early-stopping"])
    zoo.finetune("lenet5", "digits", epochs=1, freeze_until="head", regularizers=stack, **QUIET)
    with pytest.raises(zoo.RecipeError, match=r"was in a training already"):
        zoo.finetune("lenet5", "digits", epochs=1, regularizers=stack, **QUIET)


def test_swa_every_so_many_steps_needs_no_validation() -> None:
    seen: list[Tensor] = []
    model, stack = trained(
        "swa:start=4,every=3", lambda m: seen.append(m.head.weight.detach().clone()), steps=11
    )
    stack.detach()
    assert torch.allclose(model.head.weight, (seen[6] + seen[9]) / 2, atol=1e-14)
    with pytest.raises(zoo.RecipeError, match=r"swa needs validation"):
        zoo.finetune("lenet5", "digits", val=False, regularizers="swa", epochs=1, **QUIET)


def test_two_averages_exclude_each_other() -> None:
    with pytest.raises(zoo.RecipeError, match=r"ema and swa each put averaged weights"):
        zoo.regularizers(["ema", "swa"])


@pytest.mark.parametrize("order", [["ema=0.5", "early-stopping"], ["early-stopping", "ema=0.5"]])
def test_the_best_that_comes_back_is_what_was_validated(order: list[str]) -> None:
    """Weights, buffers and averages: those of the best validation, in either order."""
    torch.manual_seed(0)
    model = Normed()
    stack = zoo.regularizers(order).attach(model)
    best: dict[str, Tensor] = {}
    for loss in (3.0, 1.0, 2.0):
        with torch.no_grad():
            for parameter in (*model.norm.parameters(), *model.head.parameters()):
                parameter.add_(1)
            model.norm.running_mean.add_(1)
        stack.gradients()
        stack.weights()
        with stack.evaluating():
            state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if stack.validation({"loss": loss}) is Verdict.IMPROVED:
            best = state
    stack.detach()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, best[name]), name


def test_classic_dropout_leaves_the_model_that_was_validated() -> None:
    """Its factor is in the weights that come back as the best, not in a hook that has gone."""
    val = open_data("digits").subset(range(0, 1797, 5))
    rest = open_data("digits").subset([i for i in range(1797) if i % 5])
    chosen = ["dropout=0.5:form=classic", "ema=0.9", "early-stopping"]
    run = zoo.finetune("lenet5", rest, val=val, epochs=2, regularizers=chosen, **QUIET)
    assert zoo.evaluate(run.model, val, progress=False)["loss"] == pytest.approx(
        run.best["val_loss"], rel=1e-5
    )


def test_finetune_keeps_the_averages_that_it_validated() -> None:
    """The accuracy in the record is that of the model that it leaves."""
    run = zoo.finetune("lenet5", "digits", epochs=2, regularizers="ema=0.99", lr=3e-3, **QUIET)
    scores = zoo.evaluate(run.model, "digits", progress=False)
    assert scores["accuracy"] > 0.8
    again = zoo.finetune("lenet5", "digits", epochs=2, lr=3e-3, **QUIET)
    assert not torch.equal(run.model.head.weight, again.model.head.weight)


# --- when to stop --------------------------------------------------------------------------------


def stops_at(name: str, errors: list[float], losses: list[float] | None = None) -> int | None:
    """The number of the validation that stops, from 1; None when none does."""
    stack = zoo.regularizers(name).attach(nn.Linear(1, 1))
    for i, error in enumerate(errors):
        metrics = {"loss": error} | ({"train_loss": losses[i]} if losses else {})
        if stack.validation(metrics) is Verdict.STOP:
            return i + 1
    return None


def test_generality_loss_stops_above_alpha_percent() -> None:
    """GL(t) = 100·(E(t)/min E - 1)."""
    errors = [2.0, 1.0, 1.04, 1.049, 1.051, 0.5]
    assert stops_at("early-stopping:rule=gl,alpha=5", errors) == 5
    assert stops_at("early-stopping:rule=gl,alpha=6", errors) is None


def test_quotient_of_generality_loss_and_progress() -> None:
    """PQ_α at the end of a strip: GL / P_k > α, P_k = 1000·(mean/min - 1) of training losses."""
    losses = [1.2, 1.0, 0.8, 0.8, 0.8, 0.8]
    errors = [1.0, 1.0, 1.2, 1.2, 1.2, 1.2]
    # Strip 1: GL 20 over P 250; strip 2: the training loss stands still, so P is 0.
    assert stops_at("early-stopping:rule=pq,strip=3", errors, losses) == 6
    assert stops_at("early-stopping:rule=pq,strip=3,alpha=0.079", errors, losses) == 3
    assert stops_at("early-stopping:rule=pq,strip=3,alpha=0.081", errors, losses) == 6


def test_pq_notes_the_training_loss_itself_in_anybodys_loop() -> None:
    stack = zoo.regularizers("early-stopping:rule=pq,strip=1").attach(nn.Linear(1, 1))
    outputs, targets = torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)
    for error in (1.0, 1.2):
        stack.loss(torch.tensor(0.5), outputs, targets)
        verdict = stack.validation({"loss": error})
    assert verdict is Verdict.STOP


def test_up_stops_after_successive_rises_of_strips() -> None:
    """UP_s: the error at the end of a strip rose in s strips in a row."""
    errors = [1.0, 0.9, 0.95, 0.93, 0.97, 0.99, 1.0]
    assert stops_at("early-stopping:rule=up,patience=2,strip=1", errors) == 6
    assert stops_at("early-stopping:rule=up,patience=1,strip=1", errors) == 3
    # Ends of strips of two: 0.9, 0.93, 0.99.
    assert stops_at("early-stopping:rule=up,patience=2,strip=2", errors) == 6


def test_a_validation_without_what_is_watched_is_an_error() -> None:
    stack = zoo.regularizers("early-stopping").attach(nn.Linear(1, 1))
    with pytest.raises(zoo.RecipeError, match=r'watches "loss", which the validation has not'):
        stack.validation({"lossy": 1.0})


def test_an_error_that_is_no_number_is_no_improvement() -> None:
    assert stops_at("early-stopping=2", [1.0, math.nan, math.nan]) == 3


# --- the stack -----------------------------------------------------------------------------------


def test_a_state_of_other_regularizers_is_refused() -> None:
    state = zoo.regularizers(["l2", "ema"]).attach(Normed()).state_dict()
    with pytest.raises(zoo.RecipeError, match=r"\['l2', 'ema'\], and these are \['ema'\]"):
        zoo.regularizers("ema").attach(Normed()).load_state_dict(state)


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())


def test_what_cannot_be_attached_leaves_neither_hooks_nor_a_run(tmp_path: Path) -> None:
    model = zoo.create("lenet5", pretrained=True)
    chosen = ["dropout", "stochastic-depth"]
    with pytest.raises(zoo.RecipeError, match=r"stochastic-depth has nothing to act on"):
        zoo.finetune(model, "digits", regularizers=chosen, out=tmp_path / "run", progress=False)
    assert hooks(model) == 0 and not (tmp_path / "run").exists()


def test_a_training_that_fails_leaves_no_hooks() -> None:
    model = zoo.create("lenet5", pretrained=True)
    with pytest.raises(zoo.RecipeError, match=r"is no number"):
        zoo.finetune(model, "digits", lr=1e30, epochs=1, regularizers="dropout", **QUIET)
    assert hooks(model) == 0


def test_wrappers_of_torch_are_taken_off() -> None:
    model = zoo.create("lenet5", pretrained=True)
    stack = zoo.regularizers("l2-sp").attach(torch.compile(nn.DataParallel(model)))
    assert stack.members[0].model is model


def test_cache_and_mixing_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"regularizers": "mixup", "epochs": 1, "freeze_until": "fc1", "out": False}
    with pytest.raises(zoo.RecipeError, match=r"cache=True cannot be: mixup") as caught:
        zoo.finetune("lenet5", "digits", cache=True, **given)
    assert "manifold-mixup" in str(caught.value)
    zoo.finetune("lenet5", "digits", **given)
    assert "Not cached: mixup makes other pictures in each step." in capsys.readouterr().err


def test_a_penalty_that_is_no_number_is_named() -> None:
    class Broken(zoo.Regularizer):
        name = "broken"

        def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
            return loss + self.penalty()

        def penalty(self) -> Tensor:
            return torch.tensor(math.nan)

    with pytest.raises(zoo.RecipeError, match=r"and the penalty of broken\) is no number"):
        zoo.finetune("lenet5", "digits", epochs=1, regularizers=[Broken()], **QUIET)


def test_penalties_are_in_the_history() -> None:
    run = zoo.finetune("lenet5", "digits", epochs=1, regularizers=["l2=1e-3", "ema"], **QUIET)
    expected = 1e-3 * sum((p**2).sum() for p in run.model.parameters() if p.ndim >= 2).item()
    assert run.history[0]["penalty_l2"] == pytest.approx(expected, rel=0.3)
    assert "penalty_ema" not in run.history[0]
