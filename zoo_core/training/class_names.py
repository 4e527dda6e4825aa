"""What the outputs of a model are called while it trains, and a head for the classes of its data.

Numbers never meet names without a word: where one side has no names, another order would go
unnoticed.
"""

from __future__ import annotations

from pathlib import Path

from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError, RecipeError
from zoo_core.humanize import some
from zoo_core.inference.matching import are_numbers
from zoo_core.model.zoo_model import ZooModel
from zoo_core.terminal.lines import logger

log = logger(__name__)

Names = tuple[str, ...]


def names_of_outputs(model: ZooModel, pictures: Pictures) -> Names | None:
    """The names of a model's outputs while it trains on pictures; None where they are numbers.

    A head that nobody has trained takes the names of the data. Raises RecipeError where outputs
    that were trained would be called, or not called, by a guess.
    """
    ours, theirs = model.labels or None, pictures.classes or None
    fresh = model.origin.new_head or not model.origin.trained
    if ours is not None:
        _refuse_unknown(ours, theirs or (), pictures)
        if theirs is None and not fresh and not are_numbers(ours):
            raise _names_without_data(ours, pictures)
        return ours
    if model.num_outputs == pictures.num_classes:
        if theirs is not None and not fresh and not are_numbers(theirs):
            words = "The %s had no names, and are called after the data now, by number: %s."
            log.warning(words, _outputs(model), some(theirs))
        return theirs
    if not fresh:
        raise _other_outputs(model, pictures)
    if theirs is not None:
        log.warning(
            "The head has %s outputs and the data %s classes, so they have no names and go by "
            "number; model.reset_head(%s) makes one that fits.",
            *(model.num_outputs, pictures.num_classes, pictures.num_classes),
        )
    return None


def _refuse_unknown(ours: Names, theirs: Names, pictures: Pictures) -> None:
    unknown = [name for name in theirs if name not in ours]
    if unknown:
        raise DataError(
            f'{pictures.name} has a class "{unknown[0]}" that the model does not know.',
            hint="model.change_classes([...]) makes a head for other classes that keeps what it "
            f"has of those that stay; model.reset_head({len(theirs)}) a new one.",
        )


def _names_without_data(ours: Names, pictures: Pictures) -> RecipeError:
    return RecipeError(
        f"The model has names for its classes ({some(ours)}), and {pictures.name} has none, so "
        "that its numbers may mean others.",
        hint="Give the data its names (dataset.classes = [...]), or take the model's away "
        "(model.labels = None).",
    )


def _other_outputs(model: ZooModel, pictures: Pictures) -> RecipeError:
    classes = pictures.num_classes
    return RecipeError(
        f"The {_outputs(model)} have no names, and {pictures.name} has {classes} classes.",
        hint=f"Call model.reset_head({classes}) for a new head; or, where the numbers mean the "
        "same, name the outputs (model.labels = [...]).",
    )


def _outputs(model: ZooModel) -> str:
    return f"{model.num_outputs:,} trained outputs of {model.info.name}"


def refuse_unlike(pictures: Pictures, val: Pictures) -> None:
    """Raise DataError where validation pictures cannot be told to have the same classes."""
    if pictures.multilabel != val.multilabel:
        several, one = (pictures, val) if pictures.multilabel else (val, pictures)
        raise DataError(
            f"{several.name} may have several classes for a picture, and {one.name} has one each.",
            hint="Give both of one kind.",
        )
    named, other = (pictures, val) if pictures.classes else (val, pictures)
    if named.classes and not other.classes and not are_numbers(named.classes):
        raise DataError(
            f"{named.name} has names for its classes ({some(named.classes)}), and {other.name} "
            "has none, so that its numbers may mean others.",
            hint="Give both their names (dataset.classes = [...]), or neither.",
        )


# --- a head for a model by name ------------------------------------------------------------------


def fit_head(model: ZooModel, pictures: Pictures) -> None:
    """A new head on official weights, unless the classes of the data are just theirs."""
    ours, theirs = model.labels or None, pictures.classes or None
    if pictures.num_classes != model.num_outputs or not _the_same(ours, theirs):
        model.reset_head(pictures.num_classes, labels=theirs)


def fit_trained_head(model: ZooModel, pictures: Pictures, name: str | Path) -> str:
    """The head that a person trained, for the classes of the data: those that stay are kept.

    Returns a line about what is new, or nothing.
    """
    ours, theirs = model.labels or None, pictures.classes or None
    if theirs is None and ours is not None and are_numbers(ours):
        theirs = tuple(map(str, range(pictures.num_classes)))
    if ours is None and model.num_outputs != pictures.num_classes:
        outputs = model.num_outputs
        model.reset_head(pictures.num_classes, labels=theirs)
        return f"New head: {name} has no names for its {outputs:,} outputs."
    if ours is None or theirs is None or _the_same(ours, theirs):
        return ""
    kept = model.change_classes(theirs)
    if not kept:
        return f"New head: no class of the data is one of {name}."
    parts = [f"kept {len(kept)} class{'' if len(kept) == 1 else 'es'}"]
    new, gone = ([n for n in names if n not in kept] for names in (theirs, ours))
    parts += [f"new: {some(new)}"] if new else []
    parts += [f"left out: {some(gone)}"] if gone else []
    return f"Head: {'; '.join(parts)}."


def _the_same(ours: Names | None, theirs: Names | None) -> bool:
    """Whether they are the same names, in another order perhaps, where each is there once."""
    if ours is None or theirs is None or len(set(ours)) < len(ours):
        return ours == theirs
    return sorted(ours) == sorted(theirs)
