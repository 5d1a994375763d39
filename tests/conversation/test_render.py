"""Rows as the API's messages."""

from __future__ import annotations

from tests.conversation.rows import PROMPT, answer, assistant, call, rendered, thinking, user


def test_roles_alternate_however_many_rows_there_are() -> None:
    rows = [user("1"), user("2"), assistant("3"), assistant("4"), user("5")]
    assert [role for role, _ in rendered(rows, prompt=PROMPT)] == ["user", "assistant", "user"]


def test_results_come_before_the_words_that_a_person_said_next() -> None:
    rows = [user("Hi"), assistant(call("a"), call("b")), answer("b"), answer("a"), user("Well?")]
    last = rendered(rows, prompt=PROMPT)[-1][1]
    assert [block["type"] for block in last] == ["tool_result", "tool_result", "text"]


def test_only_thinking_made_under_this_prompt_is_sent() -> None:
    rows = [user("Hi"), assistant(thinking(), "a"), user("?"), assistant(thinking(), "b", prompt="other")]
    messages = rendered(rows, prompt=PROMPT)
    assert [len(blocks) for _, blocks in messages] == [1, 2, 1, 1]
    assert [len(blocks) for _, blocks in rendered(rows, prompt="")] == [1, 1, 1, 1]


def test_a_turn_of_which_nothing_is_sent_leaves_no_empty_message() -> None:
    rows = [user("Hi"), assistant(thinking()), user("Well?")]
    assert [role for role, _ in rendered(rows, prompt="other")] == ["user"]


def test_rendering_does_not_touch_the_rows() -> None:
    rows = [user("1"), user("2")]
    rendered(rows, prompt=PROMPT)
    assert [len(row.content) for row in rows] == [1, 1]
