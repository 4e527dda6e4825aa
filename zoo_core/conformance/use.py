"""What people do with a model beside training it: each works for every architecture, or is said.

A check takes a Specimen and leaves its model as it was; AssertionError says what to change.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo_core.conformance.cases import NotHere, Wish, expect
from zoo_core.conformance.contract import (
    Check,
    boundaries,
    can_be_composed,
    chain_can_be_pickled,
)
from zoo_core.conformance.specimen import CLASSES, Specimen, attempt
from zoo_core.inference.export_formats import traced
from zoo_core.model.build import outline, why_plain
from zoo_core.model.loading import with_weights
from zoo_core.plugins.catalogue import catalogue

CLOSE = 1e-3  # of the largest score: more than rounding of another kernel, less than any mistake


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
            specimen.plan, read, classes=CLASSES, in_chans=None, own_chans=chans, where="its state"
        )
    equal = torch.equal(_scores(built.module, x), _scores(model, x))
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
    equal = torch.equal(_scores(again, x), _scores(model, x))
    expect(equal, "A pickled model computes something else.")


def dtypes(specimen: Specimen) -> None:
    """In float64 and bfloat16 every boundary and the scores have that type."""
    wanted = _scores(can_be_composed(specimen), specimen.x)
    for dtype in (torch.float64, torch.bfloat16):
        model, x = copy.deepcopy(specimen.model).to(dtype), specimen.x.to(dtype)
        x = x[:1] if dtype == torch.bfloat16 else x  # which is slow on many CPUs
        try:
            entering, scores = boundaries(model, x), _scores(model, x)
        except RuntimeError as error:
            advice = "make tensors buffers, or with the type of x"
            raise AssertionError(f"forward() fails in {dtype}: {error}: {advice}.") from error
        for name, tensor in {**entering, "the end": scores}.items():
            fault = f"In {dtype} the tensor before {name} is {tensor.dtype}: keep the type of x."
            expect(tensor.dtype == dtype, fault)
        if dtype == torch.float64:
            close = _close(scores.float(), wanted)
            expect(close, "In float64 the scores are others: is something rounded?")


def device(specimen: Specimen) -> str:
    """On another device all tensors of the forward pass are there: CUDA, else the meta device."""
    place = "cuda" if torch.cuda.is_available() else "meta"
    model = copy.deepcopy(specimen.model).to(place)
    advice = "make tensors buffers, or with device=x.device"
    try:
        scores = _scores(model, specimen.x.to(place))
    except Exception as error:
        told = f"forward() fails on {place}: {_first_line(error)}: {advice}."
        if place == "meta":  # where a forward pass that looks at values fails rightly
            raise Wish(f"{told} A CUDA device would tell for sure.") from error
        raise AssertionError(told) from error
    expect(scores.device.type == place, f"On {place} the scores are on {scores.device}: {advice}.")
    if place == "meta":
        return "on the meta device; no CUDA here"
    close = _close(scores.cpu(), _scores(specimen.model, specimen.x))
    expect(close, "On CUDA the scores are others than on the CPU.")
    return "on CUDA"


def compiles(specimen: Specimen) -> str:
    """torch.compile gives the same scores; traced only, since kernels are torch's own affair."""
    from torch import _dynamo

    if not _dynamo.is_dynamo_supported():
        raise NotHere("torch.compile does not know this Python yet.")
    model, x = specimen.model, specimen.x
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler says is about its own insides
            compiled: Any = torch.compile(copy.deepcopy(model), backend="eager")
            scores = _scores(compiled, x)
    except Exception as error:
        raise AssertionError(f"torch.compile fails: {_first_line(error)}.") from error
    finally:
        _dynamo.reset()
    expect(_close(scores, _scores(model, x)), "The compiled model gives other scores.")
    return "traced, not compiled to kernels"


def exports(specimen: Specimen) -> str | None:
    """torch.export gives the same scores, for any number of pictures or at least a fixed one."""
    model, x = copy.deepcopy(specimen.model), specimen.x
    wanted, said = _scores(model, x), None
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a whole graph, where it fails
            program = traced(model, x, dynamic=True)
    except Exception as error:
        said = f"only for a fixed number of pictures: {_first_line(error)}"
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                program = traced(model, x, dynamic=False)
        except Exception as fixed:
            told = f"torch.export cannot follow forward(): {_first_line(fixed)}."
            raise AssertionError(told) from fixed
    with torch.no_grad():
        scores = program.module()(x)
    expect(_close(scores, wanted), "The exported model gives other scores.")
    return said


def state_dict_names(specimen: Specimen) -> str:
    """The keys of the state are those of timm's or torchvision's model of the same name."""
    found = _reference(specimen)
    if found is None:
        raise NotHere("no model of this name in timm or torchvision.")
    library, theirs = found
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


def _scores(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(x.clone())


def _close(found: Tensor, wanted: Tensor) -> bool:
    gap = (found - wanted).abs().max()
    return bool(gap <= CLOSE * wanted.abs().max().clamp(min=1e-30))


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def _first_line(error: BaseException) -> str:
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return text.rstrip(".")


def arguments_named(specimen: Specimen) -> None:
    """build() names its arguments, so that a misspelt one is an error."""
    attempt(specimen).check("arguments named")
    parameters = inspect.signature(specimen.architecture.build).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise Wish("build() takes any argument, also a misspelt one: name those that it has.")


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
