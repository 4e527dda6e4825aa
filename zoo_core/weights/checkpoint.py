"""A checkpoint: tensors from somewhere, and what they were trained for; here, those of a file.

create() fits it to a model. A published model (`repository.py`) and a run (`run_checkpoint.py`) are
checkpoints too, and either may be a delta, on another checkpoint as its base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.types import Architecture, InputSpec, WeightsInfo
from zoo_core.weights.addresses import public
from zoo_core.weights.demanded import with_signed_sha256
from zoo_core.weights.labels import label_names
from zoo_core.weights.sources import absolute, local_file, split_reference
from zoo_core.weights.tensors import read_tensors, without_wrappers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.data.trained_on import TrainedOn


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where tensors come from, and what they fit.

    `reference`: what `pretrained` would be to get them again. `pinned`: the reference that means
    just these bytes. `classes`: None where only the tensors themselves tell. `in_chans`: None where
    `input` tells. `multilabel`: whether a picture may have several classes. `base`: what a delta
    stands on. `local`: what it is on this machine, as an absolute `file:PATH`; None where it comes
    from elsewhere.
    """

    reference: str
    path: Path
    sha256: str | None
    input: InputSpec
    classes: int | None = None
    in_chans: int | None = None
    labels: tuple[str, ...] | None = None
    multilabel: bool = False
    license: str | None = None
    pinned: str | None = None
    base: Checkpoint | None = None
    local: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The sha256 of every file behind the tensors."""
        own = (self.sha256,) if self.sha256 else ()
        return own if self.base is None else (*self.base.files, *own)

    @property
    def dtype(self) -> str | None:
        """The floating type that the model shall have; None for its architecture's own."""
        return None

    def at_another_size(self) -> Checkpoint:
        """This for a network of pictures of another size, whose tensors may have other shapes."""
        return self

    @property
    def stands_on(self) -> tuple[str | None, str | None]:
        """What the weights are for others: `pretrained`, and the sha256 of its file."""
        return self.reference, self.sha256

    @property
    def trained_on(self) -> TrainedOn | None:
        """The pictures that zoo trained it on, where that is known."""
        return None

    def config(self, architecture: Architecture) -> Mapping[str, Any]:
        """The arguments of the architecture that the tensors were trained with."""
        return {}

    def tensors(
        self, architecture: Architecture, model: nn.Module, device: str
    ) -> dict[str, Tensor]:
        """All tensors by name, in the layout of `model`; on CPU mapped from their files.

        Raises WeightsError where a file is broken, or the base is not the one that was named.
        """
        own = read_tensors(self.path, device)
        if architecture.adapt is not None:
            own = architecture.adapt(own, model)  # its authors may have saved a wrapped one
        return without_wrappers(own, model.state_dict())


def of_weights(weights: WeightsInfo) -> Checkpoint:
    """The checkpoint of a manifest's weights, or of a reference to a file: fetched and verified.

    Raises as `obtain`, and WeightsError without a good signature where one is demanded.
    """
    weights = with_signed_sha256(weights)
    fetched = local_file(weights)
    own_file = weights.sha256 is None and split_reference(weights.source)[0] == "file"
    names = label_names(weights.labels, None)
    return Checkpoint(
        reference=weights.tag or fetched.pinned or public(weights.source),
        path=fetched.path,
        sha256=None if own_file else fetched.sha256,  # a file of one's own may change at any time
        input=weights.input,
        classes=len(names) if weights.num_classes is None and names else weights.num_classes,
        labels=names,
        license=weights.license,
        pinned=fetched.pinned,
        local=absolute(weights.source) if own_file else None,
    )
