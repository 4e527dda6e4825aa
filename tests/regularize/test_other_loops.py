"""Regularizers in Lightning, in Hugging Face's Trainer and with Accelerate: as in a plain loop.

Every comparison is on real digits, with the same batches, and exact.
"""

import contextlib
import functools

import pytest
import torch
from support.other_loops import (
    BATCH,
    EPOCHS,
    QUIET,
    classifier,
    fit,
    model,
    optimizer_and_schedule,
    same,
    trainer,
)
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

import zoo_core as zoo
from zoo_core.regularize.regularizer import Regularizer, Verdict

pytestmark = QUIET


class Seeds(Regularizer):
    """Makes the draws of those behind it the same in every loop."""

    def __init__(self):
        super().__init__()
        self.drawn = 0

    def batch(self, x, y):
        self.drawn += 1
        torch.manual_seed(self.drawn)
        return x, y


class Mix(Regularizer):
    """Half a picture of another: soft labels."""

    def batch(self, x, y):
        share = torch.rand(())
        soft = functional.one_hot(y, 10).to(x.dtype)
        return share * x + (1 - share) * x.flip(0), share * soft + (1 - share) * soft.flip(0)


class Confidence(Regularizer):
    """The confidence penalty of Pereyra et al., 2017; needs what training gives to `loss`."""

    def loss(self, loss, outputs, targets):
        assert len(targets) == len(outputs)
        shares = outputs.softmax(1)
        return loss + 0.1 * (shares * shares.log()).sum(1).mean()


class Climb(Regularizer):
    """SAM: the gradient at the worst place nearby."""

    def passes(self, closure):
        loss = closure()
        weights = list(self.trained.values())
        length = torch.stack([w.grad.norm() for w in weights]).norm()
        moves = [0.05 * w.grad / length for w in weights]
        with torch.no_grad():
            torch._foreach_add_(weights, moves)
        for weight in weights:
            weight.grad = None
        closure()
        with torch.no_grad():
            torch._foreach_sub_(weights, moves)
        return loss


class Calls(Regularizer):
    """Writes down its moments."""

    needs_validation = True

    def __init__(self):
        super().__init__()
        self.calls, self.taken = [], []

    def attach(self, model, **given):
        super().attach(model, **given)
        self.calls.append("attach")

    @contextlib.contextmanager
    def evaluating(self):
        assert self.model.training  # where averages see which statistics train
        yield

    def gradients(self):
        self.calls.append("gradients")

    def weights(self):
        self.calls.append("weights")
        self.taken.append(self.stack.taken)

    def validation(self, metrics):
        assert 0 <= metrics["accuracy"] <= 1 and metrics["loss"] > 0
        self.calls.append("validation")
        return Verdict.CONTINUE

    def detach(self):
        super().detach()
        self.calls.append("detach")


CASES = {
    "gradients": lambda: ["l2=0.01", "l2-sp=0.1"],
    "weights": lambda: ["max-norm=0.5", "l1=1e-3"],
    "loss": lambda: [Confidence()],
    "batch": lambda: [Seeds(), "mixup"],
    "passes": lambda: [Seeds(), Mix(), "sam"],
    "averages": lambda: ["ema=0.9", "l2=0.01"],
    "stops": lambda: ["early-stopping:patience=1,min_delta=0.5"],
}
ACCUMULATED = [name for name in CASES if name != "passes"]


def plain(chosen, digits, accumulate=1):
    """What the others must equal: the loop of the documentation."""
    train, (x_val, y_val) = digits[0], digits[1].tensors
    network = model()
    optimizer, schedule = optimizer_and_schedule(network)
    stack = zoo.regularizers(chosen).attach(network, optimizer=optimizer)
    epochs = 0
    for _ in range(EPOCHS):
        epochs += 1
        network.train()
        for number, (x, y) in enumerate(DataLoader(train, BATCH), 1):
            x, y = stack.batch(x, y)

            def closure(x=x, y=y):
                outputs = network(x)
                loss = stack.loss(functional.cross_entropy(outputs, y), outputs, y)
                (loss / accumulate).backward()
                return loss.detach()

            stack.passes(closure)
            if number % accumulate == 0:
                stack.gradients()
                optimizer.step()
                stack.weights()
                schedule.step()
                optimizer.zero_grad()
        with stack.evaluating(), torch.no_grad():
            network.eval()
            scores = network(x_val)
        accuracy = (scores.argmax(1) == y_val).float().mean().item()
        metrics = {"loss": functional.cross_entropy(scores, y_val).item(), "accuracy": accuracy}
        if stack.validation(metrics) is Verdict.STOP:
            break
    stack.detach()
    return network, epochs


@pytest.fixture(scope="module")
def expected(digits):
    """The plain loop's model and epochs, by case and accumulated batches."""

    @functools.cache
    def trained(case, accumulate=1):
        return plain(CASES[case](), digits, accumulate)

    return trained


@pytest.fixture(scope="module")
def without(digits):
    return plain([], digits)[0]


@pytest.mark.parametrize("case", CASES)
def test_every_case_makes_a_difference(case, expected, without):
    assert not same(expected(case)[0], without)


