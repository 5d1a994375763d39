"""Each rule of a valid transcript, from both sides."""

from __future__ import annotations

import pytest

from app.conversation.blocks import Block
from app.conversation.transcript import Message, Transcript
from app.errors import InvalidTranscript
from tests.conversation.rows import (
    answer,
    assert_accepted,
    assistant,
    call,
    found,
    result,
    search,
    thinking,
    user,
)

ACCEPTED = {
    "nothing at all": [],
    "a question and its answer": [user("Hi"), assistant("Hello")],
    "two questions in a row": [user("Hi"), user("You there?")],
    "an answer to an answer": [user("Hi"), assistant("Wait."), assistant("Here it is.")],
    "a call and its result": [user("Hi"), assistant(call("a")), answer("a")],
    "results in another order than the calls": [
        user("Hi"),
        assistant(call("a"), call("b")),
        answer("b"),
        answer("a"),
    ],
    "signed thinking": [user("Hi"), assistant(thinking(), "Hello")],
    "redacted thinking": [user("Hi"), assistant({"type": "redacted_thinking", "data": "x"}, "Hello")],
    "a block that nobody knows": [user("Hi"), assistant({"type": "hologram", "x": 1})],
    "a server's tool with its result": [user("Hi"), assistant(search(), found(), "Found.")],
    "a turn that was paused and went on": [
        user("Hi"),
        assistant(search(), stop_reason="pause_turn"),
        assistant(found(), "Found."),
        user("Thanks"),
    ],
    "an image": [user({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})],
}

REFUSED = {
    "a conversation that an assistant begins": [assistant("Hello")],
    "a conversation that a result begins": [answer("a")],
    "a user message without content": [user()],
    "a user message of white space": [user(" \n")],
    "a user who calls a tool": [user(call("a"))],
    "a user who says a result": [user("Hi"), assistant(call("a")), user(result("a"))],
    "a user who thinks": [user(thinking())],
    "an assistant message without content": [user("Hi"), assistant()],
    "an assistant message of white space": [user("Hi"), assistant("\t")],
    "an assistant who says a result": [user("Hi"), assistant(result("a"))],
    "thinking without its signature": [user("Hi"), assistant(thinking(signature=""), "Hello")],
    "redacted thinking without its data": [user("Hi"), assistant({"type": "redacted_thinking"}, "Hello")],
    "a user message before the results": [user("Hi"), assistant(call("a")), user("Well?")],
    "an assistant message before the results": [user("Hi"), assistant(call("a")), assistant("Well?")],
    "a user message before the last result": [
        user("Hi"),
        assistant(call("a"), call("b")),
        answer("a"),
        user("Well?"),
    ],
    "a result that no call waits for": [user("Hi"), answer("a")],
    "a second result": [user("Hi"), assistant(call("a")), answer("a"), answer("a")],
    "a result of an earlier turn's call": [
        user("Hi"),
        assistant(call("a")),
        answer("a"),
        assistant(call("b")),
        answer("a"),
    ],
    "two results in one row": [
        user("Hi"),
        assistant(call("a"), call("b")),
        Message("tool", (result("a"), result("b"))),
    ],
    "a tool row without a result": [user("Hi"), assistant(call("a")), Message("tool", ({"type": "text"},))],
    "an id used twice in a message": [user("Hi"), assistant(call("a"), call("a"))],
    "an id used twice in a session": [user("Hi"), assistant(call("a")), answer("a"), assistant(call("a"))],
    "an empty id": [user("Hi"), assistant(call(""))],
    "an id with a space": [user("Hi"), assistant(call("a b"))],
    "an id that ends with a line break": [user("Hi"), assistant(call("a\n"))],
    "an id that is a number": [user("Hi"), assistant(call("", id=7))],
    "an input that is no object": [user("Hi"), assistant(call("a", input="{}"))],
    "a call of a tool whose name the API would not take": [user("Hi"), assistant(call("a", name="a.b"))],
    "a server's tool without its result": [user("Hi"), assistant(search(), "Found."), user("Well?")],
    "a user message inside a paused turn": [
        user("Hi"),
        assistant(search(), stop_reason="pause_turn"),
        user("Well?"),
    ],
    "a server's result without its call": [user("Hi"), assistant(found(), "Found.")],
    "a server's result before its call": [user("Hi"), assistant(found(), search(), "Found.")],
    "a server's second result": [user("Hi"), assistant(search(), found(), found(), "Found.")],
    "a server's call with a call's id": [
        user("Hi"),
        assistant(call("srvtoolu_1")),
        answer("srvtoolu_1"),
        assistant(search()),
    ],
    "an error of which nothing is said": [
        user("Hi"),
        assistant(call("a")),
        Message("tool", (result("a", "", is_error=True),)),
    ],
    "an error with an image": [
        user("Hi"),
        assistant(call("a")),
        Message("tool", (result("a", is_error=True) | {"content": [{"type": "image"}]},)),
    ],
    "a result of white space in a block": [
        user("Hi"),
        assistant(call("a")),
        Message("tool", (result("a") | {"content": [{"type": "text", "text": " "}]},)),
    ],
    "a result that is a number": [
        user("Hi"),
        assistant(call("a")),
        Message("tool", (result("a") | {"content": 7},)),
    ],
    "a block without a type at all": [user({})],
    "a block without a type": [user({"text": "Hi"})],
}


