"""Compaction: when it happens, what readers are told, what the model is shown then, and that nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import model_catalogue, summarizer
from app.agent.history import History
from app.conversation.transcript import Message
from app.factory import Server, build
from tests.chaos.invariants import broken_promises
from tests.conftest import AGENTS, make_settings
from tests.conversation.rows import user
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event, text_of
from tests.test_sequences import (
    CALLED,
    END,
    PLAIN,
    RAN,
    SAID,
    TOOLS,
    TOOLS_LISTING,
    at_rest,
    call_text,
    of_type,
    roles,
    shape,
    stripped,
)

MODEL = "claude-sonnet-5-5"
SMALL = 4_000  # tokens
THINKER = """
agents:
  root: {model: anthropic/claude-sonnet-5-5, description: d, instruction: i, toolsets: [{type: think}]}
"""
COMPACTED = ["session_compaction", "session_summary", "session_compaction", "token_usage"]
FAILED = ["session_compaction", "error", "session_compaction", "token_usage"]
LONG = "[words 2650]"  # more than nine tenths of them
NEARLY = "[words 2400]"  # not quite


@pytest.fixture
def small_window() -> Iterator[OfflineServer]:
    """A stand-in whose model has a window that is soon full."""
    with OfflineServer(windows={MODEL: SMALL}) as stand_in:
        yield stand_in
        assert stand_in.violations == []


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server knows of the small window; otherwise only the model's refusal tells it."""
    facts = replace(model_catalogue.facts(MODEL), window=SMALL)
    monkeypatch.setattr(model_catalogue, "_MODELS", {**model_catalogue._MODELS, MODEL: facts})


@pytest.fixture
def small(tmp_path: Path, small_window: OfflineServer) -> Iterator[Server]:
    agents = tmp_path / "agents"
    shutil.copytree(AGENTS, agents)
    (agents / "thinker.yaml").write_text(THINKER)
    built = build(make_settings(tmp_path, small_window.url, agents=agents))
    yield built
    built.close()


@pytest.fixture
def local(small: Server) -> LocalClient:
    return LocalClient(small)


def shown(stand_in: OfflineServer) -> list[tuple[str, str]]:
    """The last messages that the model was shown: roles, and the texts or kinds of their blocks."""
    return [
        (message["role"], block.get("text", block["type"]))
        for message in stand_in.requests[-1]["messages"]
        for block in message["content"]
    ]


@pytest.mark.usefixtures("known")
def test_a_conversation_that_fills_the_window_is_compacted_before_the_next_turn(
    local: LocalClient, small_window: OfflineServer
) -> None:
    session = local.new_session()
    local.say(session, LONG + "[think]")
    cost = local.server.store.sessions.get(session).cost
    events = local.say(session, "[say hello]")
    assert shape(events) == [*PLAIN, *COMPACTED, *SAID, *END]
    started, summary, completed, usage = events[6:10]
    here = {"session_id": session, "agent_name": "root"}
    assert stripped(started) == {"type": "session_compaction", "status": "started", **here}
    assert stripped(completed) == {
        "type": "session_compaction",
        "status": "completed",
        "outcome": "applied",
        **here,
    }
    assert stripped(summary)["summary"].startswith("Summary: ")
    assert set(summary) == {*("type", "session_id", "summary", "first_kept_entry", "agent_name", "timestamp")}
    assert "last_message" not in usage["usage"]
    assert usage["usage"]["output_tokens"] == 0
    assert usage["usage"]["input_tokens"] == usage["usage"]["context_length"] < 100
    assert usage["usage"]["cost"] > cost, "the summary has cost something"
    assert usage["usage"]["context_limit"] == SMALL
    assert shown(small_window) == [
        ("user", f"Session Summary: {summary['summary']}"),
        ("user", "[say hello]"),
    ]
    assert text_of(events) == "hello"
    assert (
        local.server.store.sessions.get(session).cost == of_type(events, "token_usage")[-1]["usage"]["cost"]
    )


@pytest.mark.usefixtures("known")
def test_the_summary_is_asked_for_with_the_conversations_own_beginning(
    local: LocalClient, small_window: OfflineServer
) -> None:
    """The prompt cache has it already; and thinking stays behind what it was signed over."""
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    local.say(session, "[think]" + LONG)
    local.say(session, "[say hello]")
    first, summary, _after = small_window.requests
    assert summary["system"] == first["system"]
    assert [block["type"] for block in summary["messages"][1]["content"]] == ["thinking", "text"]
    assert summary["messages"][-1]["role"] == "user"
    assert summary["thinking"] == first["thinking"]


