"""The picture of the packages is of today's imports, and it leaves out what it says."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests import architecture
from tests.architecture import Arrows


@pytest.fixture(scope="module")
def modules() -> Arrows:
    return architecture.imports()


def test_the_stored_picture_is_what_make_picture_draws(modules: Arrows) -> None:
    arrows = architecture.without_detours(architecture.between_packages(modules))
    assert architecture.stored_picture() == architecture.picture(arrows)


def test_every_package_has_a_floor_or_stands_beside_the_house(modules: Arrows) -> None:
    on_floors = [name for floor in architecture.floors() for name in floor]
    assert len(on_floors) == len(set(on_floors))
    assert set(architecture.between_packages(modules)) == {*on_floors, *architecture.PACKAGES[1:]}


def test_an_arrow_is_left_out_if_others_lead_the_same_way() -> None:
    nothing: frozenset[str] = frozenset()
    arrows = {"a": frozenset("bcd"), "b": frozenset("c"), "c": nothing, "d": nothing}
    assert architecture.without_detours(arrows) == {**arrows, "a": frozenset("bd")}


def test_the_longest_chain_is_found_on_a_detour() -> None:
    nothing: frozenset[str] = frozenset()
    assert architecture.longest_chain({"a": frozenset("bc"), "b": frozenset("c"), "c": nothing}) == [
        "a",
        "b",
        "c",
    ]


def test_a_circle_of_imports_has_no_longest_chain() -> None:
    with pytest.raises(RecursionError):
        architecture.longest_chain({"a": frozenset("b"), "b": frozenset("a")})


def test_nobody_has_to_follow_imports_over_more_than_fifteen_modules(modules: Arrows) -> None:
    chain = architecture.longest_chain(modules)
    assert len(chain) <= 15, chain


def test_each_link_of_the_longest_chain_is_an_import(modules: Arrows) -> None:
    chain = architecture.longest_chain(modules)
    assert all(below in modules[above] for above, below in pairwise(chain))
