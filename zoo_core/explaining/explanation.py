"""What explain() answers: a map, and pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.files import written
from zoo_core.humanize import clipped, readable_name, shortened
from zoo_core.pages.fragment import Grid, Strip, fragment, unless_it_fails
from zoo_core.pages.sections import Card, Section, page, save_page
from zoo_core.pages.thumbnails import data_uri

# From cold to hot, at even steps: dark blue, teal, yellow, red. Lightness rises up to the yellow.
COLOURS = ((20, 20, 90), (0, 120, 140), (90, 190, 100), (250, 220, 60), (230, 60, 30))
OPAQUE = 0.65  # of the colour, where the heat is greatest
LEAST = 224  # pixels of the longer side of an overlay
SHOWN = 200  # explanations on a page
SMALL = 128  # pixels of the longer side of each, where there are several


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """Where a network looked in a picture, for a class.

    `map`: (H, W) of float32 in [0, 1], at the size of the boundary before `stage`. `label`,
    `index`, `probability`: of the class, the last in [0, 1]. `picture`: what the network saw, as a
    PIL picture: resized and cropped. `name`: of the picture. `notes`: why not to make too much of
    it.

    >>> import tempfile, zoo_core as zoo
    >>> explanation = zoo.explain("lenet5", Image.new("L", (28, 28)))
    >>> explanation.map.shape, explanation.overlay().size, len(explanation.cards())
    (torch.Size([5, 5]), (224, 224), 2)
    >>> explanation.save(Path(tempfile.mkdtemp()) / "zero.png").name
    'zero.png'
    """

    map: Tensor
    label: str
    index: int
    probability: float
    stage: str
    name: str
    picture: Image.Image = field(repr=False)
    notes: list[str] = field(default_factory=list)

    def overlay(self) -> Image.Image:
        """The picture with the map over it, in colours: what is hot spoke for the class.

        As large as what the network saw; small pictures are enlarged to 224 pixels.
        """
        scale = max(LEAST / max(self.picture.size), 1.0)
        width, height = (round(side * scale) for side in self.picture.size)
        wide = Image.fromarray(self.map.numpy()).resize((width, height), Image.Resampling.BILINEAR)
        heat = np.asarray(wide).clip(0, 1)[..., None]
        steps = np.linspace(0, 1, len(COLOURS))
        colour = np.concatenate(
            [np.interp(heat, steps, channel) for channel in zip(*COLOURS, strict=True)], axis=-1
        )
        seen = self.picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        share = OPAQUE * heat
        return Image.fromarray(
            (np.asarray(seen) * (1 - share) + colour * share).round().astype(np.uint8)
        )

    def save(self, path: str | Path) -> Path:
        """Write the overlay in the format of the name's ending, as .png, .jpg or .webp.

        `path`: of the file, which is returned; for .html, a page of both pictures. Raises ZooError
        where it cannot be written.
        """
        place = Path(path).expanduser()
        if place.suffix.lower() in (".html", ".htm"):
            return save_page(html([self]), place)
        encoding = _format_of(place)
        try:
            with written(place) as temporary, temporary.open("wb") as file:
                self.overlay().save(file, encoding)
        except (OSError, ValueError) as error:  # or the format takes no colours
            reason = getattr(error, "strerror", None) or error
            raise ZooError(f"{readable_name(place)} cannot be written: {reason}.") from error
        return place

    def cards(self, longest: int = LEAST) -> list[Card]:
        """The picture and its overlay, with what they are. `longest`: pixels of the longer side."""
        lines = [clipped(self.label), f"{self.probability:.1%}", clipped(self.name, 300)]
        seen, shown = (data_uri(each, longest) for each in (self.picture, self.overlay()))
        return [Card(seen, []), Card(shown, lines)]

    def __repr__(self) -> str:
        return readable_name(f"<Explanation of {shortened(self.name, 80)}: {self._said()}>")

    def _said(self) -> str:
        return f"{shortened(self.label, 80)} {self.probability:.1%}, by what enters {self.stage}"

    @unless_it_fails
    def _repr_html_(self) -> str:
        seen, shown = (Strip([card.picture]) for card in self.cards())
        grid = Grid(("what it saw", "where it looked"), [[seen, shown]])
        return fragment([f"{self._said()}.", *self.notes], grid)


def _format_of(place: Path) -> str:
    """Pillow's name of the format of a picture. Raises ZooError for another ending."""
    found = Image.registered_extensions().get(place.suffix.lower())
    if found not in Image.SAVE:
        said = f'ends with "{place.suffix}", which is no' if place.suffix else "has no ending of a"
        raise ZooError(
            f"{readable_name(place)} {said} picture that can be written.",
            hint="Choose a name with .png, .jpg or .html.",
        )
    return found


def html(explanations: Sequence[Explanation], count: int = 0, unreadable: int = 0) -> str:
    """One page of the first explanations, complete in itself.

    `count`: how many there are, where more than are given. `unreadable`: how many
    pictures there were besides.
    """
    shown, count = explanations[:SHOWN], max(count, len(explanations))
    stages = dict.fromkeys(one.stage for one in shown)
    told = [
        f"Grad-CAM at what enters {', '.join(stages)}: yellow and red spoke for the class, blue "
        "did not. It shows where, not why, at the size of that map."
    ]
    if unreadable:
        told.append(f"{unreadable:,} more could not be read.")
    notes = dict.fromkeys(note for one in shown for note in one.notes)
    text = f"The first {len(shown)} of {count:,} pictures are shown." if count > SHOWN else ""
    longest = LEAST if len(shown) == 1 else SMALL
    section = Section("Pictures", text, cards=[one.cards(longest) for one in shown])
    return page("Where the network looked", [*told, *notes], [section])
