"""Marks of the views that workers of self-hosted environments may ask; all others are closed to them."""

from __future__ import annotations

from typing import Final

OPEN_TO: Final = "open_to_workers"
"""The attribute of a view that workers' tokens may ask: which of the two kinds may."""
OF_ENVIRONMENT: Final = "environment"
OF_ITEM: Final = "item"
