"""augment="auto" where a frozen part could be kept: fixed views of each picture, if they pay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zoo_core.data.pictures import Pictures
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.stack import Stack
from zoo_core.training.cache.prefix import frozen_stages, other_pictures
from zoo_core.training.loaders import augmented
from zoo_core.training.settings import Settings

VIEWS = 16  # were as good as fresh ones, and fewer were not: docs/evidence.md


def views_settled(
    settings: Settings,
    model: ZooModel,
    pictures: Pictures,
    stack: Stack,
    say: Callable[[str], None],
) -> Settings:
    """The settings, with fixed views where "auto" means them; `say`: takes a line about it.

    There are 16, where each is shown twice or more, so that half of the frozen part's work is saved
    at least. With fewer epochs, and nothing frozen that could be kept, views are made anew.
    """
    if settings.augment != "auto" or augmented(settings, model, pictures) is False:
        return settings
    few = settings.epochs < 2 * VIEWS
    may_keep = settings.cache is not False and settings.schedule is None and not pictures.streamed
    if few or not may_keep or other_pictures(stack) or not frozen_stages(model):
        return settings
    say(
        f"Each picture has {VIEWS} fixed views, so that the frozen part sees each once; "
        "augment=True (--augment) makes new ones in each epoch."
    )
    return replace(settings, augment=VIEWS)
