"""What a picture is called on a page that may be mailed to anybody."""

from __future__ import annotations

from pathlib import PurePath

from zoo_core.data.pictures import Pictures, name_of
from zoo_core.humanize import clipped


def shown_name(pictures: Pictures, index: int) -> str:
    """The name of a picture's file and of its folder; or its place in the data.

    >>> shown_name(Pictures("own", str, [0, 1], None), 1)
    'own 1'
    """
    return clipped("/".join(PurePath(name_of(pictures, index)).parts[-2:]))
