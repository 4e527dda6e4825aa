"""Lightning's checkpoints: what was validated is what they load, and training goes on exactly."""

import pytest
import torch
from support.other_loops import QUIET, classifier, fit, model, same
from torch.nn import functional

import zoo_core as zoo

lightning = pytest.importorskip("lightning.pytorch")
from lightning.pytorch.callbacks import (  # noqa: E402
    Callback,
    GradientAccumulationScheduler,
    ModelCheckpoint,
)

from zoo_core.lightning import Regularization, Regularized  # noqa: E402

pytestmark = QUIET

AVERAGES = {
    "ema": ["ema=0.9", "l2=0.01"],
    "swa": ["swa:start=0"],
    "classic dropout": ["dropout:p=0.3,form=classic"],
}


def saving(folder, **given):
    return ModelCheckpoint(folder, **{"filename": "{epoch}-{step}", "save_top_k": -1, **given})


def trained(chosen, digits, folder, network=None, **given):
    """A trainer that has trained with checkpoints, and its module."""
    module = classifier(Regularized, network or model())
    saves = [saving(folder, monitor="val_loss", save_last=True)]
    own = Regularization(chosen)
    callbacks = [*given.pop("callbacks", saves), own]
    given |= {"enable_checkpointing": True, "callbacks": callbacks, "default_root_dir": folder}
    return fit(module, own, digits, **given), module


def loss_of(network, digits):
    x, y = digits[1].tensors
    with torch.no_grad():
        return functional.cross_entropy(network.eval()(x), y).item()


def loaded(path):
    module = classifier(Regularized, model())
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    return module.model


@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize("case", AVERAGES)
def test_a_checkpoint_holds_what_was_validated(case, weights_only, digits, tmp_path):
    kept = saving(tmp_path, monitor="val_loss", save_weights_only=weights_only)
    trained(AVERAGES[case], digits, tmp_path, callbacks=[kept])
    assert len(kept.best_k_models) == 3
    for path, score in kept.best_k_models.items():
        assert loss_of(loaded(path), digits) == pytest.approx(float(score), abs=1e-6)
    beside = torch.load(kept.last_model_path or path, weights_only=True)
    assert ("current_model_state" in beside) == (not weights_only)


def test_best_is_tested_and_loaded_as_it_was_validated(digits, tmp_path):
    trainer, module = trained(["ema=0.9"], digits, tmp_path)
    kept = trainer.checkpoint_callback
    from torch.utils.data import DataLoader

    (found,) = trainer.validate(module, DataLoader(digits[1], 32), ckpt_path="best", verbose=False)
    assert found["val_loss"] == pytest.approx(float(kept.best_model_score), abs=1e-6)
    again = type(module).load_from_checkpoint(kept.best_model_path)
    assert loss_of(again.model, digits) == pytest.approx(found["val_loss"], abs=1e-6)


def test_what_does_not_average_is_saved_once(digits, tmp_path):
    trainer, _ = trained(["l2=0.01"], digits, tmp_path)
    assert "current_model_state" not in torch.load(trainer.checkpoint_callback.best_model_path)


@pytest.mark.filterwarnings("ignore:Found 11 module.s. in eval mode")
def test_frozen_weights_are_in_the_file_once(digits, tmp_path):
    network = model()
    network.freeze_until("head")
    trainer, _ = trained(["ema=0.9"], digits, tmp_path, network)
    saved = torch.load(trainer.checkpoint_callback.best_model_path)
    one, other = saved["state_dict"], saved["current_model_state"]
    shared = {name for name in one if one[name].data_ptr() == other[name].data_ptr()}
    assert shared == {f"model.{n}" for n, p in network.named_parameters() if not p.requires_grad}


RESUMED = {
    "ema": ["ema=0.9"],
    "swa": ["swa:start=0"],
    "mixup": ["mixup"],
    "cutmix": ["cutmix"],
    "dropout": ["dropout=0.3", "ema=0.9"],
    "classic dropout": ["dropout:p=0.3,form=classic"],
    "manifold-mixup": ["manifold-mixup", "early-stopping=9"],
}


@pytest.mark.parametrize("case", RESUMED)
def test_training_goes_on_as_if_it_had_never_stopped(case, digits, tmp_path):
    lightning.seed_everything(3, verbose=False)
    _, whole = trained(RESUMED[case], digits, tmp_path / "a", shuffle=True)
    lightning.seed_everything(4, verbose=False)
    at = tmp_path / "a" / "epoch=0-step=6.ckpt"
    _, again = trained(RESUMED[case], digits, tmp_path / "b", shuffle=True, path=at)
    assert same(again, whole)


