"""Where the network looked in pictures, as overlays; or one line that says why nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zoo_core.data.as_picture import as_picture
from zoo_core.errors import ZooError
from zoo_core.explaining.explain import explanations
from zoo_core.explaining.explanation import Explanation
from zoo_core.humanize import one_line
from zoo_core.model.zoo_model import ZooModel

TOLD = (
    "Beside each, where the network looked for what it said (Grad-CAM at what enters {}): yellow "
    "and red spoke for it, blue did not."
)


def looked_at(model: ZooModel | None, items: Iterable[Any]) -> tuple[list[Explanation], str]:
    """An explanation of each picture for the class that it is called, and a line about all.

    `items`: as `Pictures.read` gives them. None of them where the network has no map, or where
    anything fails: a report is not worth a failed run.
    """
    if model is None:
        return [], ""
    try:
        pictures = [as_picture(item, "A picture") for item in items]
        found = list(explanations(model, pictures))
    except ZooError as error:
        return [], f"Where it looked is not shown: {error.message}"
    except Exception as error:  # such as no memory on a GPU
        return [], f"Where it looked is not shown: {type(error).__name__}: {one_line(error)}"
    stages = dict.fromkeys(one.stage for one in found)
    return found, TOLD.format(" or ".join(stages)) if found else ""
