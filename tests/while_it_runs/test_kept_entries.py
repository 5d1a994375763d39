"""Summaries that leave the newest messages in the model's view, and what they took."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import roles
from tests.while_it_runs.test_summaries import shown, sum_up

SUMMARY = ("user", "Session Summary: S")


def talk(client: LocalClient) -> str:
    """user 0, assistant 1 with a call, tool 2, assistant 3, user 4, assistant 5."""
    session = client.new_session(tools_approved=True)
    client.say(session, '[call shell {"cmd":"echo one"}][then][say done]', agent="tools")
    client.say(session, "[say two]", agent="tools")
    return session


CALL = [("assistant", "tool_use"), ("user", "tool_result")]
TWO = [("user", "[say two]"), ("assistant", "two")]
DONE = [("assistant", "done")]


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        (5, TWO[1:]),
        (4, TWO),
        (3, DONE + TWO),
        (2, CALL + DONE + TWO),  # a result stays with its call
        (1, CALL + DONE + TWO),
        (0, []),
        (6, []),
        (1_000_000, []),
    ],
)
@pytest.mark.parametrize("key", ["first_kept_entry", "tokens"])
def test_from_the_first_kept_entry_on_the_model_is_shown_the_messages(
    here: LocalClient, there: LocalClient, model: OfflineServer, key: str, first: int, kept: list[Any]
) -> None:
    session = talk(here)
    sum_up(there, session, "S", **{key: first})
    here.say(session, "[say three]", agent="tools")
    assert shown(model) == [SUMMARY, *kept, ("user", "[say three]")]
    assert roles(here, session)[:6] == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def test_the_newer_name_of_the_first_kept_entry_counts_more(local: LocalClient, model: OfflineServer) -> None:
    session = talk(local)
    sum_up(local, session, "S", first_kept_entry=5, tokens=3)
    local.say(session, "[say three]", agent="tools")
    assert shown(model) == [SUMMARY, *TWO[1:], ("user", "[say three]")]


def test_what_nobody_has_answered_is_kept_whatever_is_said(local: LocalClient, model: OfflineServer) -> None:
    session = talk(local)
    said = {"message": {"role": "user", "content": "And I am Ann."}}
    local.call("POST", f"/api/sessions/{session}/messages", said, expect=201)
    sum_up(local, session, "S", first_kept_entry=7)
    local.say(session, "[say three]", agent="tools")
    assert shown(model) == [SUMMARY, ("user", "And I am Ann."), ("user", "[say three]")]


def test_a_later_summary_can_bring_back_what_an_earlier_one_told(
    local: LocalClient, model: OfflineServer
) -> None:
    session = talk(local)
    sum_up(local, session, "Everything.")
    sum_up(local, session, "S", first_kept_entry=4)
    local.say(session, "[say three]", agent="tools")
    assert shown(model) == [SUMMARY, *TWO, ("user", "[say three]")]


def test_the_summary_is_stored_with_what_it_took_and_the_session_has_cost_that_too(
    local: LocalClient,
) -> None:
    session = talk(local)
    before = local.call("GET", f"/api/sessions/{session}/snapshot")["cost"]
    usage = {"input_tokens": 5, "output_tokens": 6, "cached_input_tokens": 7, "cached_write_tokens": 8}
    sum_up(local, session, "S", model="anthropic/x", usage=usage, cost=0.25)
    summary = local.server.store.journal.summary(session)
    assert summary is not None
    assert summary.usage is not None
    assert (summary.model, summary.cost, summary.usage.cache_write_tokens) == ("anthropic/x", 0.25, 8)
    after = local.call("GET", f"/api/sessions/{session}/snapshot")["cost"]
    assert after == pytest.approx(before + 0.25)
    sum_up(local, session, "S", usage={"input_tokens": 0})
    again = local.server.store.journal.summary(session)
    assert again is not None
    assert again.usage is None


@pytest.mark.parametrize(
    "more",
    [
        {"first_kept_entry": -1},
        {"first_kept_entry": "1"},
        {"model": "x" * 257},
        {"model": "a\nb"},
        {"usage": {"input_tokens": -1}},
        {"cost": -0.1},
    ],
)
def test_a_number_that_makes_no_sense_is_refused(local: LocalClient, more: dict[str, Any]) -> None:
    session = local.new_session()
    assert sum_up(local, session, "S", expect=422, **more)["code"] == "invalid_request"
    assert local.server.store.sessions.get(session).compactions == 0
