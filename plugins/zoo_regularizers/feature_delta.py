"""DELTA: feature maps stay near those of the pretrained model (Li et al., 2019)."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from zoo_core.chain import chain_of, run_stages
from zoo_core.errors import RecipeError
from zoo_core.regularize import Regularizer, at_least_zero
from zoo_core.transfer import moving
from zoo_core.transfer.sharded import has_shards
from zoo_core.types import Stage
from zoo_regularizers.places import kept_in_eval, modules_of, places, trained_layers


def map_distance(maps: Tensor, start: Tensor) -> Tensor:
    """1/N Σ_n Σ_c W_c·‖FM_c - FM⁰_c‖²/(H·W) with W_c = 1/C, so the mean squared difference.

    `maps`, `start`: FM and FM⁰, (N, C, H, W), or any shape that both have. A scalar, in float32 at
    least: squares overflow in float16.
    """
    with torch.autocast(maps.device.type, enabled=False):
        wide = torch.promote_types(maps.dtype, torch.float32)
        return (maps.to(wide) - start.to(wide)).square().mean()


class FeatureDelta(Regularizer):
    """Keeps what leaves each stage near what the model as it was at the start gives.

    Adds strength·Σ_l 1/N Σ_n Σ_c 1/C·‖FM_lc(w) - FM_lc(w₀)‖²/(H_l·W_l) to the loss: the mean
    squared difference of the feature maps (N, C, H, W) of each stage l, where all channels weigh
    the same. `strength`: 0 or more. On the device of the model; each step costs one forward pass
    more, of the start: the model as it was at the first `attach()`, or `reference` where that has a
    tensor of the same shape, in eval mode. It shares the memory of what is frozen, and runs from
    the first stage that trains. `stages`: by default those that train convolutions; where none
    does, all that train but the head. In a module without stages, its children.
    https://arxiv.org/abs/1901.09229

    Raises ValueError for a bad number; `attach()` raises RecipeError where a chosen stage is
    frozen, or there is none; so does training where a stage gives no tensor.
    """

    def __init__(self, strength: float = 0.01, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength
        self.start: nn.Module | None = None
        self._own: set[str] = set()  # tensors that the start does not share with the model
        self._saved: Mapping[str, Tensor] = {}
        self._maps: dict[str, Tensor] = {}
        self._distances: list[Tensor] = []
        self._value: Tensor | None = None

    def attach(
        self, model: nn.Module, *, reference: Mapping[str, Tensor] | None = None, **given: Any
    ) -> None:
        super().attach(model, reference=reference, **given)
        if has_shards(self.model):
            raise RecipeError(
                "feature-delta runs a copy of the model beside it, and one that fully_shard has "
                "parted cannot be copied.",
                hint="Take l2-sp, or train with DistributedDataParallel.",
            )
        self._value = None
        words = places(self, self.stages) if self.stages else self._default()
        paths = list(dict.fromkeys(modules_of(self.model, word)[-1] for word in words))
        self._keep_start(reference or {})
        assert self.start is not None
        self.handles = [self._hook_entry(paths)]
        for path in paths:
            ours, theirs = self.model.get_submodule(path), self.start.get_submodule(path)
            self.handles.append(ours.register_forward_hook(self._comparing(path)))
            self.handles.append(theirs.register_forward_hook(self._keeping(path)))

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        distances, self._distances = self._distances, []
        if not distances:
            return loss
        value = self.now(self.strength) * torch.stack(distances).sum()
        self._value = value.detach()
        return loss + value

    def penalty(self) -> Tensor:
        """The value of the last step; zero before the first."""
        return super().penalty() if self._value is None else self._value

    def state_dict(self) -> dict[str, Any]:
        """The start of whatever has been trained, and the value of the last step."""
        if self.start is None:
            return {"start": dict(self._saved), "value": self._value}
        state = self.start.state_dict()
        own = {name: tensor for name, tensor in state.items() if name in self._own}
        return {"start": own, "value": self._value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._saved, value = state["start"], state["value"]
        self._value = None if value is None else value.to(super().penalty().device)
        if self.start is not None:
            self._write(self._saved)

    # --- where it acts ---------------------------------------------------------------------------

    def _default(self) -> list[str]:
        names = list(chain_of(self.model)) or list(_children(self.model))
        convolutions = trained_layers(self, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        stages = [name for name in names if self._has(name, convolutions)]
        if not stages:
            layers = list(self.trained)
            stages = [name for name in names if self._has(name, layers)]
            head = "head" if chain_of(self.model) else _last(self.model, names)
            stages = [name for name in stages if name != head]
        if not stages:
            raise self.nothing_to_act_on("trained stage before the head")
        return stages

    def _has(self, word: str, names: list[str]) -> bool:
        owner = chain_of(self.model).get(word) or Stage(word, run=(word,))
        return any(owner.has(name) for name in names)

    # --- the start -------------------------------------------------------------------------------

    def _keep_start(self, reference: Mapping[str, Tensor]) -> None:
        """Make the start at the first time; give it memory of its own for all that can move now."""
        first = self.start is None
        if self.start is None:
            self.start = _sharing_copy(self.model)
        own = {n: t.detach() for n, t in moving(self.model).items() if n not in self._own}
        if first:
            own |= {n: t for n, t in reference.items() if n in own and t.shape == own[n].shape}
        self._write(own)
        if first:
            self._write(self._saved)
        self.start.eval()

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        """Put copies of tensors in the place of those of the start, by name."""
        assert self.start is not None
        state = self.start.state_dict()
        for name, tensor in tensors.items():
            if name in state and state[name].shape == tensor.shape:
                path, _, last = name.rpartition(".")
                module, old = self.start.get_submodule(path), state[name]
                value = tensor.detach().to(old.device, old.dtype, copy=True)
                if last in module._parameters:
                    module._parameters[last] = nn.Parameter(value, requires_grad=False)
                else:
                    module._buffers[last] = value
                self._own.add(name)

    # --- hooks -----------------------------------------------------------------------------------

    def _hook_entry(self, paths: list[str]) -> Any:
        """The hook that runs the start on what enters the model, or its first stage that trains.

        What comes before that stage is the same in both, and may have been cached; what comes after
        the last of `paths` is not needed.
        """
        stages = list(chain_of(self.model).values())
        while stages and self._is_still(stages[0]):
            stages = stages[1:]
        while stages and all(any(s.has(path) for s in stages[:-1]) for path in paths):
            stages = stages[:-1]
        if not stages or not isinstance(stages[0].run[0], str):
            return self.model.register_forward_pre_hook(self._run_all, with_kwargs=True)
        entry = self.model.get_submodule(stages[0].run[0])

        def run(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if self._begins():
                assert self.start is not None
                with torch.no_grad():
                    run_stages(self.start, stages, inputs[0].detach().clone())

        return entry.register_forward_pre_hook(run)

    def _is_still(self, stage: Stage) -> bool:
        """Whether nothing of a stage moves, in training mode either."""
        still, parameters = kept_in_eval(self.model), dict(self.model.named_parameters())
        return all(path in still for path in stage.run if isinstance(path, str)) and not any(
            stage.has(name) and parameter.requires_grad for name, parameter in parameters.items()
        )

    def _run_all(self, module: nn.Module, inputs: Any, named: Any) -> None:
        if self._begins():
            assert self.start is not None
            # copies, since the first layer may work in place
            inputs, named = tree_map_only(Tensor, lambda x: x.detach().clone(), (inputs, named))
            with torch.no_grad():
                self.start(*inputs, **named)

    def _begins(self) -> bool:
        """A new forward pass: forget the last. Whether it is one to learn from."""
        self._maps, self._distances = {}, []
        return self.model.training and torch.is_grad_enabled()

    def _keeping(self, path: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                output_type = type(output).__name__
                raise RecipeError(
                    f'feature-delta compares tensors, and "{path}" gives a {output_type}.',
                    hint="Choose other stages.",
                )
            self._maps[path] = output.clone()  # the next layer may work in place

        return keep

    def _comparing(self, path: str) -> Any:
        def compare(module: nn.Module, inputs: Any, output: Any) -> None:
            if path in self._maps:
                self._distances.append(map_distance(output, self._maps[path]))

        return compare


def _sharing_copy(model: nn.Module) -> nn.Module:
    """A copy that shares all parameters and has no hooks, those of other regularizers included."""
    memo: dict[int, Any] = {id(parameter): parameter for parameter in model.parameters()}
    for module in model.modules():
        for name, value in vars(module).items():
            if name.startswith(("_forward", "_backward")) and isinstance(value, dict):
                memo[id(value)] = OrderedDict()
    return copy.deepcopy(model, memo)


def _children(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """The paths of the children; those of a list, which is never called, one by one."""
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _children(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _last(model: nn.Module, names: list[str]) -> str | None:
    """The last of some modules that has weights: the head, where nothing says which it is."""
    having = [name for name in names if any(True for _ in model.get_submodule(name).parameters())]
    return having[-1] if having else None
