"""A small network and a small training, for the checks of regularizers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.conformance.cases import expect
from zoo_core.regularize.by_name import regularizers
from zoo_core.regularize.regularizer import Regularizer, called

LR = 0.1


class Block(nn.Module):
    """A residual block, with the place that timm's have for stochastic depth."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.drop_path: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        residual = torch.relu(self.norm(self.conv(x)))
        return x + (residual if self.drop_path is None else self.drop_path(residual))


class Network(nn.Module):
    """A small residual network: pictures (N, 2, 8, 8) -> scores (N, 3); the stem is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.block = Block(4)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(16, 3)
        self.stem.requires_grad_(False)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        self.stem.train(mode and next(self.stem.parameters()).requires_grad)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.block(self.stem(x))))


class Training:
    """A network, its optimizer, and one regularizer in a stack, in double precision."""

    def __init__(
        self, regularizer: str | Regularizer, *, scaler: Any = None, attached: bool = True
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.model = Network().double().train()
        self.reference = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=0.9)
        self.scaler, self.stack = scaler, regularizers([copy.deepcopy(regularizer)])
        self.member = self.stack.members[0]
        if attached:
            self.attach()

    def attach(self) -> None:
        engine = {"optimizer": self.optimizer, "scaler": self.scaler, "reference": self.reference}
        self.call("attach", self.model, **engine)

    def overrides(self, *methods: str) -> bool:
        cls = type(self.member)
        return all(getattr(cls, name) is not getattr(Regularizer, name) for name in methods)

    def call(self, moment: str, *given: Any, **named: Any) -> Any:
        """A moment of the stack; what it raises comes out as what does not hold."""
        try:
            return getattr(self.stack, moment)(*given, **named)
        except AssertionError:
            raise
        except Exception as error:
            fault = f"{moment}() of {called(self.member)} raised {type(error).__name__}: {error}"
            raise AssertionError(fault) from error

    def penalty(self) -> Any:
        return self.call("penalty")

    def run(self, steps: int, since: int = 0) -> None:
        """Steps with a validation after each; what they see follows from their number."""
        for number in range(since, since + steps):
            self.step(number)
            with self.stack.evaluating():
                self.model.eval()
            self.call("validation", {"loss": 1.0 / (1 + number), "accuracy": 0.5})
            self.model.train()

    def validated(self) -> dict[str, Tensor]:
        """The weights that a validation would see."""
        with self.stack.evaluating():
            return copied(self.model)

    def step(self, number: int, spoil: bool = False) -> None:
        drawing = torch.Generator().manual_seed(number)
        x = torch.randn(16, 2, 8, 8, dtype=torch.float64, generator=drawing)
        y = torch.randint(3, (16,), generator=drawing)
        x, y = self.call("batch", x, y)
        self.optimizer.zero_grad()

        def closure() -> Tensor:
            outputs = self.model(x)
            loss = self.call("loss", nn.functional.cross_entropy(outputs, y), outputs, y)
            expect(isinstance(loss, Tensor), f"loss() returns {loss}, not the loss.")
            (self.scaler.scale(loss) if self.scaler else loss).backward()
            return loss.detach()

        loss = self.call("passes", closure)
        expect(bool(torch.isfinite(loss)), "The loss is no number.")
        if spoil:
            self.model.head.bias.grad[0] = torch.inf  # type: ignore[index]
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        self.call("gradients")
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        self.call("weights")

    def state_dict(self) -> dict[str, Any]:
        states = {name: getattr(self, name).state_dict() for name in ("model", "optimizer")}
        return {**states, "stack": self.call("state_dict"), "random": torch.get_rng_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.call("load_state_dict", state["stack"])
        torch.set_rng_state(state["random"])


def copied(model: nn.Module, trained: bool | None = None) -> dict[str, Tensor]:
    """Parameters and buffers by name: all, those of trained modules, or those of frozen ones."""
    learns = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    state = model.state_dict().items()
    return {
        name: tensor.detach().clone()
        for name, tensor in state
        if trained is None or (name.rpartition(".")[0] in learns) is trained
    }