# --- Accelerate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ACCUMULATED)
def test_accelerate_needs_no_adapter(case, digits, expected):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    optimizer, schedule = optimizer_and_schedule(network := model())
    train = DataLoader(digits[0], BATCH)
    forward, prepared, train = accelerator.prepare(network, optimizer, train)
    stack = zoo.regularizers(CASES[case]())
    stack.attach(network, optimizer=prepared, scaler=accelerator.scaler)
    (x_val, y_val), epochs = digits[1].tensors, 0
    for _ in range(EPOCHS):
        epochs += 1
        network.train()
        for x, y in train:
            with accelerator.accumulate(forward):
                x, y = stack.batch(x, y)

                def closure(x=x, y=y):
                    outputs = forward(x)
                    loss = stack.loss(functional.cross_entropy(outputs, y), outputs, y)
                    accelerator.backward(loss)
                    return loss.detach()

                stack.passes(closure)
                if accelerator.sync_gradients:
                    accelerator.unscale_gradients(prepared)
                    stack.gradients()
                prepared.step()
                if accelerator.sync_gradients:
                    stack.weights()
                    schedule.step()
                prepared.zero_grad()
        with stack.evaluating(), torch.no_grad():
            scores = network.eval()(x_val)
        metrics = {"loss": functional.cross_entropy(scores, y_val).item(), "accuracy": 1.0}
        if stack.validation(metrics) is Verdict.STOP:
            break
    stack.detach()
    AcceleratorState._reset_state(reset_partial_state=True)
    theirs, their_epochs = expected(case, 2)
    assert same(network, theirs) and epochs == their_epochs


# --- Lightning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_lightning_trains_as_the_plain_loop(case, digits, expected):
    pytest.importorskip("lightning")
    from zoo_core.lightning import Regularized

    trainer = fit(classifier(Regularized, network := model()), CASES[case](), digits)
    theirs, epochs = expected(case)
    assert same(network, theirs)
    assert trainer.current_epoch == epochs and (case != "stops" or epochs < EPOCHS)


@pytest.mark.parametrize("case", ACCUMULATED)
def test_lightning_accumulates(case, digits, expected):
    pytest.importorskip("lightning")
    from zoo_core.lightning import Regularized

    module = classifier(Regularized, network := model())
    fit(module, CASES[case](), digits, accumulate_grad_batches=2)
    assert same(network, expected(case, 2)[0])


def test_in_lightning_a_callback_is_enough_for_most(digits):
    lightning = pytest.importorskip("lightning.pytorch")
    chosen = ["l2=0.01", "l1=1e-3", "ema=0.9", own := Calls()]
    fit(classifier(lightning.LightningModule, network := model()), chosen, digits)
    assert own.calls == ["attach", *(["gradients", "weights"] * 6 + ["validation"]) * 3, "detach"]
    assert same(network, plain(["l2=0.01", "l1=1e-3", "ema=0.9"], digits)[0])


def test_lightning_unscales_and_goes_on_after_a_skipped_step(digits):
    pytest.importorskip("lightning")
    from lightning.pytorch.plugins import MixedPrecision

    from zoo_core.lightning import Regularization, Regularized

    # bfloat16 needs no scaler; with one of 2**127, the first steps overflow and are skipped
    class Half(MixedPrecision):
        def forward_context(self):
            return torch.autocast("cpu", torch.bfloat16)

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-60)
    half = Half("16-mixed", "cpu", scaler)
    callback = Regularization(["ema=0.9", "l1=1e-3", "l2=1e-3", own := Calls()])
    fit(classifier(Regularized, network := model()), callback, digits, plugins=[half])
    taken = [bool(t) for t in own.taken]
    assert len(taken) == callback.stack.steps == 18 and taken == sorted(taken)
    assert not taken[0] and taken[-1]
    assert all(w.isfinite().all() for w in network.parameters())
    assert not same(network, model())


def test_lightning_resumes(digits, tmp_path):
    pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint

    from zoo_core.lightning import Regularization, Regularized

    chosen = ["l2-sp=0.1", "ema=0.9", "early-stopping=5"]
    fit(classifier(Regularized, whole := model()), chosen, digits)
    saving = [Regularization(chosen), ModelCheckpoint(tmp_path, filename="one")]
    half = {"max_epochs": 1, "enable_checkpointing": True, "callbacks": saving}
    fit(classifier(Regularized, model()), chosen, digits, **half)
    rest = {"enable_checkpointing": True, "path": tmp_path / "one.ckpt"}
    saving = [Regularization(chosen), ModelCheckpoint(tmp_path)]
    fit(classifier(Regularized, again := model()), chosen, digits, callbacks=saving, **rest)
    assert same(again, whole)


def test_after_an_exception_lightning_has_the_weights_that_train(digits):
    pytest.importorskip("lightning")
    from zoo_core.lightning import Regularization, Regularized

    module = classifier(Regularized, network := model())

    def fails(batch, number=0):
        if module.global_step:
            raise ArithmeticError

    module.validation_step = fails
    callback = Regularization(["ema=0.9"])
    with pytest.raises(ArithmeticError):
        fit(module, callback, digits)
    with callback.stack.evaluating():
        average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert not any(torch.equal(average[name], now) for name, now in network.state_dict().items())


