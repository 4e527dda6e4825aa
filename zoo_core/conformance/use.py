"""What people do with a model beside training it, checked: save, pickle, export, ... : USE.

A check takes a Specimen and leaves its model as it was; AssertionError says what to change.
"""

from __future__ import annotations

import inspect
import io
import pickle
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo_core.conformance.cases import NotHere, Wish, expect
from zoo_core.conformance.contract import Check, chain_can_be_pickled
from zoo_core.conformance.portability import compiles, device, dtypes, exports
from zoo_core.conformance.specimen import CLASSES, Specimen, attempt, scores_of
from zoo_core.model.arguments import ALWAYS
from zoo_core.model.build import outline, why_plain
from zoo_core.model.loading import with_weights
from zoo_core.plugins.catalogue import catalogue


def determinism(specimen: Specimen) -> None:
    """One seed gives the same weights, and a second forward pass the same scores."""
    attempt(specimen).check("determinism")
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(specimen.fresh().state_dict())
    first, second = states
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    advice = "draw weights from torch's own random numbers only"
    expect(not differ, f"{_few(differ)} differs between two builds with one seed: {advice}.")


def save_and_load(specimen: Specimen) -> None:
    """The state in a safetensors file, loaded as create() loads it, gives the same scores."""
    model, x = specimen.model, specimen.x
    torch.manual_seed(1)  # what is drawn anew would otherwise be as it was
    adapt = specimen.architecture.adapt
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file({n: t.clone().contiguous() for n, t in model.state_dict().items()}, path)

        def read(module: nn.Module) -> dict[str, Tensor]:
            tensors = load_file(path)
            return adapt(tensors, module) if adapt else tensors

        chans = specimen.input.size[0]
        built, _ = with_weights(
            specimen.plan, read, classes=CLASSES, in_chans=None, own_chans=chans, source="its state"
        )
    equal = torch.equal(scores_of(built.module, x), scores_of(model, x))
    advice = "what counts for scores must be a parameter or a buffer, or follow from the arguments"
    expect(equal, f"Saved and loaded, the model gives other scores: {advice}.")


def create_path(specimen: Specimen) -> str:
    """Which path create() takes with weights: the fast one maps the file, the plain one copies."""
    channels = specimen.model.input.size[0]
    built = outline(specimen.plan, CLASSES, channels)
    reason = why_plain(built.module)
    if not reason and any(not t.is_meta for t in built.module.state_dict().values()):
        reason = "it cannot be built on the meta device"
    return f"plain: {reason}; weights are copied" if reason else "fast: weights are mapped"


def pickled(specimen: Specimen) -> None:
    """pickle and torch.save give the model back."""
    model, x = specimen.model, specimen.x
    if not chain_can_be_pickled(model):
        raise NotHere('not looked at: see "deepcopy".')
    try:
        again = pickle.loads(pickle.dumps(model))
        torch.save(model, io.BytesIO())
    except Exception as error:
        advice = "its classes and functions must be those of a module"
        raise AssertionError(f"The model cannot be pickled: {advice} ({error}).") from error
    equal = torch.equal(scores_of(again, x), scores_of(model, x))
    expect(equal, "A pickled model computes something else.")


def state_dict_names(specimen: Specimen) -> str:
    """The keys of the state are those of timm's or torchvision's model of the same name."""
    reference = _reference(specimen)
    if reference is None:
        raise NotHere("no model of this name in timm or torchvision.")
    library, theirs = reference
    if specimen.architecture.adapt:
        theirs = specimen.architecture.adapt(theirs, specimen.model)
    own = {name: tuple(t.shape) for name, t in specimen.model.state_dict().items()}
    differ = sorted(own.keys() ^ theirs.keys())
    advice = f"take the names of {library}'s, or translate them in adapt"
    expect(not differ, f"{_few(differ)} is in one of the two only: {advice}.")
    shapes = [name for name in own if own[name] != tuple(theirs[name].shape)]
    expect(not shapes, f"{_few(shapes)} has another shape than in {library}.")
    return f"those of {library}"


def _reference(specimen: Specimen) -> tuple[str, dict[str, Tensor]] | None:
    """The state that timm or torchvision gives the model of this name, without values.

    Both are slow to import: they are asked about official names and those in timm's list only.
    """
    name = specimen.name.removeprefix("timm/")
    known = [model.name for model in catalogue().models() if model.official]
    if name not in known and not catalogue().models(f"timm/{name}"):
        return None
    import timm
    import torchvision

    chans = specimen.input.size[0]
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if timm.is_model(name):
            return "timm", timm.create_model(name, num_classes=CLASSES, in_chans=chans).state_dict()
        if name in torchvision.models.list_models(module=torchvision.models) and chans == 3:
            made = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
            return "torchvision", made.state_dict()
    return None


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def arguments_named(specimen: Specimen) -> None:
    """build() names its arguments, so that a misspelt one is an error."""
    attempt(specimen).check("arguments named")
    parameters = inspect.signature(specimen.architecture.build).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise Wish("build() takes any argument, also a misspelt one: name those that it has.")
    own = [p.name for p in parameters if p.name in set(ALWAYS) - {"num_classes", "in_chans"}]
    if own:
        raise Wish(f"build() has {', '.join(own)}, which create() keeps for itself: leave it out.")


USE: dict[str, Check] = {
    "arguments named": arguments_named,
    "determinism": determinism,
    "state-dict names": state_dict_names,
    "save and load": save_and_load,
    "path of create": create_path,
    "pickle": pickled,
    "dtype": dtypes,
    "device": device,
    "compile": compiles,
    "export": exports,
}
"""What else is checked of the models of a plugin, by the names that reports and tests show."""
