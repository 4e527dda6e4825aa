"""Checks of a model in another dtype, on another device, compiled and exported: the same scores."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from typing import Any

import torch
from torch import Tensor

from zoo_core.conformance.cases import NotHere, Wish, expect
from zoo_core.conformance.specimen import Specimen, scores_of
from zoo_core.conformance.stages import boundaries, can_be_composed
from zoo_core.errors import first_line
from zoo_core.inference.export_formats import traced

CLOSE = 1e-3  # of the largest score: more than rounding of another kernel, less than any mistake


def dtypes(specimen: Specimen) -> None:
    """In float64 and bfloat16 every boundary and the scores have that type."""
    wanted = scores_of(can_be_composed(specimen), specimen.x)
    for dtype in (torch.float64, torch.bfloat16):
        model, x = copy.deepcopy(specimen.model).to(dtype), specimen.x.to(dtype)
        x = x[:1] if dtype == torch.bfloat16 else x  # which is slow on many CPUs
        try:
            entering, scores = boundaries(model, x), scores_of(model, x)
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
    target = "cuda" if torch.cuda.is_available() else "meta"
    model = copy.deepcopy(specimen.model).to(target)
    advice = "make tensors buffers, or with device=x.device"
    try:
        scores = scores_of(model, specimen.x.to(target))
    except Exception as error:
        fault = f"forward() fails on {target}: {first_line(error)}: {advice}."
        if target == "meta":  # where a forward pass that looks at values fails rightly
            raise Wish(f"{fault} A CUDA device would tell for sure.") from error
        raise AssertionError(fault) from error
    expect(
        scores.device.type == target, f"On {target} the scores are on {scores.device}: {advice}."
    )
    if target == "meta":
        return "on the meta device; no CUDA here"
    close = _close(scores.cpu(), scores_of(specimen.model, specimen.x))
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
            scores = scores_of(compiled, x)
    except Exception as error:
        raise AssertionError(f"torch.compile fails: {first_line(error)}.") from error
    finally:
        _dynamo.reset()
    expect(_close(scores, scores_of(model, x)), "The compiled model gives other scores.")
    return "traced, not compiled to kernels"


def exports(specimen: Specimen) -> str | None:
    """torch.export gives the same scores, for any number of pictures or at least a fixed one."""
    model, x = copy.deepcopy(specimen.model), specimen.x
    wanted, restriction = scores_of(model, x), None
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a whole graph, where it fails
            program = traced(model, x, dynamic=True)
    except Exception as error:
        restriction = f"only for a fixed number of pictures: {first_line(error)}"
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                program = traced(model, x, dynamic=False)
        except Exception as fixed:
            fault = f"torch.export cannot follow forward(): {first_line(fixed)}."
            raise AssertionError(fault) from fixed
    with torch.no_grad():
        scores = program.module()(x)
    expect(_close(scores, wanted), "The exported model gives other scores.")
    return restriction


def _close(scores: Tensor, wanted: Tensor) -> bool:
    gap = (scores - wanted).abs().max()
    return bool(gap <= CLOSE * wanted.abs().max().clamp(min=1e-30))
