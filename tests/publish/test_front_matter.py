"""A README's metadata comes back from a push as somebody wrote it."""

from __future__ import annotations

import pytest
import yaml
from hub.server import HubServer
from huggingface_hub import ModelCard

import zoo_core as zoo
from zoo_core.publish.card import merged_card
from zoo_core.publish.front_matter import divided, joined

META = "---\nlicense: cc-by-nc-4.0\ndatasets:\n- alice/leaves\nlanguage: no\n---\n\n# Mine\n"


def merged(old: str) -> str:
    return merged_card(old, {"tags": ["zoo"]}, "text", "title")


@pytest.mark.parametrize("mark", ["", "\ufeff", "\ufeff\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_metadata_behind_a_byte_order_mark(mark: str, end: str) -> None:
    for _ in range(2):
        readme = merged(mark + META.replace("\n", end))
        data = ModelCard(readme).data
        assert data.license == "cc-by-nc-4.0"
        assert data.datasets == ["alice/leaves"]
        assert data.language == "no"
        assert readme.count("license:") == 1
        assert "\ufeff" not in readme


@pytest.mark.parametrize(
    "line",
    [
        "version: 1.10",
        "date: 2024-01-01",
        "inference: false",
        "count: 1000000",
        "tiny: 1e-5",
        "quoted: '5'",
        "words: plain",
    ],
)
def test_values_come_back_as_they_were_written(line: str) -> None:
    assert f"\n{line}\n" in merged(f"---\n{line}\n---\n# Mine\n")


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "No", "ON", "012", "1_000", "12:30:00"])
def test_words_that_old_readers_take_for_something_else(word: str) -> None:
    block = joined(divided(f"---\nlanguage: [{word}, de]\n---\n")[0], "").split("---")[1]
    assert yaml.safe_load(block) == {"language": [word, "de"]}


@pytest.mark.parametrize(
    "old",
    ["---\n- a\n---\n", "---\na: [b\n---\n", "---\ntags: {a: &b [*b]}\n? [x]\n: y\n---\n"],
)
def test_metadata_that_is_none_is_one_line(old: str) -> None:
    with pytest.raises(zoo.PublishError, match=r"README.md .* cannot be read") as caught:
        merged(old)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("old", ["", "# x\n", "--- \nnever closed\n", "---\n---\n# x\n"])
def test_a_readme_without_metadata_gets_some(old: str) -> None:
    data, text = divided(merged(old))
    assert data == {"tags": ["zoo"]}
    assert text.endswith("<!-- /zoo -->\n")


def test_a_push_onto_them(hub: HubServer, signed_in: str) -> None:
    hub.seed("alice/mine", {"README.md": b"\xef\xbb\xbf" + META.encode()})
    zoo.push(zoo.create("lenet5"), "alice/mine")
    data = ModelCard(hub.file("alice/mine", "README.md").decode()).data
    assert (data.license, data.language) == ("cc-by-nc-4.0", "no")
    hub.seed("alice/other", {"README.md": "é".encode("latin-1")})
    with pytest.raises(
        zoo.PublishError, match=r"README.md of hf://alice/other is no text in UTF-8"
    ):
        zoo.push(zoo.create("lenet5"), "alice/other")
