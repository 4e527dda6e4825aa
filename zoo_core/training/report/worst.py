"""The worst mistakes as pictures, with where the network looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo_core.humanize import clipped
from zoo_core.inference.mistakes import Mistake, worst_mistakes
from zoo_core.pages.thumbnails import data_uri
from zoo_core.training.report.findings import Findings
from zoo_core.training.report.looking import looked_at
from zoo_core.training.report.names import shown_name

PICTURES = 12  # mistakes shown: for each, the network runs forwards and a little way back
CLASSES = 8  # of a picture that may have several, named on each side

Named = list[tuple[str, float]]


@dataclass(frozen=True)
class Shown:
    """A mistake on the page: its name, the picture and the overlay as data URIs.

    `true`, `said`: classes with the probability that the model gives each. `looked_for`: of which
    class the overlay is; "" without one.
    """

    name: str
    picture: str
    true: Named
    said: Named
    overlay: str = ""
    looked_for: str = ""


def mistakes(findings: Findings) -> tuple[list[Shown], str]:
    """The worst mistakes, and a line on where the network looked; what cannot be read is passed
    over."""
    readable = _readable(findings)
    explained, told = looked_at(findings.model, [item for _, _, item in readable])
    shown = [_shown(findings, mistake, uri) for mistake, uri, _ in readable]
    if explained:
        shown = [
            Shown(**vars(one) | {"overlay": data_uri(e.overlay()), "looked_for": clipped(e.label)})
            for one, e in zip(shown, explained, strict=True)
        ]
    return shown, told


def _readable(findings: Findings) -> list[tuple[Mistake, str, Any]]:
    """The worst mistakes that can be read: each, its small picture, and what was read."""
    scores, targets, pictures = findings.scores, findings.targets, findings.pictures
    if scores is None or targets is None or pictures is None:
        return []
    found: list[tuple[Mistake, str, Any]] = []
    for mistake in worst_mistakes(scores, targets, 2 * PICTURES):
        try:
            item = pictures.read(mistake.index)
            found.append((mistake, data_uri(item), item))
        except Exception:  # whatever a dataset raises, a report is not worth a failed run
            continue
        if len(found) == PICTURES:
            break
    return found


def _shown(findings: Findings, mistake: Mistake, uri: str) -> Shown:
    assert findings.pictures is not None
    name = shown_name(findings.pictures, mistake.index)
    true, said = (
        [(findings.names[number], share) for number, share in own[:CLASSES]]
        for own in (mistake.true, mistake.said)
    )
    return Shown(name, uri, true, said)
