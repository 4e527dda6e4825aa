"""Regularizers in the Trainer of Hugging Face's transformers.

`pip install "zoo-core[transformers]"`; docs/other-loops.md has a whole example.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Trainer, TrainerCallback
from transformers.trainer_pt_utils import LabelSmoother
from transformers.trainer_utils import TrainOutput, get_last_checkpoint

from zoo_core.errors import RecipeError
from zoo_core.regularize.by_name import regularizers as stack_of
from zoo_core.regularize.regularizer import Regularizer, Verdict, called, unwrapped
from zoo_core.regularize.stack import Stack

METRICS = {"loss": "eval_loss", "accuracy": "eval_accuracy"}
FILE = "regularizers.pt"


class Regularized(Trainer):
    """A Trainer with regularizers; before another in a class, they are in that one.

    `regularizers`: names, or objects. `metrics`: what evaluations report as `loss` and `accuracy`:
    `eval_loss` and `eval_accuracy` by default. Pictures are the model's main input
    (`pixel_values`), classes are `labels`. A model that takes no labels, such as zoo's own, gives
    scores, and the loss is their cross-entropy. When training starts, raises RecipeError for what
    it cannot serve.

    >>> class Mine(Regularized, Trainer):
    ...     pass
    """

    # Every loss here is the mean over a micro-batch, as regularizers know it.
    loss_is_scaled_for_ga = False

    def __init__(
        self,
        model: Any = None,
        args: Any = None,
        *others: Any,
        regularizers: Iterable[str | Regularizer] | str | Regularizer = (),
        metrics: Mapping[str, str] | None = None,
        **given: Any,
    ) -> None:
        self.stack = stack_of(regularizers)
        self.metric_names = METRICS | dict(metrics or {})
        self._resumed: str | None = None
        self._attached = self._moved = self._stopped = False
        with _smoothing_aside(args, model):
            super().__init__(model, args, *others, **given)
        problem = getattr(getattr(self.model, "config", None), "problem_type", None)
        smoothing = self.args.label_smoothing_factor
        if smoothing and problem != "multi_label_classification":
            self.label_smoother = LabelSmoother(epsilon=smoothing)
        self.label_names = self.label_names or ["labels"]
        self.add_callback(_Moments(self))

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **given: Any) -> Any:
        last = resume_from_checkpoint is True
        folder = get_last_checkpoint(self.args.output_dir) if last else resume_from_checkpoint
        self._resumed = folder or None
        try:
            return super().train(resume_from_checkpoint, *args, **given)
        except _Over:
            return self._ended()
        finally:
            self._attached = False

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        model.train()
        given = dict(self._prepare_inputs(inputs))
        name = self._picture(given, "labels")
        given[name], given["labels"] = self.stack.batch(given[name], given["labels"])
        step = super().training_step
        return self.stack.passes(lambda: step(model, dict(given), num_items_in_batch))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        labels = inputs.get("labels")
        mixed = labels is not None and labels.is_floating_point() and labels.ndim == 2
        own = self.compute_loss_func is not None
        if labels is not None and (not self._takes_labels() or (mixed and not own)):
            loss, outputs = self._loss_of_scores(model, inputs)
        else:
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if model.training and self._attached and labels is not None:
            loss = self.stack.loss(loss, _scores(outputs), labels)
        return (loss, outputs) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **given: Any) -> Any:
        if not self._attached:
            return super().evaluation_loop(*args, **given)
        with self.stack.evaluating():
            return super().evaluation_loop(*args, **given)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Pictures without labels, too: scores, and no loss."""
        if self._takes_labels() or inputs.get("labels") is not None:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        with torch.no_grad(), self.compute_loss_context_manager():
            scores = self._scores_of(model, self._prepare_inputs(inputs))
        return None, None if prediction_loss_only else scores.detach(), None

    def _loss_of_scores(self, model: nn.Module, inputs: Mapping[str, Any]) -> tuple[Tensor, Any]:
        outputs, labels = {"logits": self._scores_of(model, inputs)}, inputs["labels"]
        if self.compute_loss_func is not None:
            return self.compute_loss_func(outputs, labels, num_items_in_batch=None), outputs
        smoothing = self.args.label_smoothing_factor
        loss = functional.cross_entropy(outputs["logits"], labels, label_smoothing=smoothing)
        return loss, outputs

    def _scores_of(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
        name = self._picture(inputs)
        others = {key: value for key, value in inputs.items() if key not in (name, "labels")}
        return _scores(model(inputs[name], **others))

    def _picture(self, inputs: Mapping[str, Any], *more: str) -> str:
        """What the pictures of a batch are called. Raises RecipeError where they, or more, lack."""
        name = getattr(self.model, "main_input_name", "pixel_values")
        if any(wanted not in inputs for wanted in (name, *more)):
            wanted = " and ".join(f'"{one}"' for one in (name, *more))
            raise RecipeError(
                f"A batch has {wanted}, and this one has: {', '.join(inputs) or 'nothing'}.",
                hint="Set remove_unused_columns=False, or give a data_collator that names them so.",
            )
        return name

    def _takes_labels(self) -> bool:
        assert self.model is not None
        return "labels" in inspect.signature(unwrapped(self.model).forward).parameters

    def _attach(self) -> None:
        _check(self.stack, self)
        assert self.model is not None
        scaler = self.accelerator.scaler
        self.stack.attach(self.model, optimizer=self.optimizer, scaler=scaler)
        state = _saved(Path(self._resumed), self.args.device) if self._resumed is not None else {}
        if state:
            self.stack.load_state_dict(state)
        self._attached, self._moved = True, False
        self._stopped = bool(state.get("stopped"))

    def _ended(self) -> TrainOutput:
        """As a training ends that has no epoch left."""
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint is not None:
            self._load_best_model()
        self.control = self.callback_handler.on_train_end(self.args, self.state, self.control)
        self.is_in_train = False
        return TrainOutput(self.state.global_step, 0.0, {})

    def _metrics(self, reported: Mapping[str, float]) -> dict[str, float]:
        keys = {name: key for name, key in self.metric_names.items() if key in reported}
        watching = self.stack.using("validation")
        if watching and not keys and not isinstance(self.eval_dataset, dict):
            wanted = " and ".join(self.metric_names.values())
            raise RecipeError(
                f"{' and '.join(watching)} finds no metric: {wanted} are not reported.",
                hint='Say metrics={"loss": "your_name"}.',
            )
        return {name: float(reported[key]) for name, key in keys.items()}


class _Over(Exception):
    """The run that is resumed had stopped: there is nothing to train."""


class _Moments(TrainerCallback):
    """The moments outside the training step.

    `on_pre_optimizer_step` comes after unscaling and after the Trainer's clipping, and
    `on_optimizer_step` before the scheduler moves the learning rate.
    """

    def __init__(self, trainer: Regularized) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.trainer._attach()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self.trainer._stopped:  # the run that was resumed
            raise _Over

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.trainer.stack.gradients()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.trainer.stack.weights()
        self.trainer._moved = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        trainer = self.trainer
        if not (trainer._attached and trainer._moved):  # outside training, or eval_on_start
            return
        metrics = trainer._metrics(more["metrics"])
        if not metrics and isinstance(trainer.eval_dataset, dict):  # another of several datasets
            return
        trainer._moved = False
        trainer._stopped = trainer.stack.validation(metrics) is Verdict.STOP
        if trainer._stopped:
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            state = self.trainer.stack.state_dict() | {"stopped": self.trainer._stopped}
            torch.save(state, folder / FILE)

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.trainer.stack.detach()


@contextlib.contextmanager
def _smoothing_aside(args: Any, model: Any) -> Iterator[None]:
    """Transformers looks for the configuration of a model whose labels it smooths."""
    smoothing = getattr(args, "label_smoothing_factor", 0)
    if not smoothing or hasattr(model, "config"):
        yield
        return
    args.label_smoothing_factor = 0.0
    try:
        yield
    finally:
        args.label_smoothing_factor = smoothing


def _check(stack: Stack, trainer: Regularized) -> None:
    args = trainer.args
    if args.gradient_accumulation_steps > 1:
        stack.refuse_several_passes("gradient_accumulation_steps")
    averages = [called(member) for member in stack.members if member.averages]
    if averages and args.load_best_model_at_end:
        raise RecipeError(
            f"{averages[0]} leaves its average in the model, and load_best_model_at_end other "
            "weights.",
            hint='Leave load_best_model_at_end out; "early-stopping" brings the best average back.',
        )
    if args.eval_strategy == "no" or trainer.eval_dataset is None:
        stack.refuse_without_validation(hint="Give eval_dataset and eval_strategy.")


def _scores(outputs: Any) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, Mapping):
        return outputs["logits"]
    return outputs[1] if len(outputs) > 1 else outputs[0]


def _saved(folder: Path, device: torch.device) -> dict[str, Any]:
    if not (folder / FILE).is_file():
        raise RecipeError(
            f"{folder} has no {FILE}, so these regularizers cannot go on from it.",
            hint="Resume without regularizers, or begin a new run from its weights.",
        )
    return torch.load(folder / FILE, map_location=device, weights_only=True)
