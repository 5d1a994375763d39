"""The list of tests that `make test` leaves out names tests that there are."""

from __future__ import annotations

import pytest

from tests.conftest import TESTS
from tests.slow_tests import ON_POSTGRES, SLOW


@pytest.mark.parametrize("start", SLOW + ON_POSTGRES)
def test_each_entry_names_a_test(start: str) -> None:
    path, _, test = start.partition("::")
    function = test.partition("[")[0]
    assert (TESTS / path).exists()
    assert not function or f"def {function}(" in (TESTS / path).read_text()
