"""Regularizers in Lightning: a callback, and a base class for what a callback cannot reach.

`pip install "zoo-core[lightning]"`; docs/other-loops.md has a whole example.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import RecipeError
from zoo_core.regularize.by_name import regularizers as stack_of
from zoo_core.regularize.regularizer import Regularizer, Verdict
from zoo_core.regularize.stack import Stack
from zoo_core.transfer.modes import modes_kept

METRICS = {"loss": "val_loss", "accuracy": "val_acc"}


class Regularized(LightningModule):
    """A LightningModule whose regularizers may change batches, losses and the backward pass.

    >>> class Classifier(Regularized):
    ...     def training_step(self, batch, batch_idx):
    ...         return self.regularized(*batch)
    """

    _stack: Stack | None = None
    _drawn: tuple[Tensor, Tensor, Tensor] | None = None
    _asked = False

    def regularized(
        self, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> Tensor:
        """The loss of `self(x)` with what the regularizers do to batch and loss.

        `x`: inputs. `y`: classes (N,). `loss`: cross-entropy by default; where a regularizer mixes
        pictures, its targets are shares of classes (N, C). Without regularizers, just the loss.
        """
        loss = loss or functional.cross_entropy
        if self._stack is None:
            return loss(self(x), y)
        self._asked = True
        if self._drawn is None or self._drawn[0] is not x:  # a second pass has the same draw
            self._drawn = (x, *self._stack.batch(x, y))
        _, x, y = self._drawn
        outputs = self(x)
        return self._stack.loss(loss(outputs, y), outputs, y)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        if self._stack is not None and optimizer_closure is not None:
            forward_and_backward = optimizer_closure
            stack = self._stack
            optimizer_closure = lambda: stack.passes(forward_and_backward)  # noqa: E731
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)


class Regularization(Callback):
    """Regularizers for `Trainer(callbacks=[Regularization(["l2=1e-4", "ema"])])`.

    `regularizers`: names, or objects. `part`: the path of the module that they act on; by default
    the only child that has parameters, else the whole LightningModule. `metrics`: what the module
    logs as `loss` and `accuracy`: `val_loss` and `val_acc` by default. One optimizer. When training
    starts, raises RecipeError for what it cannot serve.
    """

    def __init__(
        self,
        regularizers: Iterable[str | Regularizer] | str | Regularizer,
        *,
        part: str = "",
        metrics: Mapping[str, str] | None = None,
    ) -> None:
        self.stack = stack_of(regularizers)
        self.part, self.metrics = part, METRICS | dict(metrics or {})
        self._resumed: Mapping[str, Any] | None = None
        self._running = contextlib.ExitStack()
        self._evaluating = contextlib.ExitStack()
        self._attached = self._pending = self._begun = False
        self._modes: dict[nn.Module, bool] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach, and take up the state of a checkpoint: its weights are in the model by now."""
        _check(self.stack, trainer, pl_module)
        (optimizer,) = trainer.optimizers
        model = pl_module.get_submodule(self.part) if self.part else _only_child(pl_module)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.stack.attach(model, optimizer=optimizer, scaler=scaler)
        if self._resumed is not None:
            self.stack.load_state_dict(self._resumed)
            self._resumed = None
        # Right after the step, when no scheduler has changed the learning rate yet.
        after = optimizer.register_step_post_hook(lambda *step: self._after_step())
        self._running.callback(after.remove)
        if isinstance(pl_module, Regularized):
            pl_module._stack, pl_module._asked = self.stack, False
            self._running.callback(_release, pl_module)
        self._attached, self._pending, self._begun = True, False, True

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Gradients, unscaled by now, before Lightning clips them."""
        left_out = self.stack.using("batch", "loss")
        if left_out and not getattr(pl_module, "_asked", False):
            raise RecipeError(
                f"training_step leaves out {' and '.join(left_out)}.",
                hint="Let it return self.regularized(x, y).",
            )
        self._after_step()
        self.stack.gradients()
        self._pending = True

    def _after_step(self) -> None:
        if self._pending:
            self._pending = False
            self.stack.weights()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *batch: Any, **more: Any
    ) -> None:
        self._after_step()  # of a step that the scaler skipped
        self._modes = {module: module.training for module in pl_module.modules()}
        if isinstance(pl_module, Regularized):
            pl_module._drawn = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._attached and not trainer.sanity_checking:
            with modes_kept(pl_module):  # Lightning has put it in evaluation mode already,
                for module, mode in self._modes.items():  # and what averages wants what trains
                    module.training = mode
                self._evaluating.enter_context(self.stack.evaluating())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._attached or trainer.sanity_checking:
            return
        self._evaluating.close()
        logged = trainer.callback_metrics
        metrics = {name: float(logged[key]) for name, key in self.metrics.items() if key in logged}
        watching = self.stack.using("validation")
        if watching and not metrics:
            wanted = " and ".join(self.metrics.values())
            raise RecipeError(
                f"{' and '.join(watching)} finds no metric: {wanted} are not logged.",
                hint='Log them in validation_step, or say metrics={"loss": "your_name"}.',
            )
        if self.stack.validation(metrics) is Verdict.STOP:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._running.close()
        self._attached = False
        self.stack.detach()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """The weights that train are back in the model, as after zoo's loop."""
        self._evaluating.close()
        self._running.close()
        self._attached = False
        self.stack.release()

    def state_dict(self) -> dict[str, Any]:
        return self.stack.state_dict() if self._begun else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict


def _check(stack: Stack, trainer: Trainer, module: LightningModule) -> None:
    if len(trainer.optimizers) != 1:
        raise RecipeError(
            f"Regularizers go with one optimizer, and this module has {len(trainer.optimizers)}.",
            hint="Train with one, or call the moments in a loop of your own.",
        )
    inside = stack.using("batch", "loss", "passes")
    if inside and not isinstance(module, Regularized):
        raise RecipeError(
            f"{' and '.join(inside)} acts inside the training step, where no callback reaches.",
            hint="Make your module a zoo_core.lightning.Regularized, and return "
            "self.regularized(x, y) from training_step.",
        )
    passes = stack.using("passes")
    if passes and (trainer.accumulate_grad_batches > 1 or not module.automatic_optimization):
        raise RecipeError(
            f"{passes[0]} replaces the backward pass of a whole step, so that it goes neither "
            "with accumulate_grad_batches nor with manual optimization.",
            hint="Leave one of them out.",
        )
    if not trainer.enable_validation:
        stack.refuse_without_validation(hint="Give val data.")


def _only_child(module: LightningModule) -> nn.Module:
    """A child under which the names are those of the model, so that stages and weights fit."""
    children = [child for child in module.children() if any(True for _ in child.parameters())]
    own = any(True for _ in module.parameters(recurse=False))
    return children[0] if len(children) == 1 and not own else module


def _release(module: Regularized) -> None:
    module._stack = module._drawn = None
