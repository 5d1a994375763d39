"""Odd things as the world has them, each through every door by which it can come: what the model is told of it, that
the next call works, that nothing hangs, and that the API accepts what is sent (README.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import our_threads
from tests.corpus import (
    play_agent_files,
    play_bodies,
    play_files,
    play_pictures,
    play_schemas,
    play_streams,
    play_tool_servers,
    play_web,
)
from tests.corpus.case import CASES, Case, Expected, InvalidCase, Kind, cases_of, read_case, waiting
from tests.corpus.judging import Seen, disagreements, turned_round
from tests.corpus.stage import DEADLINE, Stage, staged
from tests.harness.process import eventually

Play = Callable[[Case, Stage], Mapping[str, Seen]]

_PLAYED: Final = (
    play_agent_files,
    play_bodies,
    play_files,
    play_pictures,
    play_schemas,
    play_streams,
    play_tool_servers,
    play_web,
)
KINDS: Final[dict[str, tuple[Kind, Play]]] = {
    module.__name__.rpartition("play_")[2]: (module.KIND, module.play) for module in _PLAYED
}
ALL: Final = [case for name, (kind, _) in KINDS.items() for case in cases_of(name, kind)]
WAITING: Final = waiting()
WAITING_DEADLINE: Final = 2.0
"""Seconds: what waits for a change may hang until then."""


@pytest.fixture(scope="module")
def stage(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("cases"), stand_in) as stage:
        yield stage
    eventually(lambda: not our_threads(), f"these threads ended: {our_threads()}")


def each() -> Iterator[object]:
    for case in ALL:
        marks = [pytest.mark.xfail(strict=True, reason=WAITING[case.id])] if case.id in WAITING else []
        yield pytest.param(case, id=case.id, marks=marks)


@pytest.mark.parametrize("case", list(each()))
def test_what_comes_of_it(case: Case, stage: Stage) -> None:
    stage.model.reset()
    stage.alone = case.id in WAITING
    stage.deadline = WAITING_DEADLINE if stage.alone else DEADLINE
    seen = KINDS[case.kind][1](case, stage)
    assert stage.model.violations == [], "the API accepts all that is sent"
    problems = {door: disagreements(expected, seen[door]) for door, expected in case.expected.items()}
    assert {door: found for door, found in problems.items() if found} == {}
    for door, expected in case.expected.items():
        for contrary in turned_round(expected):
            assert disagreements(contrary, seen[door]) != [], f"{door}: this would go unnoticed: {contrary}"


def test_the_corpus_has_many_cases_of_each_kind_and_each_says_something_of_its_own() -> None:
    assert len(ALL) >= 200
    assert {path.name for path in CASES.iterdir()} == set(KINDS)
    assert {name for name in KINDS if sum(case.kind == name for case in ALL) < 10} == set()
    assert [case.id for case in ALL if case.about.count("\n") or not case.about.endswith(".")] == []
    told = Counter(case.about for case in ALL)
    assert [about for about, times in told.items() if times > 1] == []
    given = Counter(f"{case.kind} {case.given} {list(case.expected)}" for case in ALL)
    assert [one for one, times in given.items() if times > 1] == []


def test_every_door_is_gone_through_and_everything_that_it_tells_is_asked() -> None:
    for name, (kind, _) in KINDS.items():
        cases = [case for case in ALL if case.kind == name]
        assert {door for case in cases for door in case.expected} == set(kind.doors), name
        asked = {key.removeprefix("not_") for case in cases for one in case.expected.values() for key in one}
        assert kind.tells - asked == set(), name


def test_what_waits_is_there() -> None:
    assert set(WAITING) - {case.id for case in ALL} == set()
    assert [case for case, change in WAITING.items() if not change] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("about: a\nfrom: b\nraw: x\nexpect: {tolled: x}", "'tolled' is none of"),
        ("about: a\nfrom: b\nrow: x\nexpect: {told: x}", "'row' is none of"),
        ("about: a\nfrom: b\nraw: x\ndoors: [window]\nexpect: {told: x}", "'window' is none of"),
        ("about: a\nfrom: b\nraw: x\ndoors: [api]\nat: {fetch: {told: x}}", "'fetch' is none of"),
        ("about: a\nraw: x\nexpect: {told: x}", "nothing under 'from'"),
        ("from: b\nraw: x\nexpect: {told: x}", "nothing under 'about'"),
        ("about: a\nfrom: b\nraw: x", "it expects nothing"),
        ("- about", "it is no mapping"),
    ],
)
def test_a_file_that_is_no_case_is_refused(tmp_path: Path, body: str, words: str) -> None:
    (tmp_path / "one.yaml").write_text(body)
    with pytest.raises(InvalidCase, match=words):
        read_case(tmp_path / "one.yaml", KINDS["web"][0])


def test_an_expectation_that_does_not_hold_is_seen() -> None:
    seen = {"told": "hello there", "error": False, "asked": {"a": 1}, "left": b"x", "offered": ["go"]}
    for held in (
        {"told": "hello"},
        {"told": ["hello", "there"], "not_told": "bye"},
        {"error": False, "asked": {"a": 1}, "left": "x", "offered": ["go"]},
    ):
        assert disagreements(held, seen) == []
        assert all(disagreements(contrary, seen) for contrary in turned_round(held))
    wrong: tuple[Expected, ...] = (
        {"told": "bye"},
        {"told": ["hello", "bye"]},
        {"told": ""},
        {"not_told": "hello"},
        {"error": True},
        {"asked": {"a": 2}},
        {"asked": {"b": 1}},
        {"left": "y"},
        {"offered": []},
        {"unseen": ""},
    )
    assert [one for one in wrong if len(disagreements(one, seen)) != 1] == []
