"""A copy of what training changes: the weights that train, and buffers outside frozen modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo_core.transfer.freezing import still_frozen


class Snapshot:
    """The tensors of a model that can move, as they are now.

    Frozen ones do not move, so they are not copied. `names`: other tensors of the state dict,
    where more move at another time.
    """

    def __init__(self, model: nn.Module, names: Iterable[str] | None = None) -> None:
        state = model.state_dict() if names is not None else moving(model)
        chosen = state if names is None else names
        self.tensors = {name: state[name].detach().clone() for name in chosen}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Snapshot:
        """One from tensors that an earlier one held."""
        snapshot = cls.__new__(cls)
        snapshot.tensors = dict(tensors)
        return snapshot

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        """Write the tensors back into the model, in place."""
        state = model.state_dict()
        for name, tensor in self.tensors.items():
            state[name].copy_(tensor)


def moving(model: nn.Module) -> dict[str, Tensor]:
    """The state-dict entries that training can change, by name."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    trained = {name for name, parameter in parameters.items() if parameter.requires_grad}
    freezing = getattr(model, "_freezing", None)
    still = set(still_frozen(model, freezing)) if freezing is not None else set()
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name in trained or (name not in parameters and name.rpartition(".")[0] not in still)
    }
