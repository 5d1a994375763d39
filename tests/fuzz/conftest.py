"""`--thorough` makes each fuzzer try many more examples."""

from __future__ import annotations

import pytest

from tests.fuzz import limits


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--thorough"):
        limits.FACTOR = limits.THOROUGH