@pytest.mark.usefixtures("known")
def test_nothing_is_lost_and_a_restarted_server_shows_the_model_the_same(
    local: LocalClient, small_window: OfflineServer, tmp_path: Path
) -> None:
    session = local.new_session()
    local.say(session, LONG)
    local.say(session, "[say hello]")
    messages = at_rest(local, session)
    assert roles(messages) == ["user", "assistant", "user", "assistant"]
    assert len(messages[1]["content"].split()) == 2650
    before = shown(small_window)
    again = build(make_settings(tmp_path, small_window.url))
    try:
        assert text_of(LocalClient(again).say(session, "[say again]")) == "again"
    finally:
        again.close()
    assert shown(small_window) == [*before, ("assistant", "hello"), ("user", "[say again]")]
    assert broken_promises(local.server.store) == []


WORK = "[words 200]" + call_text("think", thought="x") + "[then][say done]"


@pytest.mark.usefixtures("known")
def test_a_conversation_is_compacted_after_tool_results_and_goes_on(
    local: LocalClient, small_window: OfflineServer
) -> None:
    session = local.new_session()
    local.say(session, NEARLY, agent="thinker")
    events = local.say(session, WORK, agent="thinker")
    called = ["agent_choice", *CALLED]
    assert shape(events) == [*TOOLS, *called, *RAN, *COMPACTED, *TOOLS_LISTING, *SAID, *END]
    kinds = [(role, words[:15]) for role, words in shown(small_window)]
    assert kinds == [
        ("user", "Session Summary"),
        ("user", WORK[:15]),
        ("assistant", "please look int"),
        ("assistant", "tool_use"),
        ("user", "tool_result"),
    ]
    assert roles(at_rest(local, session)) == ["user", "assistant", "user", "assistant", "tool", "assistant"]


def test_an_overflow_is_told_and_the_turn_is_tried_once_more(
    local: LocalClient, small_window: OfflineServer
) -> None:
    session = local.new_session()
    local.say(session, NEARLY)
    events = local.say(session, f"[say hello]{'x' * 4000}")
    assert shape(events) == [*PLAIN, "warning", *COMPACTED, *PLAIN[-1:], *SAID, *END]
    assert "compacted" in of_type(events, "warning")[0]["message"]
    assert text_of(events) == "hello"
    assert shown(small_window)[0][1].startswith("Session Summary: ")
    at_rest(local, session)


def test_a_message_that_alone_is_too_long_ends_the_run_and_the_session_goes_on(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, "x" * 20_000)
    assert shape(events) == [*PLAIN, "error", *END]
    assert "prompt is too long" in of_type(events, "error")[0]["error"]
    assert of_type(events, "error")[0]["code"] == "context_exceeded"
    assert text_of(local.say(session, "[say hello]")) == "hello"
    assert [message["content"][:9] for message in at_rest(local, session)] == [
        "xxxxxxxxx",
        "[say hell",
        "hello",
    ]


