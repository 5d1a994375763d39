"""Summaries that people bring along: the model is shown them from then on, and nothing is lost or broken."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.store.session_rows import read_messages
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import roles


def sum_up(client: LocalClient, session: str, text: str, *, expect: int = 201, **more: Any) -> Any:
    path = f"/api/sessions/{session}/summaries"
    return client.call("POST", path, {"summary": text, **more}, expect=expect)


def shown(model: OfflineServer) -> list[tuple[str, str]]:
    """The last messages that the model was shown: roles, and the texts or kinds of their blocks."""
    return [
        (message["role"], block.get("text", block["type"]))
        for message in model.requests[-1]["messages"]
        for block in message["content"]
    ]


def test_the_model_is_shown_the_summary_and_the_session_all_that_was_said(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session(tools_approved=True)
    here.say(session, '[call shell {"cmd":"echo one"}][then][say done]', agent="tools")
    before = here.messages(session)
    assert sum_up(here, session, "They let me say one.") == {"status": "added"}
    assert here.messages(session) == before
    there.say(session, "[say hello]", agent="tools")
    assert shown(model) == [("user", "Session Summary: They let me say one."), ("user", "[say hello]")]
    assert roles(here, session) == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def test_the_newest_of_several_summaries_counts(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    local.say(session, "[say one]")
    sum_up(local, session, "First.")
    local.say(session, "[say two]")
    sum_up(local, session, "Second.")
    local.say(session, "[say three]")
    assert shown(model) == [("user", "Session Summary: Second."), ("user", "[say three]")]


def test_what_nobody_has_answered_stays_in_its_own_words(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    local.say(session, "[say one]")
    said = {"message": {"role": "user", "content": "And I am Ann."}}
    local.call("POST", f"/api/sessions/{session}/messages", said, expect=201)
    sum_up(local, session, "One was said.")
    local.say(session, "[say two]")
    assert [words for _, words in shown(model)] == [
        *("Session Summary: One was said.", "And I am Ann.", "[say two]")
    ]


def test_a_new_session_can_begin_with_a_summary(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    sum_up(local, session, "We have met before.")
    local.say(session, "[say again]")
    assert [words for _, words in shown(model)] == ["Session Summary: We have met before.", "[say again]"]


def test_a_call_whose_result_never_came_is_told_by_the_summary_with_it(
    local: LocalClient, model: OfflineServer, gate: Gate
) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, gate.call, agent="tools") as stream:
        gate.wait_until_reached()
        local.stop(session)
        stream.rest()
    sum_up(local, session, "It was stopped.")
    local.say(session, "[say fine]", agent="tools")
    assert "tool_use" not in json.dumps(model.requests[-1]["messages"])


def test_how_full_the_window_is_then_is_estimated(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[words 300]")
    sum_up(local, session, "Words were said.")
    body = local.session(session)
    assert body["output_tokens"] == 0
    assert 0 < body["input_tokens"] < 100


@pytest.mark.parametrize(
    "body", [{}, {"summary": ""}, {"summary": " \n"}, {"summary": 5}, {"summary": "x", "tokens": -1}]
)
def test_a_summary_that_says_nothing_is_refused(local: LocalClient, body: dict[str, Any]) -> None:
    session = local.new_session()
    path = f"/api/sessions/{session}/summaries"
    assert local.call("POST", path, body, expect=422)["code"] == "invalid_request"
    assert local.server.store.sessions.get(session).compactions == 0
    assert local.call("POST", "/api/sessions/nobody/summaries", {"summary": "x"}, expect=404)["message"] == (
        "failed to add summary: session not found"
    )


def test_while_a_run_of_another_process_is_at_work_it_is_refused_and_changes_nothing(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        before = there.server.store.sessions.get(session)
        busy = sum_up(there, session, "Too early.", expect=409)
        after = there.server.store.sessions.get(session)
        gate.open("the result")
        stream.rest()
    assert (busy["code"], busy["run"]["agent"]) == ("session_busy", "tools/root")
    assert before == after
    assert here.server.store.journal.summary(session) is None
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"]


def test_f11_a_run_does_not_begin_in_the_middle_of_a_summary(
    local: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    reached, go = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Any:
        reached.set()
        assert go.wait(30)
        return read_messages(*arguments)

    monkeypatch.setattr("app.store.held_conversation.read_messages", slowly)
    writer = threading.Thread(target=sum_up, args=(local, session, "Slowly."))
    writer.start()
    assert reached.wait(30)
    refused = LocalClient(local.server).try_run(session, "[say too early]")
    go.set()
    writer.join(30)
    assert refused.status_code == 409
    assert refused.get_json()["code"] == "session_busy"
    assert local.server.store.sessions.get(session).compactions == 1
