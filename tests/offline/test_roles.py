"""The order of roles, and what a message may hold."""

from __future__ import annotations

import pytest

from tests.offline.conversations import (
    NEWEST,
    OLD,
    OPTIONAL,
    Json,
    accepted,
    assistant,
    call,
    found,
    refused,
    request,
    result,
    search,
    system,
    user,
)

EMPTY = "all messages must have non-empty content except for the optional final assistant message"


def test_a_conversation_needs_a_message() -> None:
    assert refused(request()) == "messages: at least one message is required"


def test_the_user_speaks_first() -> None:
    body = request(assistant("hi"), user("hi"))
    assert refused(body) == 'messages: first message must use the "user" role'


def test_neighbours_of_the_same_role_are_one_turn() -> None:
    accepted(request(user("a"), user("b"), assistant("c"), assistant("d"), user("e")))


@pytest.mark.parametrize("content", ["", []])
def test_a_message_is_not_empty(content: str | list[Json]) -> None:
    empty: Json = {"role": "assistant", "content": content}
    assert refused(request(user("a"), empty, user("b"))) == f"messages.1: {EMPTY}"
    assert refused(request({"role": "user", "content": content})) == f"messages.0: {EMPTY}"
    accepted(request(user("a"), empty, model=OLD))


def test_a_text_is_not_empty() -> None:
    assert refused(request(user("a", ""))) == "messages: text content blocks must be non-empty"


@pytest.mark.parametrize("blank", [" ", "\n\n", "\t"])
def test_a_text_is_not_only_white_space(blank: str) -> None:
    expected = "messages: text content blocks must contain non-whitespace text"
    assert refused(request(user(blank))) == expected
    assert refused(request({"role": "user", "content": blank})) == expected
    assert refused(request(user("a"), assistant(blank), user("b"))) == expected


def test_a_text_in_a_result_is_not_blank_but_a_result_may_be() -> None:
    blank = [{"type": "text", "text": ""}]
    asked = (user("a"), assistant(call("toolu_1")))
    assert "must be non-empty" in refused(request(*asked, user(result("toolu_1", content=blank))))
    accepted(request(*asked, user(result("toolu_1", content=""))))
    accepted(request(*asked, user({"type": "tool_result", "tool_use_id": "toolu_1"})))


def test_an_empty_text_carries_no_cache_mark() -> None:
    marked: Json = {"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}
    expected = "messages.0.content.0.text: cache_control cannot be set for empty text blocks"
    assert refused(request(user(marked))) == expected


def test_a_system_text_is_not_empty() -> None:
    body = request(user("a"), system=[{"type": "text", "text": ""}])
    assert refused(body) == "system: text content blocks must be non-empty"


def test_the_newer_models_take_no_prefill() -> None:
    for model in (NEWEST, OPTIONAL):
        assert "does not support assistant message prefill" in refused(
            request(user("a"), assistant("b"), model=model)
        )
    accepted(request(user("a"), assistant("b"), model=OLD))


def test_a_prefill_does_not_end_in_white_space() -> None:
    body = request(user("a"), assistant("b "), model=OLD)
    assert refused(body) == "messages: final assistant content cannot end with trailing whitespace"


def test_a_paused_turn_goes_back_as_the_last_message() -> None:
    accepted(request(user("a"), assistant("b", search())))
    accepted(request(user("a"), assistant("b", search(), found())))


@pytest.mark.parametrize(
    "message",
    [
        user(call("toolu_1")),
        user({"type": "redacted_thinking", "data": "x"}),
        assistant(result("toolu_1")),
        assistant({"type": "document", "source": {"type": "url", "url": "https://example.com/"}}),
        {"role": "system", "content": [result("toolu_1")]},
    ],
    ids=[
        "call by user",
        "thinking by user",
        "result by assistant",
        "document by assistant",
        "result by system",
    ],
)
def test_a_block_stands_with_its_role(message: Json) -> None:
    body = request(user("a"), message, model=OPTIONAL)
    assert refused(body).startswith("messages.1.content.0: ")


def test_an_instruction_in_mid_conversation_follows_the_user() -> None:
    accepted(request(user("a"), system("be brief")))
    accepted(request(user("a"), system("be brief"), assistant("b"), user("c")))
    accepted(
        request(user("a"), assistant("b", search(), found()), system("be brief"), assistant("c"), user("d"))
    )


@pytest.mark.parametrize(
    "messages",
    [
        (system("x"), user("a")),
        (user("a"), assistant("b"), system("x")),
        (user("a"), system("x"), system("y")),
        (user("a"), system("x"), user("b")),
    ],
    ids=["first", "after the assistant", "twice", "before the user"],
)
def test_an_instruction_elsewhere_is_refused(messages: tuple[Json, ...]) -> None:
    assert "role 'system'" in refused(request(*messages))


def test_older_models_take_no_instruction_in_mid_conversation() -> None:
    body = request(user("a"), system("x"), model=OLD)
    assert refused(body) == "messages.1: role 'system' is not supported on this model"
