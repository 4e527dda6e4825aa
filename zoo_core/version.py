"""The version of zoo."""

from __future__ import annotations

__version__ = "0.1.0"
