"""`heal` on the leftovers of crashes, other programs and older versions: the named failures, one by one."""

from __future__ import annotations

import copy

import pytest

from app.conversation.blocks import NO_OUTPUT
from app.conversation.healing import MISSING_BEGINNING, MISSING_RESULT, heal
from app.conversation.transcript import Message
from tests.conversation.rows import (
    PROMPT,
    answer,
    assert_accepted,
    assistant,
    call,
    found,
    request_body,
    result,
    search,
    thinking,
    user,
)

FORGETFUL = "a prompt under which no thinking is sent, because only the real thing is signed well"


def healed(*rows: Message, prompt: str = PROMPT) -> list[Message]:
    """The healed rows, after a look at what every healing promises."""
    before = copy.deepcopy(rows)
    first = heal(rows)
    assert rows == before, "the rows that were given are not changed"
    assert heal(first.rows).rows == first.rows
    assert_accepted(heal([*first.rows, user("Go on.")]).rows[:-1], prompt)
    return list(first.rows)


def outputs(rows: list[Message]) -> list[tuple[str, str]]:
    results = [row.content[0] for row in rows if row.role == "tool"]
    return [(block["tool_use_id"], block["content"]) for block in results]


def test_f18_an_unanswered_call_before_the_last_message_is_answered() -> None:
    rows = healed(user("Hi"), assistant("Let me look.", call("a")), user("Well?"))
    assert [row.role for row in rows] == ["user", "assistant", "tool", "user"]
    assert rows[2].content[0] == result("a", MISSING_RESULT, is_error=True)
    assert rows[2].implicit


def test_f19_a_result_behind_a_user_message_moves_to_its_call() -> None:
    rows = healed(user("Hi"), assistant(call("a")), user("Well?"), answer("a", "late"))
    assert [row.role for row in rows] == ["user", "assistant", "tool", "user"]
    assert outputs(rows) == [("a", "late")]


def test_f19_a_result_behind_another_turn_moves_to_its_call() -> None:
    rows = healed(
        user("Hi"), assistant(call("a")), assistant(call("b")), answer("a", "late"), answer("b", "in time")
    )
    assert outputs(rows) == [("a", "late"), ("b", "in time")]


def test_f19_of_two_results_the_first_counts() -> None:
    rows = healed(
        user("Hi"),
        assistant(call("a")),
        answer("a", "first"),
        user("Well?"),
        answer("a", "second"),
        user("?"),
    )
    assert outputs(rows) == [("a", "first")]


def test_f20_a_result_that_opens_the_history_is_dropped() -> None:
    rows = healed(answer("a"), user("Hi"), assistant("Hello"))
    assert outputs(rows) == []
    assert rows[-1] == assistant("Hello")


def test_f20_a_result_of_no_call_is_dropped() -> None:
    assert healed(user("Hi"), assistant("Hello"), answer("a"), user("?")) == [
        user("Hi"),
        assistant("Hello"),
        user("?"),
    ]


def test_a_history_without_its_beginning_gets_one() -> None:
    rows = healed(assistant("Hello"), user("Hi"))
    assert rows[0] == user(MISSING_BEGINNING, implicit=True)
    assert rows[1:] == [assistant("Hello"), user("Hi")]


def test_f21_calls_of_the_last_turn_stay_open_even_in_a_history_that_was_broken() -> None:
    transcript = heal(
        [user("Hi"), assistant(call("a")), user("Well?"), assistant(call("b"), call("c")), answer("c")]
    )
    assert transcript.open_calls == ("b",)
    assert outputs(list(transcript.rows)) == [("a", MISSING_RESULT), ("c", "seen")]


def test_f25_results_that_a_person_split_stand_together_before_the_words() -> None:
    rows = healed(
        user("Hi"),
        assistant(call("a"), call("b"), call("c")),
        answer("b", "second"),
        user("Well?"),
        answer("c", "third"),
        user("And?"),
        answer("a", "first"),
    )
    assert outputs(rows) == [("a", "first"), ("b", "second"), ("c", "third")]
    spoken = request_body(rows)["messages"][2]["content"]
    assert [part["type"] for part in spoken] == ["tool_result"] * 3 + ["text"] * 2


def test_f25_results_in_one_row_get_rows_of_their_own() -> None:
    rows = healed(
        user("Hi"), assistant(call("a"), call("b")), Message("tool", (result("b", "2"), result("a", "1")))
    )
    assert outputs(rows) == [("a", "1"), ("b", "2")]


def test_f25_results_that_a_user_said_become_the_tools() -> None:
    rows = healed(user("Hi"), assistant(call("a")), user(result("a", "1"), "And now?"))
    assert [row.role for row in rows] == ["user", "assistant", "tool", "user"]
    assert outputs(rows) == [("a", "1")]


def test_f26_an_id_used_again_gets_a_name_of_its_own_and_keeps_its_result() -> None:
    rows = healed(
        user("Hi"),
        assistant(call("run:0", input={"n": 1})),
        answer("run:0", "one"),
        assistant(call("run:0", input={"n": 2})),
        answer("run:0", "two"),
    )
    assert [row.calls[0]["input"] for row in rows if row.calls] == [{"n": 1}, {"n": 2}]
    assert [output for _, output in outputs(rows)] == ["one", "two"]
    assert len({call_id for call_id, _ in outputs(rows)}) == 2


def test_f26_an_id_used_twice_in_one_turn_takes_the_results_in_order() -> None:
    rows = healed(user("Hi"), assistant(call("a"), call("a")), answer("a", "1"), answer("a", "2"))
    assert outputs(rows) == [("a", "1"), ("a_2", "2")]


