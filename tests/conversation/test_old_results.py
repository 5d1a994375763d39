"""Old results of tools are cut, in steps, and calls keep their results."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.conversation.blocks import is_thinking, result_text
from app.conversation.old_results import BUDGET, SLACK, TRUNCATED, with_old_results_cut
from app.conversation.transcript import Message, Transcript
from tests.conversation.rows import PROMPT, answer, assistant, call, rendered, thinking, user
from tests.conversation.test_properties import brief


def turn(number: int, tokens: int) -> list[Message]:
    return [assistant(thinking(f"{number}"), call(f"c{number}")), answer(f"c{number}", "ä" * (tokens * 2))]


def conversation(*sizes: int) -> list[Message]:
    return [user("go"), *(row for number, size in enumerate(sizes) for row in turn(number, size))]


def results(rows: list[Message]) -> list[str]:
    return [
        "cut" if (text := result_text(row.content[0])) == TRUNCATED else str(len(text) // 2)
        for row in with_old_results_cut(rows).rows
        if row.role == "tool"
    ]


def test_nothing_is_cut_while_the_results_fit() -> None:
    rows = conversation(20_000, 20_000, 10_000)
    assert with_old_results_cut(rows).rows is rows


def test_the_first_result_that_does_not_fit_and_all_older_ones_are_cut() -> None:
    assert results(conversation(5_000, 21_000, 20_000, 20_000)) == ["cut", "cut", "20000", "20000"]
    assert results(conversation(5_000, 30_000, 16_000)) == ["cut", "cut", "16000"]


def test_what_the_model_has_not_seen_is_never_cut() -> None:
    assert results(conversation(1_000, 90_000)) == ["cut", "90000"]
    assert results(conversation(1_000, 90_000, 100)) == ["cut", "cut", "100"]


def test_a_result_that_is_shorter_than_the_remark_stays() -> None:
    rows = [user("go"), assistant(call("a")), answer("a", "ok"), *conversation(51_000)[1:], *turn(9, 1)]
    assert [result_text(row.content[0]) for row in with_old_results_cut(rows).rows if row.role == "tool"][
        :2
    ] == ["ok", TRUNCATED]


@brief
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=30))
def test_what_is_sent_only_grows_between_two_cuts_and_cuts_are_steps(sizes: list[int]) -> None:
    rows, before, since, added = conversation(), rendered([user("go")], prompt=PROMPT), 0, 0
    for number, size in enumerate(sizes):
        rows += turn(number, size)
        shown = with_old_results_cut(rows)
        Transcript.of(shown.rows)
        sent = rendered(shown.rows, prompt=PROMPT)
        added += size
        if shown.since == since:
            assert sent[: len(before)] == before, "what was sent is sent again"
        else:
            assert added > SLACK, "so much came in between"
            assert shown.since == len(rows), "only what was not sent yet may change"
            since, added = shown.since, 0
        before = sent
        total = sum(size for size, text in zip(sizes, results(rows), strict=False) if text != "cut")
        assert total <= BUDGET + SLACK + size
        assert total >= min(BUDGET - 30_000, sum(sizes[: number + 1]))
        thought = [
            index for index, row in enumerate(shown.rows) if row.prompt and any(map(is_thinking, row.content))
        ]
        assert all(index >= since for index in thought), "what was thought over what is cut now is not sent"
