"""A column of pictures of `datasets` that is decoded as it does, but by zoo's formats alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Image

from zoo_core.data.decoding import file_content, refuse_other_formats
from zoo_core.data.specs import refuse_url


class PictureFeature(Image):
    """For a table whose transform is somebody's own, and wants pictures."""

    def decode_example(self, value: Any, token_per_repo_id: Any = None) -> Any:
        """Raises DataError for a URL, and for what is no picture that zoo reads."""
        if not isinstance(value, dict):
            return value
        content = value.get("bytes")
        if content is None and value.get("path"):
            refuse_url(value["path"])
            content = file_content(Path(value["path"]))
        if content is not None:
            refuse_other_formats(content, "A picture")
        return super().decode_example({"path": None, "bytes": content}, token_per_repo_id)