@pytest.mark.parametrize("rows", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_valid_conversation_is_accepted(rows: list[Message]) -> None:
    assert Transcript.of(rows).rows == tuple(rows)


@pytest.mark.parametrize("rows", REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_conversation_is_refused(rows: list[Message]) -> None:
    with pytest.raises(InvalidTranscript):
        Transcript.of(rows)


@pytest.mark.parametrize("rows", REFUSED.values(), ids=REFUSED.keys())
def test_the_row_that_does_not_fit_is_refused_where_it_is_added(rows: list[Message]) -> None:
    transcript = Transcript()
    for row in rows[:-1]:
        transcript = transcript.add(row)
    with pytest.raises(InvalidTranscript):
        transcript.add(rows[-1])


@pytest.mark.parametrize("rows", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_adding_rows_one_by_one_makes_the_same_transcript(rows: list[Message]) -> None:
    transcript = Transcript()
    for row in rows:
        transcript = transcript.add(row)
    assert transcript == Transcript.of(rows)


@pytest.mark.parametrize(
    "rows",
    [rows for name, rows in ACCEPTED.items() if "nobody knows" not in name and "thinking" not in name],
    ids=[name for name in ACCEPTED if "nobody knows" not in name and "thinking" not in name],
)
def test_what_is_accepted_here_is_accepted_by_the_api(rows: list[Message]) -> None:
    assert_accepted(rows)


def test_adding_leaves_the_transcript_it_was_added_to_alone() -> None:
    before = Transcript.of([user("Hi"), assistant(call("a"))])
    before.add(answer("a"))
    assert before.open_calls == ("a",)
    assert len(before.rows) == 2


def test_open_calls_are_those_without_a_result_in_the_models_order() -> None:
    transcript = Transcript.of([user("Hi"), assistant(call("a"), call("b"), call("c"))])
    assert transcript.add(answer("b")).open_calls == ("a", "c")


def test_a_refusal_names_the_calls_that_wait() -> None:
    transcript = Transcript.of([user("Hi"), assistant(call("a"), call("b"))])
    with pytest.raises(InvalidTranscript, match="a, b"):
        transcript.add(user("Well?"))


@pytest.mark.parametrize(
    ("wanted", "free"),
    [
        (["new"], ["new"]),
        (["a"], ["a_2"]),
        (["a", "a"], ["a_2", "a_3"]),
        (["a_2", "a"], ["a_2", "a_3"]),
        ([""], ["call"]),
        (["", ""], ["call", "call_2"]),
        (["run:0 ü"], ["run_0__"]),
        (["a\n"], ["a_"]),
    ],
)
def test_free_ids_are_the_wanted_ones_where_they_can_be_used(wanted: list[str], free: list[str]) -> None:
    transcript = Transcript.of([user("Hi"), assistant(call("a")), answer("a")])
    assert transcript.free_ids(wanted) == free
    calls: list[Block] = [call(call_id) for call_id in free]
    assert transcript.add(assistant(*calls)).open_calls == tuple(free)
