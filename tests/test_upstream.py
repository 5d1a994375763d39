"""The assertions of docker-agent's own tests of its server, runtime and store, and the tests that make them here.

`BEHAVIOURS` is that list; a test looks whether each of the named tests is there. The tests of this module are those
that no other module has. A behaviour that is different here on purpose, or can't be seen from outside, says so in
place of a test; docs/compatibility.md says why.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.test_sequences import END, PLAIN, SAID, of_type, shape

TESTS: Final = Path(__file__).parent
NOT_FROM_OUTSIDE: Final = "can't be seen from outside"
ON_PURPOSE: Final = "different on purpose: docs/compatibility.md"

BEHAVIOURS: Final[dict[str, dict[str, str]]] = {
    "server": {
        "agents are listed by name, with the first one's description": "test_upstream.py::test_agents_of_a_directory",
        "an empty directory is `[]` and a new line": (
            "test_compatibility.py::test_no_agents_are_an_empty_list_to_the_byte"
        ),
        "a store without sessions is an empty list": "test_upstream.py::test_without_sessions_and_agents",
        "a title is echoed and shown": "web/test_sessions.py::test_a_title_is_set_and_echoed",
        "pictures survive a round trip": (
            "test_compatibility.py::test_a_picture_is_shown_as_it_was_posted_and_the_words_beside_it_once_more"
        ),
        "words survive a round trip, without parts": "test_upstream.py::test_words_come_back_without_parts",
        "words and parts are both kept": ON_PURPOSE,
        "a source is read once while it is fresh": (
            "team/test_directory.py::test_an_unchanged_file_is_not_parsed_again_and_a_changed_one_is"
        ),
        "a source is read again when it is not": (
            "team/test_directory.py::test_an_unchanged_file_is_not_parsed_again_and_a_changed_one_is"
        ),
        "a source that can't be read is an error each time": (
            "team/test_directory.py::test_a_broken_file_says_what_is_wrong_without_saying_where_the_server_keeps_it"
        ),
        "a source's new words are seen": (
            "team/test_directory.py::test_files_may_come_go_and_be_mended_while_the_server_runs"
        ),
        "a source that breaks keeps its old words": ON_PURPOSE,
        "a database of an older version opens": ON_PURPOSE,
        "only root sessions are counted": (
            "store/test_sessions.py::test_the_list_has_root_sessions_newest_first_with_their_messages_counted"
        ),
        "no agents at all is fine": "test_upstream.py::test_without_sessions_and_agents",
    },
    "events": {
        "ten events of a plain answer": "test_sequences.py::test_a_plain_answer_is_exactly_ten_events",
        "one event for each delta": (
            "test_sequences.py::test_one_event_tells_of_each_delta_and_the_second_run_of_its_own_message"
        ),
        "thinking and words in the model's order": "test_upstream.py::test_thinking_and_words_take_turns",
        "unknown tools: partial calls, but no call": (
            "test_sequences.py::test_an_unknown_tool_is_answered_without_a_question"
        ),
        "eight events of a failure": "test_sequences.py::test_a_model_error_is_eight_events_and_the_session_is_free",
        "a cancelled run keeps its prologue and has an end": (
            "test_team_sequences.py::test_a_run_that_is_stopped_and_one_whose_session_is_deleted_have_an_end"
        ),
        "no user message where nobody spoke": "test_team_sequences.py::test_a_task_is_told_inside_its_call",
    },
    "tools": {
        "a toolset that does not start or list is one warning": (
            "agent/test_toolbox.py::test_a_toolset_that_fails_is_left_out_and_reported_once_until_it_has_worked"
        ),
        "the others stay usable": "test_sequences.py::test_a_toolset_that_fails_is_a_warning_and_the_others_work",
        "no warning without toolsets": "test_sequences.py::test_a_plain_answer_is_exactly_ten_events",
        "an unknown tool is not available": "test_sequences.py::test_an_unknown_tool_is_answered_without_a_question",
        "denied by permissions, and by session permissions": (
            "test_sequences.py::test_a_denied_call_is_answered_without_a_question"
        ),
        "what is allowed is not asked about": "agent/test_approval.py::test_a_pattern_may_look_at_arguments",
        "deny beats allow": "agent/test_approval.py::test_inside_one_set_deny_beats_allow_and_allow_beats_ask",
        "the session beats the team": "agent/test_approval.py::test_the_session_beats_the_team",
        "approving everything beats both, and questions": (
            "agent/test_approval.py::test_a_session_that_approves_everything_beats_every_wish_to_ask"
        ),
        "rejected, with a reason and without": (
            "test_sequences.py::test_a_rejected_call_is_an_error_and_the_other_calls_of_its_turn_go_on"
        ),
        "tasks are for sub-agents only": (
            "test_team_sequences.py::test_a_task_for_somebody_who_does_none_is_an_error_and_nobody_is_switched_to"
        ),
        "a task succeeds": "test_team_sequences.py::test_a_task_is_told_inside_its_call",
    },
    "compaction": {
        "a full window is compacted before the next turn": (
            "test_compaction.py::test_a_conversation_that_fills_the_window_is_compacted_before_the_next_turn"
        ),
        "an empty session is a warning": NOT_FROM_OUTSIDE,
    },
    "fallbacks": {
        "in their order": (
            "test_fallback.py::test_what_may_pass_is_tried_again_and_a_rate_limit_is_not_waited_for"
        ),
        "as many attempts as were asked for": "test_upstream.py::test_two_failures_of_three_retries_are_three_calls",
        "nobody else is asked when the first one answers": (
            "test_fallback.py::test_a_plain_agent_is_told_once_which_model_it_is"
        ),
        "a rate limit is one call, then the next model": (
            "test_fallback.py::test_what_may_pass_is_tried_again_and_a_rate_limit_is_not_waited_for"
        ),
        "a rate limit without a next model is an error": ON_PURPOSE,
        "a cooldown is kept": (
            "test_fallback.py::test_a_session_stays_with_the_fallback_until_the_model_may_be_asked_again"
        ),
        "and ends": "test_fallback.py::test_the_agents_own_model_is_asked_again",
        "two retries unless it is said": "agent/test_retry.py::test_the_third_failure_is_the_last",
        "-1 for none": "test_fallback.py::test_the_agents_own_model_is_asked_again",
    },
    "store": {
        "who said it": "web/test_runs.py::test_messages_of_a_run_have_the_contracts_keys",
        "root sessions only": (
            "store/test_sessions.py::test_the_list_has_root_sessions_newest_first_with_their_messages_counted"
        ),
        "messages are counted": (
            "store/test_sessions.py::test_the_list_has_root_sessions_newest_first_with_their_messages_counted"
        ),
        "permissions that are null": "web/test_sessions.py::test_permissions_are_replaced_as_a_whole_and_cleared",
        "thinking": "web/test_sessions.py::test_a_toggle_answers_null_and_flips",
        "a model of one's own": "web/test_run_model.py::test_the_model_is_kept_for_the_sessions_later_runs",
        "a corrupt file is put aside": ON_PURPOSE,
        "the old messages column, relative and orphaned references": ON_PURPOSE,
    },
    "the agent of a session": {
        "is used": (
            "test_compatibility.py::test_who_was_given_a_conversation_keeps_it_until_a_request_names_somebody"
        ),
        "is another one if it is gone": (
            "test_compatibility.py::test_a_conversation_whose_agent_is_gone_goes_on_with_the_default"
        ),
    },
}


@cache
def functions_of(module: str) -> frozenset[str]:
    tree = ast.parse((TESTS / module).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    "place",
    sorted(
        {place for area in BEHAVIOURS.values() for place in area.values()} - {ON_PURPOSE, NOT_FROM_OUTSIDE}
    ),
)
def test_each_behaviour_has_the_test_that_is_named(place: str) -> None:
    module, _, name = place.partition("::")
    assert name in functions_of(module)


# ---- the server


PIRATE = "agents: {root: {model: anthropic/claude-sonnet-5-5, description: Talks like a pirate}}"
MANY = """
agents:
  root: {model: anthropic/claude-sonnet-5-5, description: Leads, sub_agents: [writer]}
  writer: {model: anthropic/claude-sonnet-5-5, description: Writes}
