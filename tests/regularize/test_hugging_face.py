"""Hugging Face's Trainer with zoo's models: without labels, with smoothed ones, and resumed."""

import numpy as np
import pytest
import torch
from support.other_loops import EPOCHS, QUIET, model, same, trainer, untrained
from torch.nn import functional

pytest.importorskip("transformers")
pytestmark = QUIET


def unlabelled(dataset):
    return [{"pixel_values": x} for x, _ in dataset]


def scores_of(network, dataset):
    with torch.no_grad():
        return network.eval()(dataset.tensors[0]).numpy()


def test_pictures_without_labels_are_predicted_and_evaluated(digits, tmp_path):
    made = trainer(network := model(), ["l2=1e-4"], digits, tmp_path)
    found = made.predict(unlabelled(digits[1]))
    assert np.array_equal(found.predictions, scores_of(network, digits[1]))
    assert found.label_ids is None and "test_loss" not in found.metrics
    labelled = made.predict([{"pixel_values": x, "labels": y} for x, y in digits[1]])
    assert np.array_equal(found.predictions, labelled.predictions)
    assert "test_loss" in labelled.metrics
    metrics = made.evaluate(unlabelled(digits[1]))
    assert "eval_runtime" in metrics and "eval_loss" not in metrics


def test_predictions_need_no_training(digits, tmp_path):
    made = untrained(network := model(), [], digits, tmp_path)
    found = made.predict(unlabelled(digits[1])).predictions
    assert np.array_equal(found, scores_of(network, digits[1]))


def test_pictures_of_another_name_are_one_line(digits, tmp_path):
    made = untrained(model(), [], digits, tmp_path)
    with pytest.raises(Exception, match=r'^A batch has "pixel_values", and this one has: image\.'):
        made.predict([{"image": x} for x, _ in digits[1]])


def test_labels_are_smoothed(digits, tmp_path):
    made = untrained(network := model(), [], digits, tmp_path, label_smoothing_factor=0.3)
    assert made.args.label_smoothing_factor == 0.3
    y = digits[1].tensors[1]
    scores = torch.from_numpy(scores_of(network, digits[1]))
    smoothed = functional.cross_entropy(scores, y, label_smoothing=0.3).item()
    assert made.evaluate()["eval_loss"] == pytest.approx(smoothed, abs=1e-6)
    trained = trainer(model(), [], digits, tmp_path, label_smoothing_factor=0.3).model
    assert not same(trained, trainer(model(), [], digits, tmp_path).model)
    mixing = trainer(model(), ["mixup"], digits, tmp_path, label_smoothing_factor=0.3)
    assert mixing.state.epoch == EPOCHS
    later = {"model_init": model}
    made = untrained(None, [], digits, tmp_path, options=later, label_smoothing_factor=0.3)
    assert made.evaluate()["eval_loss"] == pytest.approx(smoothed, abs=1e-6)


def test_a_loss_of_ones_own_is_the_one_that_counts(digits, tmp_path):
    def halved(outputs, labels, num_items_in_batch=None):
        return functional.cross_entropy(outputs["logits"], labels) / 2

    whole = untrained(model(), [], digits, tmp_path).evaluate()["eval_loss"]
    own = untrained(model(), [], digits, tmp_path, options={"compute_loss_func": halved})
    assert own.evaluate()["eval_loss"] == pytest.approx(whole / 2, abs=1e-6)


@pytest.mark.parametrize("evaluated", ["epoch", "steps"])
def test_a_run_that_stopped_early_does_not_train_on(evaluated, digits, tmp_path):
    chosen = ["ema=0.9", "early-stopping:patience=1,min_delta=0.5"]
    given = {"eval_strategy": evaluated, "save_strategy": evaluated, "num_train_epochs": 9}
    given |= {"eval_steps": 4, "save_steps": 4}
    done = trainer(whole := model(), chosen, digits, tmp_path, **given)
    assert done.state.epoch < 9
    again = untrained(network := model(), chosen, digits, tmp_path, **given)
    output = again.train(resume_from_checkpoint=True)
    assert again.state.global_step == output.global_step == done.state.global_step
    assert same(network, whole)
    assert again.evaluate()["eval_loss"] == pytest.approx(done.evaluate()["eval_loss"])


@pytest.mark.parametrize("chosen", [["mixup"], ["dropout=0.3", "ema=0.9"], ["manifold-mixup"]])
def test_randomness_goes_on(chosen, digits, tmp_path):
    given = {"train_sampling_strategy": "random", "save_strategy": "epoch"}
    trainer(whole := model(), chosen, digits, tmp_path / "a", **given)
    torch.manual_seed(5)
    at = str(tmp_path / "a" / "checkpoint-6")
    trainer(again := model(), chosen, digits, tmp_path / "b", resume=at, **given)
    assert same(again, whole)
