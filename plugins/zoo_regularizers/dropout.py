"""Dropout: activations that are left out at random (Srivastava et al., 2014)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from zoo_core.regularize import Regularizer, a_share
from zoo_regularizers.places import head_of, modules_of, places

FORMS = ("inverted", "classic")


def classic_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """The textbook's form: x·m with m ~ Bernoulli(1-p) in training, and x·(1-p) in testing.

    `x`: any shape, type and device. `p`: the share that is dropped, in [0, 1).
    """
    if not training:
        return x * (1 - p)
    return x * x.new_empty(x.shape).bernoulli_(1 - p)


class Dropout(Regularizer):
    """Drops a share `p` of the activations that enter a stage, in training.

    `p` in [0, 1). `form="inverted"`: x·m/(1-p) in training and x in testing, with
    m ~ Bernoulli(1-p). `form="classic"`: x·m in training and x·(1-p) in testing; `evaluating()`
    and `detach()` put that factor into the weights of the layer, so it must be a linear one or a
    convolution.
    Activations of any shape, on their device. `stages`: by default the head; in a module without
    stages its last linear layer.
    https://jmlr.org/papers/v15/srivastava14a.html

    Raises ValueError for a bad number or form; `attach()` raises RecipeError where a chosen stage
    is frozen, and ValueError where a classic factor has no weights to go into.
    """

    def __init__(self, p: float = 0.2, form: str = "inverted", **common: Any) -> None:
        super().__init__(**common)
        a_share(p=p)
        if form not in FORMS:
            raise ValueError(f"form is {' or '.join(FORMS)}, not {form}")
        self.p, self.form = p, form
        self.layers: dict[str, nn.Module] = {}
        self._folded = False

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        head = head_of(self.model)
        words = self.stages or ([head] if head is not None else [])
        if not words:
            raise self.nothing_to_act_on("linear layer")
        paths = [self._entry(word) for word in places(self, words)]
        self.layers = {path: self.model.get_submodule(path) for path in dict.fromkeys(paths)}
        if self.form == "classic":
            self._check_layers()
        self.handles = [m.register_forward_pre_hook(self._drop) for m in self.layers.values()]

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """The factor of the classic form goes into the weights, so that a copy of them has it."""
        if self.form != "classic":
            yield
            return
        kept = [weight.detach().clone() for weight in self._weights()]
        self._fold()
        self._folded = True
        try:
            yield
        finally:
            self._folded = False
            for weight, before in zip(self._weights(), kept, strict=True):
                weight.detach().copy_(before)

    def detach(self) -> None:
        """Take the hooks out; the factor of the classic form goes into the weights."""
        super().detach()
        if self.form == "classic":
            self._fold()
        self.layers = {}

    def _weights(self) -> list[Tensor]:
        return [layer.weight for layer in self.layers.values()]  # type: ignore[misc]

    def _fold(self) -> None:
        for weight in self._weights():
            weight.detach().mul_(1 - self.now(self.p))

    def _drop(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        p = self.now(self.p)
        if self.form == "classic":
            if self._folded and not module.training:
                return inputs
            return classic_dropout(x, p, module.training), *others
        return functional.dropout(x, p, module.training), *others

    def _entry(self, word: str) -> str:
        """The first module of a stage, past a dropout of its own: what enters that, enters it."""
        paths = modules_of(self.model, word)
        idle = (nn.Identity, nn.Dropout)
        past = [path for path in paths if not isinstance(self.model.get_submodule(path), idle)]
        return (past or paths)[0]

    def _check_layers(self) -> None:
        for path, layer in self.layers.items():
            takes = isinstance(layer, nn.Linear | nn.Conv2d) and f"{path}.weight" in self.trained
            if not takes:
                class_name = type(layer).__name__
                raise ValueError(
                    "form=classic needs a trained linear layer or convolution to put its factor "
                    f'into, and "{path}" is a {class_name}; take inverted, or another stage'
                )
