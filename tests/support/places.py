"""Folders of the checkout that the tests are in."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
