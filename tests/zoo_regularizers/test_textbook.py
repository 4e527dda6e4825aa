"""The textbook's formulas, one test each: what zoo does is what is written there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.regularize.regularizer import Verdict


def regression(seed: int = 0) -> tuple[nn.Linear, Tensor, Tensor]:
    """A linear model without bias, 20 examples (x, y) of 4 features; float64."""
    torch.manual_seed(seed)
    model = nn.Linear(4, 1, bias=False).double()
    x = torch.randn(20, 4, dtype=torch.float64)
    return model, x, x @ torch.tensor([[1.0], [-2.0], [0.0], [0.5]], dtype=torch.float64)


def half_mean_square(outputs: Tensor, y: Tensor) -> Tensor:
    """1/2n Σ (ŷ - y)²."""
    return ((outputs - y) ** 2).sum() / (2 * len(y))


def test_weight_decay_is_the_gradient_of_the_penalised_cost() -> None:
    """J = 1/2n Σ(ŷ-y)² + λΣw²: `l2=λ` gives 1/n Xᵀ(Xw-y) + 2λw."""
    model, x, y = regression()
    stack = zoo.regularizers("l2=0.05").attach(model)
    half_mean_square(model(x), y).backward()
    stack.gradients()
    w = model.weight.detach()
    by_hand = (x @ w.T - y).T @ x / len(y) + 2 * 0.05 * w
    assert torch.allclose(model.weight.grad, by_hand, atol=1e-14)
    cost = half_mean_square(model(x), y) + stack.penalty()
    assert cost.item() == pytest.approx((half_mean_square(x @ w.T, y) + 0.05 * (w**2).sum()).item())


def test_weight_decay_equals_that_of_sgd_with_twice_the_strength() -> None:
    """`l2=λ` and SGD's weight_decay=2λ take the same steps."""
    ours, x, y = regression()
    theirs, _, _ = regression()
    plain = torch.optim.SGD(ours.parameters(), lr=0.1)
    decaying = torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=2 * 0.05)
    stack = zoo.regularizers("l2=0.05").attach(ours, optimizer=plain)
    for _ in range(50):
        for model, optimizer in ((ours, plain), (theirs, decaying)):
            optimizer.zero_grad()
            half_mean_square(model(x), y).backward()
            if model is ours:
                stack.gradients()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-15)


def test_weight_decay_ends_at_ridge_regression() -> None:
    """The least of J is w = (XᵀX/n + 2λI)⁻¹ Xᵀy/n."""
    model, x, y = regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    stack = zoo.regularizers("l2=0.05").attach(model, optimizer=optimizer)
    for _ in range(500):
        optimizer.zero_grad()
        half_mean_square(model(x), y).backward()
        stack.gradients()
        optimizer.step()
    gram = x.T @ x / len(y) + 2 * 0.05 * torch.eye(4, dtype=torch.float64)
    assert torch.allclose(model.weight.T, torch.linalg.solve(gram, x.T @ y / len(y)), atol=1e-10)


def test_the_lasso_ends_where_its_conditions_hold() -> None:
    """At the least of 1/2n Σ(ŷ-y)² + λΣ|w|, each w is zero or its gradient is -λ sign(w)."""
    model, x, y = regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    stack = zoo.regularizers("l1=0.2").attach(model, optimizer=optimizer)
    for _ in range(2000):
        optimizer.zero_grad()
        half_mean_square(model(x), y).backward()
        optimizer.step()
        stack.weights()
    w = model.weight.detach()[0]
    gradient = ((x @ w - y[:, 0]) @ x) / len(y)
    zero = w == 0
    assert zero[2] and not zero[1]  # the feature that plays no part, and the one that plays most
    assert torch.allclose(gradient[~zero], -0.2 * w[~zero].sign(), atol=1e-10)
    assert (gradient[zero].abs() <= 0.2).all()


def test_the_lassos_step_is_the_soft_threshold() -> None:
    """w ← sign(w)·max(|w| - lr·λ, 0)."""
    model = nn.Linear(5, 1, bias=False).double()
    before = torch.tensor([[-2.0, -0.1, 0.0, 0.1, 2.0]], dtype=torch.float64)
    model.weight.data.copy_(before)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    zoo.regularizers("l1=0.4").attach(model, optimizer=optimizer).weights()
    assert model.weight.tolist() == [[-1.8, 0.0, 0.0, 0.0, 1.8]]


def test_early_stopping_checks_every_k_steps_and_goes_back_to_the_previous_model() -> None:
    """Checked every k steps: worse than last time, stop and go back to the previous model."""
    model = nn.Linear(1, 1, bias=False)
    rule = "early-stopping:rule=up,patience=1,strip=1,every=10,min_delta=0"
    stack = zoo.regularizers(rule).attach(model)
    errors = {10: 3.0, 20: 2.0, 30: 2.5, 40: 1.0}
    for step in range(1, 41):
        with torch.no_grad():
            model.weight.fill_(step)
        stack.gradients()
        stack.weights()
        # A check that comes too early does not count, however bad.
        verdict = stack.validation({"loss": errors.get(step, 100.0), "accuracy": 0.0})
        if verdict is Verdict.STOP:
            break
    assert step == 30
    stack.detach()
    assert model.weight.item() == 20


def test_early_stopping_checks_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked every s seconds: what lies between does not count."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    stack = zoo.regularizers("early-stopping:patience=1,seconds=60").attach(nn.Linear(1, 1))
    verdicts = []
    for now, loss in ((30, 5.0), (60, 1.0), (90, 9.0), (119, 9.0), (120, 2.0)):
        clock[0] = now
        verdicts.append(stack.validation({"loss": loss}))
    go, better, stop = Verdict.CONTINUE, Verdict.IMPROVED, Verdict.STOP
    assert verdicts == [go, better, go, go, stop]


def test_mini_batch_sgd_is_the_gradient_of_the_whole_in_expectation() -> None:
    """Over one epoch, the gradients of equal mini-batches have the mean of the whole batch's."""
    model, x, y = regression()
    order = torch.randperm(20)
    gradients = []
    for picked in (*order.split(5), torch.arange(20)):
        model.zero_grad()
        half_mean_square(model(x[picked]), y[picked]).backward()
        gradients.append(model.weight.grad.clone())
    *parts, whole = gradients
    assert torch.allclose(torch.stack(parts).mean(0), whole, atol=1e-14)
    assert not torch.allclose(parts[0], whole)


@pytest.mark.parametrize("form", ["classic", "inverted"])
def test_dropout_has_the_same_expectation_in_training_and_in_testing(form: str) -> None:
    """Classic: mask in training, activations times p = keep in testing. Inverted: mask/keep."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 200), nn.Linear(200, 1, bias=False)).double()
    nn.init.ones_(model[1].weight)
    x = torch.randn(1, 3, dtype=torch.float64)
    plain = model.eval()(x).item()
    zoo.regularizers(f"dropout=0.25:form={form}").attach(model)
    testing = model.eval()(x).item()
    with torch.no_grad():
        trained = model.train()(x.expand(20_000, -1)).squeeze(1)
    wanted = plain * 0.75 if form == "classic" else plain
    assert testing == pytest.approx(wanted, rel=1e-12)
    error = trained.std().item() / len(trained) ** 0.5
    assert abs(trained.mean().item() - testing) < 4 * error
    assert trained.std() > 0