def test_an_overflow_that_a_compaction_does_not_mend_ends_the_run(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[words 200]")
    events = local.say(session, "x" * 20_000)
    assert shape(events) == [*PLAIN, "warning", *COMPACTED, *PLAIN[-1:], "error", *END]
    assert text_of(local.say(session, "[say hello]")) == "hello"
    at_rest(local, session)


@pytest.mark.usefixtures("known")
def test_a_failed_compaction_is_told_and_the_run_goes_on(
    local: LocalClient, small_window: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    local.say(session, LONG)
    monkeypatch.setattr("app.agent.summarizer.ASSIGNMENT", "[fail 403]")
    events = local.say(session, "[say hello]")
    assert shape(events) == [*PLAIN, *FAILED, *SAID, *END]
    error = of_type(events, "error")[0]
    assert error["code"] == "compaction_failed"
    assert "does not have permission" in error["error"]
    assert text_of(events) == "hello"
    assert len(shown(small_window)) == 3, "the whole conversation"
    monkeypatch.undo()
    assert at_rest(local, session)[-1]["content"] == "hello"


def assigned(monkeypatch: pytest.MonkeyPatch, *scripts: str) -> None:
    """Tells the model what to say at each attempt at a summary; the last script counts for all further ones."""

    def assignment(attempt: int) -> Message:
        return user(scripts[min(attempt, len(scripts) - 1)])

    monkeypatch.setattr(summarizer, "_assignment", assignment)


UNUSABLE = {
    "cut at max_tokens": "[max_tokens][say half of what there was to be sai]",
    "cut by the window": "[context_window][say half of what there was to be sai]",
    "refused": "[refuse]",
    "empty": "[empty]",
    "blank": "[blank]",
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("script", UNUSABLE.values(), ids=UNUSABLE)
def test_a_summary_that_is_not_whole_is_asked_for_again_with_less(
    local: LocalClient, small_window: OfflineServer, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    session = local.new_session()
    local.say(session, "[words 1300]")
    local.say(session, "[words 1350]")
    assigned(monkeypatch, script, "[say the whole summary]")
    events = local.say(session, "[say hello]")
    assert shape(events) == [*PLAIN, *COMPACTED, *SAID, *END]
    assert of_summaries(events) == ["the whole summary"]
    first, second, _ = (len(json.dumps(body)) for body in small_window.requests[2:])
    assert second < first
    stored = local.server.store.journal.summary(session)
    assert stored is not None
    assert stored.text == "the whole summary"
    spent = local.server.store.sessions.get(session).cost
    assert spent == of_type(events, "token_usage")[-1]["usage"]["cost"], (
        "what came to nothing was paid as well"
    )


@pytest.mark.usefixtures("known")
def test_a_summary_that_is_never_whole_replaces_nothing(
    local: LocalClient, small_window: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    local.say(session, LONG)
    assigned(monkeypatch, UNUSABLE["cut at max_tokens"])
    events = local.say(session, "[say hello]")
    assert shape(events) == [*PLAIN, *FAILED, *SAID, *END]
    assert of_type(events, "error")[0]["code"] == "compaction_failed"
    assert local.server.store.journal.summary(session) is None
    assert len(shown(small_window)) == 3, "the whole conversation"
    assert len(small_window.requests) == 2 + summarizer.ATTEMPTS


@pytest.mark.usefixtures("known")
def test_a_run_that_is_stopped_while_it_compacts_leaves_a_session_that_works(
    local: LocalClient, small_window: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    local.say(session, LONG)
    with monkeypatch.context() as patch:
        patch.setattr("app.agent.summarizer.ASSIGNMENT", "[hold 0][say never]")
        with local.run(session, "[say hello]") as stream:
            stream.until("session_compaction")
            assert small_window.wait_until(lambda stats: stats.open_streams == 1)
            local.stop(session)
            assert stream.rest()[-1]["type"] == "stream_stopped"
    assert local.server.store.journal.summary(session) is None
    assert text_of(local.say(session, "[say back]")) == "helloback", (
        "the first message waits for its answer too"
    )
    at_rest(local, session)


@pytest.mark.usefixtures("known")
def test_f26_a_call_id_that_is_only_summarized_is_not_used_again(local: LocalClient) -> None:
    session = local.new_session()
    first = local.say(session, call_text("think", thought="x") + "[then][words 2500]", agent="thinker")
    local.say(session, "[say hello]", agent="thinker")
    store = local.server.store
    used = of_type(first, "tool_call")[0]["tool_call"]["id"]
    history = History(store.sessions.messages(session), store.journal.summary(session), cost=0.0)
    assert history.summary is not None
    assert [block for row in history.rows for block in row.calls] == []
    assert history.free_ids([used]) == [f"{used}_2"]


def of_summaries(events: list[Event]) -> list[str]:
    return [event["summary"] for event in of_type(events, "session_summary")]


@pytest.mark.usefixtures("known")
def test_a_session_can_be_compacted_again_and_again(local: LocalClient, small_window: OfflineServer) -> None:
    session = local.new_session()
    told = []
    for number in range(4):
        events = local.say(session, f"round {number} {LONG}")
        assert [event for event in events if event["type"] == "error"] == []
        told += of_summaries(events)
    assert len(told) == 3
    newest = local.server.store.journal.summary(session)
    assert newest is not None
    assert (newest.number, newest.text) == (3, told[-1])
    assert shown(small_window)[0] == ("user", f"Session Summary: {told[-1]}")
    messages: list[dict[str, Any]] = at_rest(local, session)
    assert len(messages) == 8
    assert json.dumps(messages).count("round") == 4


@pytest.mark.usefixtures("known")
def test_f27_what_was_thought_before_a_compaction_is_not_sent_after_it(
    local: LocalClient, small_window: OfflineServer
) -> None:
    """It was signed over the conversation as it was, and the answer that it led to is kept."""
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    local.say(session, NEARLY)
    local.say(session, "[think][words 180]")
    events = local.say(session, "[think][say hello]")
    assert len(of_summaries(events)) == 1
    assert [words[:15] for _, words in shown(small_window)] == [
        "Session Summary",
        "[think][words 1",
        "please look int",
        "[think][say hel",
    ]
    local.say(session, "[say more]")
    assert [words for _, words in shown(small_window)][4:6] == ["thinking", "hello"]
