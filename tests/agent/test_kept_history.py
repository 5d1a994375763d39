"""What is kept from one run to the next never shows: a request is, byte for byte, the one that is made from nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.agent import kept_history, request_builder
from app.agent.history import History
from app.agent.kept_history import KeptHistory
from app.agent.request_builder import RequestBuilder
from app.conversation.blocks import Block
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.pictures import has_pictures
from app.conversation.summary import Summary
from app.conversation.transcript import Message, size_of
from tests.conversation.rows import PROMPT, answer, assistant, call, thinking, user

FROZEN = FrozenPrompt(PROMPT, "root", "d", "m", "[]", "[]")
OTHER = FrozenPrompt("another", "root", "d", "m", "[]", "[]")


def placed(*rows: Message) -> list[Message]:
    return [
        Message(row.role, row.content, prompt=row.prompt, position=index) for index, row in enumerate(rows)
    ]


TALK = placed(
    user("Hi"),
    assistant(thinking(), "Let me look.", call("a"), call("b")),
    answer("a"),
    answer("b"),
    assistant("Done."),
    user("And?"),
)


def sent(
    rows: Sequence[Message],
    kept: KeptHistory | None = None,
    *,
    summary: Summary | None = None,
    prompt: FrozenPrompt = FROZEN,
    more: Sequence[Message] = (),
) -> tuple[Sequence[bytes], History]:
    """The first request of a run that finds these rows; `more` are the run's own, in a later request."""
    history = History(rows, summary, cost=0.0, kept=kept)
    builder = RequestBuilder(prompt, kept)
    messages = builder.build(history.rows, model="m", max_tokens=1, options={}).messages
    for row in more:
        history.add(row)
        builder.build(history.rows, model="m", max_tokens=1, options={})
    return messages, history


def assert_as_new(rows: Sequence[Message], kept: KeptHistory, **how: object) -> None:
    warm, history = sent(rows, kept, **how)  # type: ignore[arg-type]
    cold, fresh = sent(rows, **how)  # type: ignore[arg-type]
    assert warm == cold
    assert history.transcript == fresh.transcript
    assert (history.size, history.next_position) == (fresh.size, fresh.next_position)
    assert (history.has_calls, history.has_pictures) == (fresh.has_calls, fresh.has_pictures)
    assert history.has_pictures == any(has_pictures(row) for row in rows)
    assert history.free_ids(["a", "c"]) == fresh.free_ids(["a", "c"])


AFTERWARDS = {
    "the same": TALK,
    "more": [*TALK, *placed(assistant("So."), user("And then?"))],
    "a picture": [*TALK, *placed(assistant("So."), Message("user", ({"type": "image", "source": {}},)))],
    "more words of the user's": [*TALK, *placed(user("And now?"))],
    "fewer": TALK[:1],
    "none": [],
    "another beginning": [*placed(user("Hello")), *TALK[1:]],
    "another middle": [*TALK[:2], *placed(answer("a", "unseen")), *TALK[3:]],
    "another end": [*TALK[:-1], *placed(user("Or?"))],
    "one is gone": [*TALK[:4], TALK[5]],
    "a result is gone": [*TALK[:3], *TALK[4:]],
    "one is marked as refused": [
        *TALK[:-1],
        Message("user", TALK[-1].content, partial="refused", position=5),
        *placed(user("Sorry.")),
    ],
    "equal, and not the same": placed(*TALK),
    "out of order": [*TALK, *placed(assistant("So."), assistant("So?"))],
}


@pytest.mark.parametrize("rows", AFTERWARDS.values(), ids=AFTERWARDS)
def test_a_request_is_the_one_that_is_made_from_nothing(rows: list[Message]) -> None:
    kept = KeptHistory()
    sent(TALK, kept, more=placed(assistant(call("c")), answer("c"), assistant("Yes.")))
    assert_as_new(rows, kept)
    assert_as_new(TALK, kept)
    assert_as_new(rows, kept)


def test_thinking_is_sent_only_under_its_own_prompt() -> None:
    kept = KeptHistory()
    for prompt in (FROZEN, OTHER, FROZEN):
        assert_as_new(TALK, kept, prompt=prompt)


def test_a_summary_begins_another_request() -> None:
    kept = KeptHistory()
    summary = Summary(1, "They looked.", 4, 0, 1, 6)
    for told in (None, summary, summary, None):
        assert_as_new(TALK, kept, summary=told)


def test_what_a_run_adds_is_not_taken_for_what_is_stored() -> None:
    """Its own rows have no place in the database yet; what comes back from there counts."""
    kept = KeptHistory()
    sent(TALK, kept, more=placed(assistant("Yes.")))
    assert_as_new([*TALK, *placed(assistant("No."), user("Oh?"))], kept)


def test_what_is_known_is_neither_checked_nor_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptHistory()
    talk = placed(*(row for _ in range(50) for row in (user("Hi"), assistant("Hello."))), user("Bye"))
    sent(talk, kept)
    encoded: list[str] = []
    measured: list[Message] = []
    encode = request_builder._encode

    def encoding(role: str, content: Sequence[Block]) -> bytes:
        encoded.append(role)
        return encode(role, content)

    def measuring(row: Message) -> int:
        measured.append(row)
        return size_of(row)

    monkeypatch.setattr(request_builder, "_encode", encoding)
    monkeypatch.setattr(kept_history, "size_of", measuring)
    sent([*talk, *placed(assistant("Bye."), user("Oh, and"))], kept)
    assert len(measured) == 2
    assert len(encoded) <= 6