"""


@pytest.fixture
def listing(tmp_path: Path) -> Iterator[LocalClient]:
    """A server that serves a directory with nothing in it yet, and no model."""
    (tmp_path / "agents").mkdir()
    server: Server = build(make_settings(tmp_path, "", agents=tmp_path / "agents"))
    yield LocalClient(server)
    server.close()


def test_agents_of_a_directory(listing: LocalClient, tmp_path: Path) -> None:
    for name, text in (("pirate", PIRATE), ("multi_agents", MANY), ("contradict", PIRATE)):
        (tmp_path / "agents" / f"{name}.yaml").write_text(text)
    assert listing.call("GET", "/api/agents") == [
        {"name": "contradict", "description": "Talks like a pirate", "multi": False},
        {"name": "multi_agents", "description": "Leads", "multi": True},
        {"name": "pirate", "description": "Talks like a pirate", "multi": False},
    ]


def test_without_sessions_and_agents(listing: LocalClient) -> None:
    response = listing.ask("GET", "/api/sessions")
    assert (response.status_code, response.get_data()) == (200, b"[]\n")
    session = listing.new_session()
    assert [one["id"] for one in listing.call("GET", "/api/sessions")] == [session]


def test_words_come_back_without_parts(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say hello]")
    assert set(local.messages(session)[0]) == {"role", "content", "created_at"}
    assert local.messages(session)[0]["content"] == "[say hello]"


# ---- runs


def test_thinking_and_words_take_turns(local: LocalClient) -> None:
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    events = local.say(session, "[think first][say one two][think then][say three]")
    turns = ["agent_choice_reasoning", "agent_choice"] * 2
    assert shape(events) == [*PLAIN, *turns, *SAID[1:], *END]
    assert "".join(event["content"] for event in of_type(events, "agent_choice_reasoning")) == "firstthen"
    assert [event["content"] for event in of_type(events, "agent_choice")] == ["one ", "two", "three"]


def test_two_failures_of_three_retries_are_three_calls(tmp_path: Path, model: OfflineServer) -> None:
    text = """
agents: {root: {model: first, instruction: i, fallback: {models: [second], retries: 3}}}
models:
  first: {provider: anthropic, model: claude-sonnet-5-5}
  second: {provider: anthropic, model: claude-haiku-5-5}
"""
    (tmp_path / "team.yaml").write_text(text)
    server = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml"))
    local = LocalClient(server)
    local.say(local.new_session(), "[fail 529 2][say hello]", agent="team")
    assert [request["model"] for request in model.requests] == ["claude-sonnet-5-5"] * 3
    server.close()
