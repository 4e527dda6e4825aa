"""What explain() answers: a map, and pictures of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.files import written
from zoo_core.humanize import readable_name, shortened
from zoo_core.pages.fragment import Grid, Strip, fragment, unless_it_fails
from zoo_core.pages.sections import Card, Section, page, save_page
from zoo_core.pages.thumbnails import data_uri

# From cold to hot, at even steps: dark blue, teal, yellow, red. Lightness rises up to the yellow.
COLOURS = ((20, 20, 90), (0, 120, 140), (90, 190, 100), (250, 220, 60), (230, 60, 30))
OPAQUE = 0.65  # of the colour, where the heat is greatest
LEAST = 224  # pixels of the longer side of an overlay


@dataclass(frozen=True, repr=False)
class Explanation:
    """Where a network looked in a picture, for a class.

    `map`: (H, W) of float32 in [0, 1], at the size of the boundary before `stage`. `label`, `index`
    and `probability` in [0, 1] of the class; `picture`: what the network saw, as a PIL picture:
    resized and cropped; `name`: of the picture. `notes`: why not to make too much of it.

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
        """Write the overlay as a PNG or JPEG, or, for a name with .html, a page of both pictures.

        `path`: of the file, which is returned. Raises ZooError where it cannot be written.
        """
        place = Path(path).expanduser()
        if place.suffix.lower() in (".html", ".htm"):
            return save_page(html([self]), place)
        try:
            with written(place) as temporary, temporary.open("wb") as file:
                self.overlay().save(
                    file, "JPEG" if place.suffix.lower() in (".jpg", ".jpeg") else "PNG"
                )
        except OSError as error:
            raise ZooError(
                f"{readable_name(place)} cannot be written: {error.strerror or error}."
            ) from error
        return place

    def cards(self) -> list[Card]:
        """The picture and its overlay, with what they are."""
        lines = [self.label, f"{self.probability:.1%}", Path(self.name).name]
        seen, shown = (data_uri(each, LEAST) for each in (self.picture, self.overlay()))
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


def html(explanations: list[Explanation]) -> str:
    """One page of explanations, complete in itself."""
    stages = dict.fromkeys(one.stage for one in explanations)
    told = (
        f"Grad-CAM at what enters {', '.join(stages)}: yellow and red spoke for the class, blue "
        "did not. It shows where, not why, at the size of that map."
    )
    notes = dict.fromkeys(note for one in explanations for note in one.notes)
    section = Section("Pictures", cards=[one.cards() for one in explanations])
    return page("Where the network looked", [told, *notes], [section])