def test_saves_between_validations_change_nothing(digits, tmp_path):
    chosen = ["swa:start=0", "early-stopping=9"]
    _, whole = trained(chosen, digits, tmp_path / "a")
    often = saving(tmp_path / "b", every_n_train_steps=2)
    _, again = trained(chosen, digits, tmp_path / "b", callbacks=[often])
    assert len(list((tmp_path / "b").glob("*.ckpt"))) == 9
    assert same(again, whole)


class Saves(Callback):
    """Saves in a hook of its own."""

    def __init__(self, hook, path):
        setattr(self, hook, self.save)
        self.path = path

    def save(self, trainer, module, *_):
        if not trainer.sanity_checking and not self.path.exists():
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("hook", ["on_validation_epoch_end", "on_train_epoch_end"])
def test_a_checkpoint_of_any_moment_has_both_weights(hook, digits, tmp_path):
    _, whole = trained(["ema=0.9"], digits, tmp_path / "a", enable_progress_bar=False)
    saves = Saves(hook, tmp_path / "one.ckpt")
    trained(["ema=0.9"], digits, tmp_path / "b", callbacks=[saves, saving(tmp_path / "b")])
    ours = torch.load(tmp_path / "one.ckpt", weights_only=True)
    theirs = torch.load(tmp_path / "a" / "epoch=0-step=6.ckpt", weights_only=True)
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(ours[key][name], theirs[key][name]) for name in theirs[key])
    again = trained(["ema=0.9"], digits, tmp_path / "c", path=tmp_path / "a" / "last.ckpt")[1]
    assert same(again, whole)  # nothing was left to train: the averages stay


def test_what_was_saved_after_the_end_goes_on_from_the_weights_that_trained(digits, tmp_path):
    _, whole = trained(["ema=0.9"], digits, tmp_path / "a")
    short, _ = trained(["ema=0.9"], digits, tmp_path / "b", max_epochs=2)
    short.save_checkpoint(tmp_path / "end.ckpt")
    _, again = trained(["ema=0.9"], digits, tmp_path / "c", path=tmp_path / "end.ckpt")
    assert same(again, whole)


def test_a_run_that_stopped_early_does_not_train_on(digits, tmp_path):
    chosen = ["ema=0.9", "early-stopping:patience=1,min_delta=0.5"]
    trainer, whole = trained(chosen, digits, tmp_path / "a", max_epochs=9)
    assert trainer.current_epoch < 9
    at = tmp_path / "a" / "last.ckpt"
    resumed, again = trained(chosen, digits, tmp_path / "b", path=at, max_epochs=9)
    assert resumed.global_step == trainer.global_step and same(again, whole)


class Looks(Callback):
    def __init__(self):
        self.seen = {}

    def on_train_end(self, trainer, module):
        self.seen["train"] = {name: t.clone() for name, t in module.state_dict().items()}

    def on_fit_end(self, trainer, module):
        self.seen["fit"] = {name: t.clone() for name, t in module.state_dict().items()}


def test_every_callback_ends_with_the_weights_that_stay(digits, tmp_path):
    looks, last = Looks(), saving(tmp_path, save_last=True, monitor="val_loss")
    _, module = trained(["ema=0.9", "early-stopping=9"], digits, tmp_path, callbacks=[looks, last])
    for seen in looks.seen.values():
        assert all(torch.equal(seen[name], now) for name, now in module.state_dict().items())
    assert looks.seen.keys() == {"train", "fit"}


def test_the_modules_own_hook_sees_what_is_saved(digits, tmp_path):
    module, seen = classifier(Regularized, model()), []
    module.on_save_checkpoint = own = lambda checkpoint: seen.append(checkpoint["state_dict"])
    kept = saving(tmp_path, save_weights_only=True, monitor="val_loss")
    averages = Regularization(["ema=0.9"])
    given = {"enable_checkpointing": True, "callbacks": [kept, averages]}
    fit(module, averages, digits, max_epochs=1, **given)
    (saved,) = seen
    stored = torch.load(kept.best_model_path)["state_dict"]
    assert all(torch.equal(saved[name], stored[name]) for name in stored)
    assert module.on_save_checkpoint is own


def test_replaced_passes_refuse_a_schedule_of_accumulation(digits, tmp_path):
    for scheduling in ({0: 2}, {2: 4}):
        scheduler = GradientAccumulationScheduler(scheduling)
        with pytest.raises(zoo.RecipeError, match=r"^sam replaces .* GradientAccumulationSch\w+\."):
            trained(["sam"], digits, tmp_path, callbacks=[scheduler])
    trained(["sam"], digits, tmp_path, callbacks=[GradientAccumulationScheduler({0: 1})])

    class Accumulates(Callback):
        def on_train_epoch_start(self, trainer, module):
            trainer.accumulate_grad_batches = 1 + trainer.current_epoch

    with pytest.raises(zoo.RecipeError, match=r"^sam replaces .* accumulate_grad_batches\."):
        trained(["sam"], digits, tmp_path, callbacks=[Accumulates()])
