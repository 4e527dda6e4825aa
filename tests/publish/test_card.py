"""The card of a model whose names are written by an enemy, and READMEs with marks of all kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hub.server import HubServer
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token
from support.hostile import HOSTILE, OBEYED

import zoo_core as zoo
from zoo_core.errors import PublishError
from zoo_core.publish.card import merged_card
from zoo_core.publish.markdown import BEGIN, END, code, plain

LABELS = (
    HOSTILE,
    f"{END}\n# Owned\n<img src=x onerror=alert(1)>",
    f"a\n\n{BEGIN}\n\n## Owned\n\n---\nlicense: mit\n---",
    "| a | b |",
    "```\ncode",
    "[link](http://e) ![picture](http://e/x.png) *a* _b_ ~~c~~ $d$ <http://e> &lt; \\",
    "\ud800",
)
OWN = ["Use", "Stages", "Results", "Training", "Classes", "Files"]


def tokens(card: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card):
        yield token
        yield from token.children or ()


def is_plain(card: str, title: str) -> None:
    """No more headings than zoo's, no HTML but its two marks, no links, no pictures."""
    listed = list(tokens(card))
    headings = {b.content for a, b in pairwise(listed) if a.type == "heading_open"}
    assert headings <= {plain(title), *OWN}
    html = [token.content.strip() for token in listed if token.type.startswith("html")]
    assert html == [BEGIN, END]
    kinds = {token.type for token in listed}
    assert not kinds & {"link_open", "image", "em_open", "strong_open", "s_open", "hr"}, kinds
    assert not OBEYED.search(card)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = zoo.create("lenet5", pretrained=False, num_classes=len(LABELS))
    model.labels = LABELS
    return model.save_pretrained(tmp_path_factory.mktemp("saved") / "a<b>`_x_")


def test_a_card_holds_names_as_text(saved: Path) -> None:
    card = ModelCard((saved / "README.md").read_text(encoding="utf-8")).text
    is_plain(card, "a<b>`_x_")
    said = "".join(token.content for token in tokens(card) if token.type == "text")
    assert rf"{END}\n# Owned\n<img src=x onerror=alert(1)>, a\n\n{BEGIN}" in said
    assert "| a | b |" in said and "*a* _b_ ~~c~~ $d$ <http://e> &lt; \\" in said


def test_what_machines_read_is_true(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert config["label_names"] == list(LABELS) == config["zoo"]["labels"]
    assert zoo.create(saved).labels == LABELS


def test_a_recipe_of_an_enemy() -> None:
    from zoo_core.publish.card import _results, _training

    recipe = {
        "train": {HOSTILE: HOSTILE, "regularizers": [HOSTILE, f"x{END}"], "lr": 0.1},
        "data": {"spec": f"folder:{HOSTILE}", "count": HOSTILE, "val_count": f"3\n# x {END}"},
        "result": {"epoch": HOSTILE, "val_accuracy": 0.5, "val_loss": 0.1},
        "versions": {HOSTILE: f"1\n{BEGIN}"},
    }
    card = merged_card(None, {}, f"{_results(recipe)}\n\n{_training(recipe)}", "t")
    body = ModelCard(card).text
    is_plain(body, "t")
    rows = [line for line in body.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 6  # the table's head, and a row for each fact
    assert "| lr | 0.1 |" in rows


@pytest.mark.parametrize("text", LABELS[:-1], ids=ascii)
def test_text_stays_the_same(text: str) -> None:
    """What a person sees is the name, with its control characters shown."""
    for written in (plain(text), f"| {plain(text)} |\n|---|", code(text)):
        is_plain(f"{BEGIN}\n\n{written}\n\n{END}\n", "")


# --- merging -------------------------------------------------------------------------------------

FRONT = "---\nlicense: mit\n---\n"


def merged(body: str) -> str:
    return merged_card(FRONT + body, {}, "New.", "t")


def test_one_part_is_replaced_where_it_stands() -> None:
    card = merged(f"Before.\n\n{BEGIN}\nOld.\n{END}\n\nAfter.\n")
    assert card.endswith(f"Before.\n\n{BEGIN}\n\nNew.\n\n{END}\n\nAfter.\n")
    assert merged_card(card, {}, "New.", "t") == card


def test_a_part_that_is_there_twice_is_there_once() -> None:
    card = merged(f"A.\n{BEGIN}\nOld.\n{END}\nB.\n{BEGIN}\nOlder.\n{END}\nC.\n")
    assert "Old" not in card and card.count(BEGIN) == card.count(END) == card.count("New.") == 1
    assert card.index("A.") < card.index("New.") < card.index("B.") < card.index("C.")


def test_windows_line_ends_and_none_at_the_end() -> None:
    card = merged(f"A.\r\n{BEGIN}\r\nOld.\r\n{END}")
    assert "A." in card and "Old." not in card and card.count("New.") == 1


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (f"Mine.\n{BEGIN}\nWhose?", 5),
        (f"Mine.\n{END}\nMine.", 5),
        (f"{BEGIN}\na\n{END}\nb\n{END}\nMine.", 8),
        (f"{BEGIN}\nWhose?\n{BEGIN}\nb\n{END}\nMine.", 4),
        (f"{END}\nMine.\n{BEGIN}", 4),
    ],
)
def test_half_a_mark_is_refused_by_its_line(body: str, line: int) -> None:
    with pytest.raises(PublishError, match=rf"one of zoo's two marks alone, in line {line}\."):
        merged(body)


def test_a_readme_with_half_a_mark_is_left_as_it_is(hub: HubServer, signed_in: str) -> None:
    theirs = f"{FRONT}Mine.\n{BEGIN}\nAlso mine.\n"
    hub.seed("alice/three", {"README.md": theirs.encode()})
    model = zoo.create("lenet5", pretrained=False, num_classes=2)
    with pytest.raises(PublishError, match="in line 5"):
        zoo.push(model, "alice/three", license="mit")
    assert hub.file("alice/three", "README.md").decode() == theirs
