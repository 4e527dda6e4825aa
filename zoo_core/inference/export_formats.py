"""The file formats that a model can be exported to: how each is written, and opened to be run.

onnx    for ONNX Runtime and what else reads ONNX; needs zoo-core[export]
pt2     torch.export's own, for torch.export.load
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from zoo_core.errors import WeightsError

INPUT, OUTPUT, BATCH = "pictures", "scores", "batch"
FACTS = "zoo"  # the key of zoo's own facts in the file, as JSON
LARGEST_ONNX = 2 * 2**30 - 1  # bytes of one protobuf message


@dataclass(frozen=True)
class Format:
    """One file format: `write(program, path, facts)`, `open(path)` to run it on pictures."""

    needs: tuple[str, ...]
    write: Callable[[ExportedProgram, Path, str], None]
    open: Callable[[Path], Callable[[Tensor], Tensor]]

    def check_installed(self) -> None:
        """Raises WeightsError where a package is missing that writes or opens such files."""
        for name in self.needs:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise WeightsError(
                    f"Exporting to this format needs {name}: {error}.",
                    hint="Run: pip install 'zoo-core[export]', or export to a .pt2 file.",
                ) from error


def traced(model: torch.nn.Module, x: Tensor, *, dynamic: bool) -> ExportedProgram:
    """The model as a graph, for pictures like `x`; `dynamic`: for any number of them."""
    shapes = ({0: Dim(BATCH)},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the exporter says is about its own insides
        return torch.export.export(model, (x,), dynamic_shapes=shapes)


# --- ONNX ----------------------------------------------------------------------------------------


def _write_onnx(program: ExportedProgram, path: Path, facts: str) -> None:
    tensors = {**dict(program.named_parameters()), **dict(program.named_buffers())}
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > LARGEST_ONNX:
        raise WeightsError(
            f"One ONNX file holds 2 GB at most, and these weights are {size:,} bytes.",
            hint="Export to .pt2, which has no such limit.",
        )
    dynamic = ({0: BATCH},) if program.range_constraints else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program,
            (),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=dynamic,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert made is not None
    made.model.metadata_props[FACTS] = facts
    # Its own save() puts large weights into a second file, whatever it is asked for.
    path.write_bytes(made.model_proto.SerializeToString())


def _open_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])


# --- pt2 -----------------------------------------------------------------------------------------


def _write_pt2(program: ExportedProgram, path: Path, facts: str) -> None:
    whole = io.BytesIO()  # its writer, in C++, ends the process where a file takes no more
    torch.export.save(program, whole, extra_files={FACTS: facts})
    path.write_bytes(whole.getbuffer())


def _open_pt2(path: Path) -> Callable[[Tensor], Tensor]:
    with path.open("rb") as file:
        return torch.export.load(file).module()


FORMATS = {
    "onnx": Format(("onnx", "onnxscript", "onnxruntime"), _write_onnx, _open_onnx),
    "pt2": Format((), _write_pt2, _open_pt2),
}
