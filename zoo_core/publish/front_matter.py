"""The metadata at the head of a README.md: read, and written back as somebody wrote it."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BLOCK = re.compile(r"\s*---[ \t]*\r?\n(?P<block>.*?\r?\n)?---[ \t]*(\r?\n|$)", re.DOTALL)


class _Verbatim:
    """A number, a date or a truth value as it stands there: 1.10 is not to come back as 1.1."""

    def __init__(self, node: yaml.ScalarNode) -> None:
        self.tag, self.text = node.tag, node.value


class _Reader(yaml.SafeLoader):
    """YAML as the Hub reads it: `no` is Norwegian, and `on` a word; only true and false are not."""


class _Writer(yaml.SafeDumper):
    """Quotes a `no` for those who read it otherwise."""


_PREFIX = "tag:yaml.org,2002:"
_Reader.yaml_implicit_resolvers = {
    first: [
        (tag, form) for tag, form in resolvers if tag not in (_PREFIX + "bool", _PREFIX + "int")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Reader.add_implicit_resolver(
    _PREFIX + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)
_Reader.add_implicit_resolver(
    _PREFIX + "int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), [*"-+0123456789"]
)
for kind in ("bool", "int", "float", "timestamp"):
    _Reader.add_constructor(_PREFIX + kind, lambda _, node: _Verbatim(node))
_Writer.add_representer(
    _Verbatim, lambda dumper, value: dumper.represent_scalar(value.tag, value.text)
)


def divided(readme: str) -> tuple[dict[str, Any], str]:
    """The metadata and the text of a README, which may begin with a byte-order mark.

    Numbers and the like are there as they were written, for `joined`. Raises ValueError or
    YAMLError for metadata that is none.

    >>> data, text = divided("---\\nlanguage: no\\n---\\n# Mine\\n")
    >>> data, text
    ({'language': 'no'}, '# Mine\\n')
    """
    readme = readme.lstrip("\ufeff")
    match = _BLOCK.match(readme)
    if match is None:
        return {}, readme
    data = yaml.load(match["block"] or "", _Reader)
    if data is not None and not isinstance(data, dict):
        raise ValueError("it is no table")
    return data or {}, readme[match.end() :]


def joined(data: dict[str, Any], text: str) -> str:
    """A README of both, with the line ends of its text.

    >>> joined({"language": "no"}, "# Mine\\n")
    "---\\nlanguage: 'no'\\n---\\n# Mine\\n"
    """
    end = "\r\n" if "\r\n" in text else "\n"
    block = yaml.dump(data, Dumper=_Writer, sort_keys=False, allow_unicode=True, line_break=end)
    return f"---{end}{block}---{end}{text}"
