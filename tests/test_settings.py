"""The arguments of a fine-tune are the same wherever they stand: call, settings, shell, docs."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import click
import pytest

import zoo_core as zoo
from zoo_core.cli.finetune import command
from zoo_core.training.settings import Settings

ARGUMENTS = inspect.signature(zoo.finetune).parameters
FIELDS = {field.name: field.default for field in dataclasses.fields(Settings)}
OPTIONS = {option.name: option for option in command.params}
DOCS = Path(__file__).parent.parent / "docs"
FINETUNING, COMMANDS = (
    (DOCS / name).read_text(encoding="utf-8") for name in ("finetuning.md", "commands.md")
)

# What says what to train, on what, and where it goes; all else is how, and so a setting.
NO_SETTINGS = {
    "model", "data", "val", "regularizers", "unreadable", "config",
    "pretrained", "labels", "keep_until", "stream",
    "out", "resume", "tracker", "recipe", "progress",
}  # fmt: skip

# Options of the shell by the argument that they give.
IN_THE_SHELL = {
    "no_val": "val",
    "skip_unreadable": "unreadable",
    "views": "augment",
    "weights": "pretrained",
}
ONLY_IN_THE_SHELL = {"as_json"}
ONLY_IN_PYTHON = {"progress"}


def test_settings_are_the_arguments_that_say_how():
    assert set(FIELDS) == set(ARGUMENTS) - NO_SETTINGS


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_setting_has_the_default_of_its_argument(name):
    if FIELDS[name] is not dataclasses.MISSING:
        assert FIELDS[name] == ARGUMENTS[name].default


def test_every_argument_has_an_option_and_every_option_an_argument():
    given = {IN_THE_SHELL.get(name, name) for name in OPTIONS} - ONLY_IN_THE_SHELL
    assert given == set(ARGUMENTS) - ONLY_IN_PYTHON


@pytest.mark.parametrize("name", sorted(set(OPTIONS) & set(FIELDS)))
def test_an_option_has_the_default_of_its_argument(name):
    default = command.make_context("finetune", ["lenet5"], resilient_parsing=True).params[name]
    # what is "auto" in Python is nothing given in a shell
    wanted = ARGUMENTS[name].default
    assert default == wanted or (default is None and wanted == "auto")


def test_finetune_hands_every_setting_on(monkeypatch):
    class Handed(Exception):
        pass

    def handed(**values):
        raise Handed(values)

    module = inspect.getmodule(zoo.finetune)
    monkeypatch.setattr(module, "Settings", handed)
    marks = {name: object() for name in FIELDS}
    with pytest.raises(Handed) as caught:
        zoo.finetune("lenet5", "digits", **marks)
    assert caught.value.args[0] == marks


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_explained(name):
    options = [o for option in OPTIONS.values() for o in option.opts if _gives(option, name)]
    said = [re.search(rf"\b{name}\b", FINETUNING), *(o in COMMANDS for o in options)]
    assert any(said), f"neither docs/finetuning.md nor docs/commands.md has {name}"


def _gives(option: click.Parameter, name: str) -> bool:
    return IN_THE_SHELL.get(option.name or "", option.name) == name


def test_the_docs_call_finetune_with_arguments_that_it_has():
    calls = re.findall(r"zoo\.finetune\(([^\n]*)\)", FINETUNING)
    names = {name for call in calls for name in re.findall(r"\b(\w+)=", call)}
    assert names and names <= set(ARGUMENTS)
