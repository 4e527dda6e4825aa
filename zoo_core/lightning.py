"""Regularizers in Lightning: a callback, and a base class for what a callback cannot reach.

`pip install "zoo-core[lightning]"`; docs/other-loops.md has a whole example.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor
from torch.nn import functional

from zoo_core.errors import RecipeError
from zoo_core.regularize.by_name import regularizers as stack_of
from zoo_core.regularize.regularizer import Regularizer, Verdict
from zoo_core.regularize.stack import Stack
from zoo_core.regularize.swapping import Swapping, copied, differing
from zoo_core.training.resume import random_states, set_random_state
from zoo_core.transfer.wrappers import only_child

METRICS = {"loss": "val_loss", "accuracy": "val_acc"}

# In a checkpoint: the weights that train, under the name that Lightning's averaging has for them.
TRAINED = "current_model_state"
RANDOM = "random_states"


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
        self._random: list[Any] = []
        self._running = contextlib.ExitStack()
        self._swapping = Swapping(self.stack)
        self._attached = self._pending = self._begun = self._stopped = False
        self._trained: dict[str, Any] = {}  # weights that trained, and do not stay in the model

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Go first: then every callback finds in on_train_end the weights that stay."""
        if stage != "fit":
            return
        self._resumed, self._random, self._trained = None, [], {}
        whole: Any = trainer  # whose callbacks have no type
        whole.callbacks = [self, *(one for one in whole.callbacks if one is not self)]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the loaders draw the order of the first epoch."""
        if len(self._random) == trainer.world_size:
            set_random_state(self._random[trainer.global_rank], pl_module.device)
        if self._resumed is not None and self._resumed.get("stopped"):
            trainer.should_stop = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach, and take up the state of a checkpoint: its weights are in the model by now."""
        _check(self.stack, trainer, pl_module)
        self._attach(trainer, pl_module)
        # Right after the step, when no scheduler has changed the learning rate yet.
        (optimizer,) = trainer.optimizers
        after = optimizer.register_step_post_hook(lambda *step: self._after_step())
        self._running.callback(after.remove)
        self._running.enter_context(self._weights_only(trainer, pl_module))
        if isinstance(pl_module, Regularized):
            pl_module._stack, pl_module._asked = self.stack, False
            self._running.callback(_release, pl_module)
        self._attached, self._pending = True, False

    def _attach(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (optimizer,) = trainer.optimizers
        model = pl_module.get_submodule(self.part) if self.part else only_child(pl_module)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.stack.attach(model, optimizer=optimizer, scaler=scaler)
        state, self._resumed = self._resumed, None
        if state is not None:
            self.stack.load_state_dict(state)
        self._begun, self._stopped = True, bool(state and state.get("stopped"))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Gradients, unscaled by now, before Lightning clips them."""
        if trainer.accumulate_grad_batches > 1:  # somebody has changed it meanwhile
            self.stack.refuse_several_passes("accumulate_grad_batches")
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
        self._swapping.note_modes(pl_module)
        if isinstance(pl_module, Regularized):
            pl_module._drawn = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._attached and not trainer.sanity_checking:
            self._swapping.enter(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._attached or trainer.sanity_checking:
            return
        self._swapping.leave()
        logged = trainer.callback_metrics
        metrics = {name: float(logged[key]) for name, key in self.metrics.items() if key in logged}
        watching = self.stack.using("validation")
        if watching and not metrics:
            wanted = " and ".join(self.metrics.values())
            raise RecipeError(
                f"{' and '.join(watching)} finds no metric: {wanted} are not logged.",
                hint='Log them in validation_step, or say metrics={"loss": "your_name"}.',
            )
        self._stopped = self.stack.validation(metrics) is Verdict.STOP
        if self._stopped:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._running.close()
        self._attached = False
        self._detach(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Where nothing was left to train, the weights that stay are put in here."""
        if self._resumed is not None:
            _check(self.stack, trainer, pl_module)
            self._attach(trainer, pl_module)
            self._detach(pl_module)

    def _detach(self, pl_module: LightningModule) -> None:
        before = copied(pl_module.state_dict()) if self.stack.using("detach") else {}
        self.stack.detach()
        self._trained = differing(before, pl_module.state_dict())

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """The weights that train are back in the model, as after zoo's loop."""
        self._swapping.leave()
        self._running.close()
        self._attached = False
        self.stack.release()

    # --- checkpoints -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return self.stack.state_dict() | {"stopped": self._stopped} if self._begun else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What was validated into `state_dict`; beside it what training goes on from."""
        if not self._begun:
            return
        checkpoint[RANDOM] = random_states(pl_module.device)
        if self._trained:  # it has ended, and what stays is in the model
            checkpoint[TRAINED] = {**checkpoint["state_dict"], **self._trained}
        else:
            self._put_validated(trainer, pl_module, checkpoint)

    def _put_validated(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        both = self._swapping.both(pl_module, trainer.strategy.lightning_module_state_dict)
        if both is not None:
            trains, checkpoint["state_dict"] = both
            if "callbacks" in checkpoint:
                checkpoint[TRAINED] = trains

    @contextlib.contextmanager
    def _weights_only(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[None]:
        """Inside, checkpoints without states have them, too; of those no callback is told."""
        own, members = pl_module.on_save_checkpoint, vars(pl_module)
        given = {key: members[key] for key in ("on_save_checkpoint",) if key in members}

        def on_save(checkpoint: dict[str, Any]) -> None:
            if "callbacks" not in checkpoint:
                self._put_validated(trainer, pl_module, checkpoint)
            own(checkpoint)

        members["on_save_checkpoint"] = on_save
        yield
        del members["on_save_checkpoint"]
        members.update(given)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Training goes on from its own weights; all else takes those that were validated."""
        if trainer.state.fn != "fit":
            return
        self._random = checkpoint.get(RANDOM, [])
        if TRAINED in checkpoint:
            trainer.strategy.load_model_state_dict(
                {"state_dict": checkpoint[TRAINED]}, strict=pl_module.strict_loading
            )


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
    if not module.automatic_optimization:
        stack.refuse_several_passes("manual optimization")
    if trainer.accumulate_grad_batches > 1:
        stack.refuse_several_passes("accumulate_grad_batches")
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    schedulers = [one for one in callbacks if isinstance(one, GradientAccumulationScheduler)]
    if any(one.going_to_accumulate_grad_batches() for one in schedulers):
        stack.refuse_several_passes("GradientAccumulationScheduler")
    if not trainer.enable_validation:
        stack.refuse_without_validation(hint="Give val data.")


def _release(module: Regularized) -> None:
    module._stack = module._drawn = None