def test_what_lightning_cannot_serve_is_an_error_when_training_starts(digits):
    lightning = pytest.importorskip("lightning.pytorch")
    from zoo_core.lightning import Regularized

    bare = classifier(lightning.LightningModule, model())
    with pytest.raises(zoo.RecipeError, match=r"Mix and Climb acts inside.*Regularized"):
        fit(bare, [Mix(), Climb(), "l2=1"], digits)
    with pytest.raises(zoo.RecipeError, match=r"Climb replaces.*accumulate_grad_batches"):
        fit(classifier(Regularized, model()), [Climb()], digits, accumulate_grad_batches=2)
    with pytest.raises(zoo.RecipeError, match=r"Calls needs validation"):
        fit(classifier(Regularized, model()), [Calls()], digits, limit_val_batches=0)

    module = classifier(Regularized, model())
    module.training_step = lambda batch, number=0: nn.CrossEntropyLoss()(module(batch[0]), batch[1])
    with pytest.raises(zoo.RecipeError, match=r"training_step leaves out Mix"):
        fit(module, [Mix()], digits)

    module = classifier(Regularized, model())
    module.automatic_optimization = False
    one = torch.optim.SGD(module.parameters(), lr=0.1)
    module.configure_optimizers = lambda: [one, torch.optim.SGD(module.parameters(), lr=0.1)]
    with pytest.raises(zoo.RecipeError, match=r"one optimizer, and this module has 2"):
        fit(module, ["l2"], digits)


def test_lightning_says_which_metric_is_missing(digits):
    pytest.importorskip("lightning")
    from zoo_core.lightning import Regularization, Regularized

    names = {"loss": "loss/val", "accuracy": "acc/val"}
    callback = Regularization(["early-stopping"], metrics=names)
    with pytest.raises(zoo.RecipeError, match=r"early-stopping finds no metric: loss/val and acc"):
        fit(classifier(Regularized, model()), callback, digits)


# --- Hugging Face --------------------------------------------------------------------------------


class Labelled(nn.Module):
    """A model in the manner of transformers: the loss comes out where labels go in."""

    main_input_name = "pixel_values"

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixel_values, labels=None):
        scores = self.network(pixel_values)
        if labels is None:
            return {"logits": scores}
        assert not labels.is_floating_point()
        return {"loss": functional.cross_entropy(scores, labels), "logits": scores}


@pytest.mark.parametrize("case", CASES)
def test_hugging_face_trains_as_the_plain_loop(case, digits, expected, tmp_path):
    done = trainer(network := model(), CASES[case](), digits, tmp_path)
    theirs, epochs = expected(case)
    assert same(network, theirs)
    assert done.state.epoch == epochs and (case != "stops" or epochs < EPOCHS)


@pytest.mark.parametrize("case", ACCUMULATED)
def test_hugging_face_accumulates_with_a_model_that_takes_labels(case, digits, tmp_path):
    def chosen():  # what is inside another module has no pretrained weights of that name
        return [member for member in CASES[case]() if member != "l2-sp=0.1"]

    wrapped = Labelled(inside := model())
    trainer(wrapped, chosen(), digits, tmp_path, gradient_accumulation_steps=2)
    assert same(inside, plain(chosen(), digits, accumulate=2)[0])


def test_hugging_face_calls_the_moments_in_their_order(digits, tmp_path):
    done = trainer(model(), [own := Calls()], digits, tmp_path, eval_on_start=True)
    assert own.calls == ["attach", *(["gradients", "weights"] * 6 + ["validation"]) * 3, "detach"]
    done.evaluate()
    assert own.calls[-1] == "detach"


def test_hugging_face_resumes(digits, tmp_path):
    chosen = ["l2-sp=0.1", "ema=0.9", "early-stopping=5"]
    trainer(whole := model(), chosen, digits, tmp_path / "whole", save_strategy="epoch")
    at = tmp_path / "whole" / "checkpoint-6"
    trainer(again := model(), chosen, digits, tmp_path / "again", resume=str(at))
    assert same(again, whole)
    (at / "regularizers.pt").unlink()
    with pytest.raises(zoo.RecipeError, match=r"has no regularizers\.pt"):
        trainer(model(), chosen, digits, tmp_path / "third", resume=str(at))


def test_what_hugging_face_cannot_serve_is_an_error_when_training_starts(digits, tmp_path):
    with pytest.raises(zoo.RecipeError, match=r"Climb replaces"):
        trainer(model(), [Climb()], digits, tmp_path, gradient_accumulation_steps=2)
    with pytest.raises(zoo.RecipeError, match=r"Calls needs validation"):
        trainer(model(), [Calls()], digits, tmp_path, eval_strategy="no")
    best = {"load_best_model_at_end": True, "save_strategy": "epoch"}
    with pytest.raises(zoo.RecipeError, match=r"ema leaves its average"):
        trainer(model(), ["ema"], digits, tmp_path, **best)
