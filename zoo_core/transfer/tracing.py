"""One small forward pass in eval mode, watched.

What is noted: where in the graph that autograd builds a layer's inputs and the modules' outputs
are. Nothing is left behind: no hook, no mode, no flag, no gradient, no random number drawn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge
from torch.utils._pytree import tree_leaves, tree_map_only

from zoo_core.errors import FreezeError, first_line
from zoo_core.transfer.modes import can_learn, evaluating, everything_learns, recording
from zoo_core.types import InputSpec


@dataclass(frozen=True)
class Trace:
    """Nodes of the graph.

    `inputs`: of the layer's inputs, call by call. `outputs`: of each module's outputs, by its name;
    the model's own name is empty.
    """

    inputs: list[set[Node]] = field(default_factory=list)
    outputs: dict[str, set[Node]] = field(default_factory=dict)

    @property
    def final(self) -> set[Node]:
        """Of the model's output; of all modules' where it is an object that hides its tensors."""
        return self.outputs.get("") or set().union(*self.outputs.values())

    def note_inputs(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.inputs.append(_nodes((args, kwargs)))

    def note_outputs(self, name: str, output: Any) -> Any:
        """The same output, each tensor with a node of its own.

        Even where the module returns its input, as dropout does in eval mode.
        """
        output = tree_map_only(Tensor, _tracked, output)
        self.outputs.setdefault(name, set()).update(_nodes(output))
        return output


def watch(model: nn.Module, layer: str, example: Any) -> Trace:
    """The trace of one forward pass.

    `layer`: a module path. `example`: a tensor or a tuple of arguments; None for zeros of a zoo
    model's input. Raises FreezeError where the model cannot run.
    """
    arguments = _arguments(model, example)
    trace = Trace()
    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            hook = module.register_forward_hook(
                lambda module, args, output, name=name: trace.note_outputs(name, output)
            )
            stack.callback(hook.remove)
        target = model.get_submodule(layer)
        hook = target.register_forward_pre_hook(trace.note_inputs, with_kwargs=True)
        stack.callback(hook.remove)
        try:
            with evaluating(model), everything_learns(model), recording(model):
                model(*tree_map_only(Tensor, _tracked, arguments))
        except Exception as error:
            raise _no_pass(error) from error
    return trace


def behind(nodes: Iterable[Node]) -> set[Node]:
    """Every node of the graph that the given ones depend on, themselves included."""
    seen: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(other for other, _ in node.next_functions if other is not None)
    return seen


def _nodes(values: Any) -> set[Node]:
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return {get_gradient_edge(tensor).node for tensor in tensors if tensor.requires_grad}


def _tracked(tensor: Tensor) -> Tensor:
    """A copy that has a node in the graph and is no leaf, so that a layer may work in place.

    Integers stay as they are.
    """
    if not can_learn(tensor):
        return tensor
    return (tensor if tensor.requires_grad else tensor.detach().clone().requires_grad_()).clone()


def _arguments(model: nn.Module, example: Any) -> tuple[Any, ...]:
    """The example as arguments, on the model's device."""
    first = next(model.parameters(), torch.zeros(0))
    if example is None:
        spec = getattr(model, "input", None)
        if not isinstance(spec, InputSpec):
            raise FreezeError(
                "A module that zoo did not create needs an example, to see what feeds a layer.",
                hint="Pass example=torch.zeros(1, 3, 224, 224), or whatever the model takes.",
            )
        example = first.new_zeros(1, *spec.size)
    values = example if isinstance(example, tuple) else (example,)
    return tree_map_only(Tensor, lambda tensor: tensor.detach().to(first.device), values)


def _no_pass(error: Exception) -> FreezeError:
    return FreezeError(
        f"The forward pass that shows what feeds a layer fails: {first_line(error)}.",
        hint="Pass as example what the model takes: a tensor, or a tuple of arguments.",
    )
