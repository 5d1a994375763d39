"""Hooks around compactions: they can forbid one, steer it, write the summary themselves, and look on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event, text_of
from tests.test_compaction import LONG, SMALL, known, small_window
from tests.test_hook_points import NOTE, Play, at, command, saying, told
from tests.test_sequences import of_type

__all__ = ["known", "small_window"]

pytestmark = pytest.mark.usefixtures("known")


@pytest.fixture
def play(tmp_path: Path, small_window: OfflineServer) -> Iterator[Play]:
    made = Play(tmp_path, small_window)
    yield made
    for server in made.servers:
        server.close()


def filled(play: Play, **points: Any) -> tuple[LocalClient, str, list[Event]]:
    """A conversation whose second run finds the window nearly full; the second run's events."""
    local = play.begin(at(**points), toolsets=[])
    session = local.new_session()
    local.say(session, LONG, agent="tools")
    return local, session, local.say(session, "[say on]", agent="tools")


def test_what_hooks_read_of_a_compaction(play: Play) -> None:
    points = ("pre_compact", "before_compaction", "after_compaction")
    _, _, events = filled(play, **dict.fromkeys(points, NOTE))
    assert text_of(events) == "on"
    (summary,) = of_type(events, "session_summary")
    pre, before, after = play.noted()
    assert pre["source"] == "auto"
    assert (before["compaction_reason"], before["context_limit"]) == ("threshold", SMALL)
    assert before["input_tokens"] > 0
    assert before["output_tokens"] > 0
    assert after["summary"] == summary["summary"]
    assert after["input_tokens"] == before["input_tokens"]
    for point in points:
        assert told(events, point) == ["hook_started", "hook_finished"]


@pytest.mark.parametrize("point", ["pre_compact", "before_compaction"])
def test_a_hook_can_forbid_a_compaction(play: Play, point: str) -> None:
    local, session, events = filled(play, **{point: "echo keep it all >&2; exit 2"})
    assert of_type(events, "session_compaction") == []
    assert "keep it all" in of_type(events, "warning")[0]["message"]
    later = local.say(session, "[say more]", agent="tools")
    assert told(later, point) == ["hook_started", "hook_finished"], "it is asked again"


def test_a_hook_can_write_the_summary_so_that_no_model_is_asked(play: Play) -> None:
    _, _, events = filled(play, before_compaction=saying(summary="They talked."))
    assert text_of(events) == "on"
    assert [event["summary"] for event in of_type(events, "session_summary")] == ["They talked."]
    assert len(play.model.requests) == 2, "the two answers"
    assert "They talked." in str(play.model.requests[-1]["messages"])


def test_a_hook_can_add_to_what_the_model_is_asked_for(play: Play) -> None:
    _, _, events = filled(play, pre_compact=command("echo Name every river."))
    assert len(of_type(events, "session_summary")) == 1
    assert "Name every river." in str(play.model.requests[1]["messages"][-1])


def test_a_hook_that_breaks_changes_nothing(play: Play) -> None:
    _, _, events = filled(play, before_compaction="exit 1", pre_compact="exit 1")
    assert len(of_type(events, "session_summary")) == 1
    assert len(of_type(events, "warning")) == 2