def test_f26_a_call_without_an_id_gets_one_and_keeps_its_result() -> None:
    rows = healed(user("Hi"), assistant(call("")), answer("", "one"), assistant(call("")), answer("", "two"))
    assert [output for _, output in outputs(rows)] == ["one", "two"]
    assert len({call_id for call_id, _ in outputs(rows)}) == 2


def test_f27_signed_thinking_is_kept_as_it_is_and_unsigned_thinking_goes_whole() -> None:
    signed = thinking("  Hm.\n")
    rows = healed(
        user("Hi"),
        assistant(signed, thinking("cut off", signature=""), "Hello", call("a")),
        user("?"),
        prompt=FORGETFUL,
    )
    assert rows[1] == assistant(signed, "Hello", call("a"))
    assert rows[1].content[0] is signed


def test_f28_empty_texts_are_dropped_and_messages_that_had_nothing_else() -> None:
    rows = healed(user("Hi"), assistant("", " \n", "Hello"), user(""), assistant("\t"), user("?"))
    assert rows == [user("Hi"), assistant("Hello"), user("?")]


def test_f28_a_turn_that_was_only_thought_does_not_stand_in_the_way() -> None:
    assert healed(user("Hi"), assistant(thinking()), user("?"), prompt=FORGETFUL)[1] == assistant(thinking())


@pytest.mark.parametrize(
    ("content", "becomes"),
    [
        ({"content": "", "is_error": True}, NO_OUTPUT),
        ({"content": [{"type": "text", "text": " "}]}, NO_OUTPUT),
        ({"content": 7}, "7"),
        ({"content": ["words"]}, NO_OUTPUT),
        (
            {"content": [{"type": "image"}, {"type": "text", "text": "x"}], "is_error": True},
            [{"type": "text", "text": "x"}],
        ),
    ],
)
def test_f28_a_result_that_the_api_would_not_read_is_made_readable(content: object, becomes: object) -> None:
    assert isinstance(content, dict)
    rows = healed(user("Hi"), assistant(call("a")), Message("tool", ({**result("a"), **content},)))
    assert rows[2].content[0]["content"] == becomes


@pytest.mark.parametrize(
    ("broken", "becomes"),
    [
        ('{"path": "a"}', {"path": "a"}),
        ('{"path": "a', {"INVALID_JSON": '{"path": "a'}),
        ("", {}),
        (None, {}),
        (["a"], {"INVALID_JSON": ["a"]}),
    ],
)
def test_an_input_that_is_no_object_becomes_one(broken: object, becomes: object) -> None:
    rows = healed(user("Hi"), assistant(call("a", input=broken)), answer("a"))
    assert rows[1].calls[0]["input"] == becomes


@pytest.mark.parametrize(("name", "becomes"), [("my.tool", "my_tool"), ("", "unknown"), (None, "unknown")])
def test_a_name_that_no_tool_can_have_is_replaced(name: object, becomes: str) -> None:
    rows = healed(user("Hi"), assistant(call("a", name=name)), answer("a"))
    assert rows[1].calls[0]["name"] == becomes


def test_what_nobody_finished_or_nobody_may_say_is_dropped() -> None:
    rows = healed(
        user("Hi", call("a"), thinking()),
        assistant("Hello", {"type": "text_delta", "text": "x"}, {"no": "type"}),
        Message("tool", ({"type": "text", "text": "not a result"},)),
        user("?"),
    )
    assert rows == [user("Hi"), assistant("Hello"), user("?")]


def test_a_paused_turn_that_a_person_broke_into_loses_its_unanswered_search() -> None:
    rows = healed(user("Hi"), assistant("I look.", search(), stop_reason="pause_turn"), user("Never mind."))
    assert rows[1].content == assistant("I look.").content


def test_f27_what_was_thought_behind_a_lost_search_goes_with_it_and_later_thinking_stays() -> None:
    rows = healed(
        user("Hi"),
        assistant(thinking("before"), search(), call("a"), stop_reason="pause_turn"),
        answer("a"),
        assistant(thinking("behind"), "Done."),
        user("And?"),
        assistant(thinking("later"), "Yes."),
        prompt=FORGETFUL,
    )
    assert rows[1].content == (thinking("before"), call("a"))
    assert rows[3].content == assistant("Done.").content
    assert rows[5] == assistant(thinking("later"), "Yes.")


def test_a_paused_turn_that_is_the_last_keeps_its_search() -> None:
    rows = [assistant("Hello"), user("Hi"), assistant(search(), stop_reason="pause_turn")]
    assert heal(rows).unserved == ("srvtoolu_1",)


def test_a_search_and_its_result_stay_together_across_the_rows_of_a_turn() -> None:
    turn = [assistant(search(), stop_reason="pause_turn"), assistant(found(), "Found.")]
    rows = healed(user("Hi"), *turn, user(""), user("?"))
    assert rows == [user("Hi"), *turn, user("?")]


def test_a_servers_result_without_its_call_is_dropped() -> None:
    rows = healed(
        user("Hi"), assistant(found(), "Found."), user("?"), assistant(found("srvtoolu_2")), user("!")
    )
    assert rows == [user("Hi"), assistant("Found."), user("?"), user("!")]


def test_valid_rows_come_back_as_the_same_objects() -> None:
    rows = [
        user("Hi"),
        assistant(thinking(" x "), "Hello ", call("a"), call("b")),
        answer("b"),
        answer("a", ""),
        assistant({"type": "hologram", "size": 3}, prompt=PROMPT),
        user("?"),
    ]
    assert all(before is after for before, after in zip(rows, heal(rows).rows, strict=True))


def test_an_empty_history_heals_to_an_empty_one() -> None:
    assert heal([]).rows == ()
    assert heal([user(" "), assistant("")]).rows == ()
