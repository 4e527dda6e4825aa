"""Whether the pictures of a training are mirrored: not where that makes one class of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from zoo_core.data.mirrors import Mirrors, mirrored_classes
from zoo_core.data.pictures import Pictures
from zoo_core.errors import RecipeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.distributed import Processes
from zoo_core.training.loaders import augmented
from zoo_core.training.settings import CROP, Settings


def mirrors_settled(
    settings: Settings,
    model: ZooModel,
    pictures: Pictures,
    processes: Processes,
    say: Callable[[str], None],
) -> Settings:
    """The settings, without mirror images where they may not be and "auto" leaves it open.

    What the pictures show is said in any case. Raises RecipeError where mirrors are asked for that
    the input of the model rules out.
    """
    if settings.mirrors is True and not model.input.flip:
        raise RecipeError(
            f"mirrors=True, and {model.info.name} takes pictures whose mirror image means "
            "something else (input.flip is False).",
            hint="Leave mirrors out, or set model.input = replace(model.input, flip=True).",
        )
    if not model.input.flip or not _would_mirror(settings, model, pictures):
        return settings
    if pictures.streamed:
        if settings.mirrors == "auto":
            say(
                f"{pictures.name} is a stream, so nobody looks whether one class is the mirror "
                "image of another; mirrors=False (--no-mirrors) leaves mirror images out."
            )
        return settings
    found = processes.first(lambda: mirrored_classes(pictures))
    if not found:
        return settings
    left_out = settings.augment == "auto" and settings.mirrors == "auto"
    say(_finding(found, model.labels or pictures.classes, left_out=left_out))
    return replace(settings, mirrors=False) if left_out else settings


def _finding(found: list[Mirrors], classes: Sequence[str] | None, *, left_out: bool) -> str:
    one, other = (f'"{classes[c]}"' if classes else f"class {c}" for c in found[0])
    more = f", and {len(found) - 1} more such pairs" if len(found) > 1 else ""
    what = f"In a mirror {one} and {other} look like each other{more}"
    if left_out:
        return f"{what}: pictures are cropped, not mirrored (mirrors=True or --mirrors has both)."
    return f"{what}, and pictures are mirrored: mirrors=False (--no-mirrors) would leave that out."


def _would_mirror(settings: Settings, model: ZooModel, pictures: Pictures) -> bool:
    if settings.mirrors is False or settings.augment in (False, CROP):
        return False
    return settings.schedule is not None or augmented(settings, model, pictures) is not False
