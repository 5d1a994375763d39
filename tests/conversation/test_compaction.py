"""F24: wherever and however often a conversation is cut, what is left of it is one that the model's API takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.conversation.compaction import condensed, estimate, fill, find_cut, shortened, told
from app.conversation.healing import heal
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from tests.conversation.rows import answer, assert_accepted, assistant, call, thinking, user

PIECES = ("user", "says", "thinks", "calls one", "calls three")


def placed(rows: Sequence[Message], first: int = 0) -> list[Message]:
    return [replace(row, position=first + index) for index, row in enumerate(rows)]


def conversation(pieces: Sequence[str]) -> list[Message]:
    rows: list[Message] = [user("message 0")]
    for number, piece in enumerate(pieces, 1):
        match piece:
            case "user":
                rows.append(user(f"message {number}"))
            case "says":
                rows.append(assistant(f"answer {number}"))
            case "thinks":
                rows.append(assistant(thinking(), f"answer {number}"))
            case "calls one":
                rows += [assistant(call(f"a{number}")), answer(f"a{number}", "seen " * 30)]
            case _:
                ids = [f"{name}{number}" for name in "abc"]
                rows += [assistant(*map(call, ids)), *(answer(one) for one in ids)]
    return placed(rows)


def cut(rows: Sequence[Message], keep: int, number: int = 1, text: str = "so far") -> Summary | None:
    end = max(row.position for row in rows) + 1
    found = find_cut(rows, keep_tokens=keep, next_position=end)
    if found is None:
        return None
    return Summary(number, text, found.through, found.newest_from, found.newest_to, end, 0.0)


def texts(rows: Sequence[Message]) -> list[str]:
    return [str(block["text"]) for row in rows for block in row.content if block["type"] == "text"]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(0, 400))
def test_f24_every_cut_of_every_conversation_is_valid_and_keeps_the_newest_message(
    pieces: list[str], keep: int
) -> None:
    rows = conversation(pieces)
    summary = cut(rows, keep)
    if summary is None:
        return
    shown = condensed(rows, summary)
    assert heal(shown).rows == tuple(shown), "nothing had to be healed"
    assert_accepted(shown, prompt="made after the compaction")
    newest = [row for row in rows if row.role == "user"][-1]
    assert newest in shown
    assert [row for row in shown if row.role == "user" and row.position >= 0].count(newest) == 1


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_f24_a_second_compaction_stands_on_the_first(
    before: list[str], after: list[str], keep: int, keep_again: int
) -> None:
    rows = conversation(before)
    first = cut(rows, keep)
    start = len(rows)
    more = [replace(row, position=start + row.position) for row in conversation(after)]
    more = [_renamed(row) for row in more]
    stored = [*rows, *more]
    shown = heal(condensed(stored, first)).rows
    second = cut(shown, keep_again, 2, "all of it")
    if second is None:
        return
    from_store, from_view = condensed(stored, second), condensed(shown, second)
    assert from_store == from_view, "after a restart the model is shown what it was shown before"
    assert heal(from_store).rows == tuple(from_store)
    assert_accepted(from_store, prompt="made after the compaction")


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.integers(0, 20), st.booleans())
def test_f24_a_summary_that_is_brought_along_is_valid_wherever_the_conversation_stands(
    pieces: list[str], length: int, speaks_after: bool
) -> None:
    rows = conversation(pieces)[:length]  # it may have been cut between a call and its result
    rows += placed([user("unheard")] if speaks_after else [], first=len(rows))
    summary = told(rows, "so far", number=1, next_position=len(rows))
    shown = heal([*condensed(rows, summary), *placed([user("and now?")], first=len(rows))]).rows
    assert_accepted(shown, prompt="made after the compaction")
    assert shown[0].content[0]["text"] == "Session Summary: so far"
    unanswered = [row for row in rows if all(later.role == "user" for later in rows[row.position :])]
    assert list(shown[1:-1]) == unanswered


def _renamed(row: Message) -> Message:
    """With call ids that the first part does not use."""
    names = {"id", "tool_use_id"}
    content = [{k: f"z{v}" if k in names else v for k, v in block.items()} for block in row.content]
    return replace(row, content=tuple(content))


def test_what_nobody_has_answered_is_never_summarized() -> None:
    rows = placed([user("old"), assistant("yes"), user("new " * 500), user("and this")])
    summary = cut(rows, keep=0)
    assert summary is not None
    assert texts(condensed(rows, summary)) == ["Session Summary: so far", "new " * 500, "and this"]


def test_the_message_under_way_is_shown_in_its_own_words_between_summary_and_newest_piece() -> None:
    old = [user("old"), assistant("yes")]
    way = [user("do it"), assistant(call("a")), answer("a", "x" * 9000), assistant(call("b")), answer("b")]
    rows = placed([*old, *way])
    summary = cut(rows, keep=100)
    assert summary is not None
    shown = condensed(rows, summary)
    assert [row.position for row in shown] == [-1, 2, 5, 6]
    assert texts(shown)[0].endswith("go on from there.")


def test_there_is_nothing_to_summarize_before_anything_was_said() -> None:
    assert cut(placed([user("one " * 1000)]), keep=0) is None
    assert cut(placed([user("one"), user("two")]), keep=0) is None


def test_the_window_is_as_full_as_the_model_said_and_what_came_since() -> None:
    said = assistant("yes", usage=Usage(900, 50))
    rows = placed([user("one " * 100), said, user("two")])
    assert fill(rows, since=0) == 950 + estimate(rows[2])


def test_what_was_counted_before_a_compaction_no_longer_counts() -> None:
    rows = placed([user("one"), assistant("yes", usage=Usage(900, 50)), user("two")])
    assert fill(rows, since=3) == sum(map(estimate, rows)) < 100


def test_a_picture_weighs_what_it_costs_and_not_what_it_is_encoded_in() -> None:
    picture: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}
    picture["source"]["data"] = "A" * 1_000_000
    assert estimate(user(picture)) < 2_000


def test_a_conversation_that_is_too_long_is_shortened_piece_by_piece_from_its_beginning() -> None:
    rows = conversation(["calls three", "says", "user", "calls one"])
    assert shortened(rows, 10_000) == rows
    shorter = shortened(rows, 70)
    assert 0 < len(shorter) < len(rows)
    assert shorter == rows[-len(shorter) :]
    assert shorter[0].role != "tool"


def test_a_result_that_is_too_long_for_a_summary_is_clipped() -> None:
    rows = placed([user("one"), assistant(call("a")), answer("a", "x" * 100_000)])
    clipped = shortened(rows, 5_000)
    assert [row.position for row in clipped] == [0, 1, 2]
    assert clipped[2].content[0]["content"].endswith("[content truncated]")
    assert estimate(clipped[2]) < 2_000
