"""Answers to what runs ask, and what is lost only when that is said, without a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app.commands import exits
from app.commands.run_answers import answer_of
from baton_client import BatonClient, FormEvent, MoreIterationsEvent, RunStream, ToolApprovalEvent
from tests.commands.conftest import Call

ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}, "number": {"type": "integer"}}}


@pytest.fixture
def asking(baton: BatonClient) -> Iterator[RunStream]:
    """A run that waits for an approval."""
    with baton.run(baton.create_session()["id"], ECHO, agent="tools") as run:
        next(event for event in run if isinstance(event, ToolApprovalEvent))
        yield run


@pytest.fixture
def form(baton: BatonClient) -> Iterator[RunStream]:
    call = {"message": "Which?", "schema": SCHEMA}
    text = f"[call user_prompt {json.dumps(call)}][then][say thanks]"
    with baton.run(baton.create_session()["id"], text, agent="tools") as run:
        next(event for event in run if isinstance(event, FormEvent))
        yield run


def test_a_call_is_approved_from_elsewhere(call: Call, asking: RunStream) -> None:
    done = call("runs", "approve", asking.id[:8])
    assert (done.code, done.out, done.err) == (exits.OK, "", 'approved shell {"cmd": "echo hands"}\n')
    assert asking.text() == "done"


def test_a_call_is_rejected_with_a_reason(call: Call, baton: BatonClient, asking: RunStream) -> None:
    done = call("runs", "reject", asking.id, "--reason", "not today")
    assert (done.code, asking.text()) == (exits.OK, "done")
    assert "not today" in json.dumps(baton.session(asking.session_id))


@pytest.mark.parametrize(("option", "kept"), [("--tool", False), ("--all", True)])
def test_later_calls_are_approved_with_it(
    call: Call, baton: BatonClient, asking: RunStream, option: str, kept: bool
) -> None:
    assert call("runs", "approve", asking.id, option).code == exits.OK
    assert asking.text() == "done"
    assert baton.session(asking.session_id)["tools_approved"] is kept
    assert baton.run(asking.session_id, ECHO, agent="tools").text() == "done"


def test_an_answer_is_for_the_call_that_is_named(call: Call, asking: RunStream) -> None:
    done = call("runs", "approve", asking.id, "--call", "another")
    assert done.code == exits.FAILED
    assert "asks about call" in done.err
    told = json.loads(call("runs", "show", asking.id, "--json").out)["waiting_for"]
    done = call("runs", "approve", asking.id, "--call", told["call_id"], "--json")
    assert json.loads(done.out)["question"]["tool"] == "shell"
    assert asking.text() == "done"


@pytest.mark.parametrize("words", [('{"colour": "blue", "number": 7}',), ("colour=blue", "number=7")])
def test_a_form_is_filled_in_from_elsewhere(
    call: Call, baton: BatonClient, form: RunStream, words: tuple[str, ...]
) -> None:
    assert "fill in a form" in call("runs", "approve", form.id).err
    assert call("runs", "answer", form.id, *words).code == exits.OK
    assert form.text() == "thanks"
    said = json.dumps(baton.session(form.session_id)["messages"])
    assert "blue" in said
    assert "7" in said


def test_a_form_is_declined_from_elsewhere(call: Call, form: RunStream) -> None:
    assert call("runs", "answer", form.id).code == exits.USAGE
    assert call("runs", "answer", form.id, "--decline").code == exits.OK
    assert form.text() == "thanks"
    assert "is finished" in call("runs", "answer", form.id, "colour=red").err


def test_fields_are_of_the_types_that_the_form_has() -> None:
    assert answer_of(["colour=7", "number=7", "other=7"], SCHEMA) == {
        "colour": "7",
        "number": 7,
        "other": "7",
    }
    assert answer_of(["number=many"], SCHEMA) == {"number": "many"}
    assert answer_of(["just this"], None) == {"answer": "just this"}
    assert answer_of(["colour=a=b"], SCHEMA) == {"colour": "a=b"}


def test_more_model_calls_are_allowed_from_elsewhere(call: Call, baton: BatonClient) -> None:
    session = baton.create_session(tools_approved=True, max_iterations=1)["id"]
    with baton.run(session, ECHO, agent="tools") as run:
        next(event for event in run if isinstance(event, MoreIterationsEvent))
        assert call("runs", "approve", run.id, "--tool").code == exits.USAGE
        assert call("runs", "approve", run.id).code == exits.OK
        assert run.text() == "done"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_nothing_is_lost_in_a_pipe_unless_that_is_said(
    call: Call, baton: BatonClient, asking: RunStream, as_json: list[str]
) -> None:
    kept = baton.create_session()["id"]
    baton.follow_up(asking.session_id, "[say later]")
    for words in (
        ("sessions", "rm", kept),
        ("runs", "release", asking.id),
        ("queue", "drop", asking.session_id, "--all"),
        ("db", "prune", "--events-older-than", "0"),
    ):
        done = call(*words, *as_json, said="y\n")
        assert (done.code, "--yes" in done.err) == (exits.USAGE, True), words
    assert baton.session(kept)["id"] == kept
    assert baton.get_run(asking.id)["status"] == "awaiting_approval"
    assert len(baton.queue(asking.session_id)) == 1
    assert call("queue", "drop", asking.session_id, "--all", "--yes").err == "dropped 1 message\n"


def test_several_sessions_are_deleted_and_asked_about_on_a_terminal(talk: Call, baton: BatonClient) -> None:
    ids = [baton.create_session()["id"] for _ in range(2)]
    kept = talk("sessions", "rm", *ids, script=[("Delete 2 sessions for good?", "n\n")])
    assert (kept.code, baton.session(ids[0])["id"]) == (exits.INTERRUPTED, ids[0])
    done = talk("sessions", "rm", *ids, script=[("Delete 2 sessions for good?", "y\n")])
    assert (done.code, "deleted 2 sessions" in done.out) == (exits.OK, True)
    assert not {one["id"] for one in baton.sessions()} & set(ids)


def test_an_import_prints_the_id_alone_in_a_pipe(call: Call, baton: BatonClient) -> None:
    exported = call("sessions", "export", baton.create_session()["id"]).out
    done = call("sessions", "import", "-", said=exported)
    assert baton.session(done.out.strip())["id"] + "\n" == done.out
    assert done.err == ""
