"""Pictures with what a model says of them, on one page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zoo_core.data.decoding import read_picture
from zoo_core.humanize import clipped, printable
from zoo_core.inference.inputs import Picture
from zoo_core.inference.predict import Answers
from zoo_core.inference.predictions import Prediction
from zoo_core.pages.sections import Card, Section, Table, page
from zoo_core.pages.thumbnails import data_uri

SHOWN = 200  # pictures on the page
LONGEST = 128  # pixels of the longer side of each
CLASSES = 100  # classes that are counted on it
FAULTS = 200  # lines on what cannot be read


def html(model: str, answers: Answers, bits: int | None = None) -> str:
    """A page of `answers` of a model that is called so; of many pictures the first.

    `bits`: as of `predict`.
    """
    predictions, faults = answers.predictions, answers.faults
    sentences = [f"{len(predictions):,} {'picture' if len(predictions) == 1 else 'pictures'}."]
    if faults:
        sentences.append(f"{len(faults):,} more could not be read: they are named below.")
    sections = [_pictures(answers, bits)]
    if len(predictions) > 1:
        sections.insert(0, _classes(predictions))
    if faults:
        sections.append(_faults(faults))
    return page(f"What {clipped(model)} sees", sentences, sections)


def _classes(predictions: list[Prediction]) -> Section:
    """How many pictures each class has."""
    several = "labels" in predictions[0]
    said = Counter(
        label for one in predictions for label in (one["labels"] if several else [one["label"]])
    )
    rows = [(clipped(label), f"{count:,}") for label, count in said.most_common(CLASSES)]
    text = "Classes above one half; a picture may have several, or none. " if several else ""
    if len(said) > CLASSES:
        text += f"The first {CLASSES} of {len(said):,} classes, those with most pictures first."
    return Section("Classes", text.strip(), table=Table(("class", "pictures"), rows, ("pictures",)))


def _pictures(answers: Answers, bits: int | None) -> Section:
    predictions = answers.predictions
    by_name = {_name(number, one): one for number, one in enumerate(answers.given)}
    cards = [[_card(one, by_name.get(one["picture"]), bits)] for one in predictions[:SHOWN]]
    text = "In brackets, the probability that the model gives."
    if len(predictions) > SHOWN:
        text += f" The first {SHOWN} of {len(predictions):,} pictures are shown."
    return Section("Pictures", text, cards=cards)


def _name(number: int, picture: Picture) -> str:
    """What a prediction calls a picture."""
    return printable(picture) if isinstance(picture, Path) else str(number)


def _card(one: Prediction, picture: Picture | None, bits: int | None) -> Card:
    ranked = [f"{clipped(name, 60)} ({share:.1%})" for name, share in one["top"]]
    if "labels" in one:
        ranked.insert(0, "; ".join(clipped(name, 60) for name in one["labels"]) or "none")
    return Card(_small(picture, bits), [*ranked, clipped(one["picture"], 300)])


def _small(picture: Picture | None, bits: int | None) -> str:
    try:
        item = read_picture(picture, bits) if isinstance(picture, Path) else picture
        return "" if item is None else data_uri(item, LONGEST)
    except Exception:  # its file may have gone since; the answer stands
        return ""


def _faults(faults: list[str]) -> Section:
    rows = [(clipped(fault, 300),) for fault in faults[:FAULTS]]
    text = f"The first {FAULTS} of {len(faults):,}." if len(faults) > FAULTS else ""
    return Section("What could not be read", text, table=Table(("why",), rows))
