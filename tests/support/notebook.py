"""Notebooks of a few cells, run by a kernel of their own: this Python, and this checkout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def notebook(cells: Sequence[str], kernel: str = "python3") -> Any:
    """A notebook with these cells of code."""
    nbformat = pytest.importorskip("nbformat")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    return made


def executed(cells: Sequence[str], folder: Path) -> Any:
    """A notebook with these cells after it ran in a folder. What a cell raises is raised."""
    client = pytest.importorskip("nbclient")
    made = notebook(cells)
    client.NotebookClient(made, timeout=300, resources={"metadata": {"path": folder}}).execute()
    return made


def kernel_spec() -> dict[str, Any]:
    """How a Jupyter server starts this Python as a kernel."""
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return {"argv": words, "display_name": "zoo", "language": "python"}


def shown_as(cell: Any, kind: str) -> list[str]:
    """What the outputs of a cell are in a MIME type."""
    return ["".join(out["data"][kind]) for out in cell.outputs if kind in out.get("data", {})]


def said(cell: Any, stream: str) -> str:
    """What a cell has printed on a stream."""
    outputs = (out for out in cell.outputs if out.output_type == "stream")
    return "".join(out.text for out in outputs if out.name == stream)
