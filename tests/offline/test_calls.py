"""Every tool call has its one answer, in the one place where it belongs."""

from __future__ import annotations

from tests.offline.conversations import (
    accepted,
    assistant,
    call,
    found,
    refused,
    request,
    result,
    search,
    user,
)

ASKED = (user("a"), assistant("b", call("toolu_1"), call("toolu_2")))


def unanswered(index: int, *ids: str) -> str:
    return (
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message."
    )


def test_answered_calls_are_accepted_and_words_may_follow_the_results() -> None:
    accepted(request(*ASKED, user(result("toolu_2"), result("toolu_1"), "go on")))


def test_a_call_without_an_answer_is_refused() -> None:
    assert refused(request(*ASKED, user("go on"))) == unanswered(1, "toolu_1", "toolu_2")
    assert refused(request(*ASKED, user(result("toolu_1")))) == unanswered(1, "toolu_2")


def test_a_call_at_the_end_is_refused() -> None:
    assert refused(request(*ASKED)) == unanswered(1, "toolu_1", "toolu_2")


def test_an_answer_comes_in_the_very_next_message() -> None:
    body = request(*ASKED, assistant("c"), user(result("toolu_1"), result("toolu_2")))
    assert refused(body) == unanswered(1, "toolu_1", "toolu_2")


def test_parallel_results_come_in_one_message() -> None:
    body = request(*ASKED, user(result("toolu_1")), user(result("toolu_2")))
    assert refused(body) == unanswered(1, "toolu_2")


def test_results_come_before_words() -> None:
    body = request(*ASKED, user(result("toolu_1"), "wait", result("toolu_2")))
    assert refused(body) == unanswered(1, "toolu_2")


def test_a_result_answers_a_call_of_the_message_before() -> None:
    expected = (
        "unexpected `tool_use_id` found in `tool_result` blocks: toolu_9. Each `tool_result` block must have "
        "a corresponding `tool_use` block in the previous message."
    )
    assert refused(request(user(result("toolu_9")))) == f"messages.0.content.0: {expected}"
    results = (result("toolu_1"), result("toolu_2"))
    body = request(*ASKED, user(*results, result("toolu_9")))
    assert refused(body) == f"messages.2.content.2: {expected}"


def test_a_call_has_one_result() -> None:
    results = (result("toolu_1"), result("toolu_1"), result("toolu_2"))
    assert refused(request(*ASKED, user(*results))) == (
        "messages.2.content.1: each tool_use must have a single result. "
        "Found multiple `tool_result` blocks with id: toolu_1"
    )


def test_a_calls_id_is_unique_in_the_whole_request() -> None:
    again = (assistant(call("toolu_1")), user(result("toolu_1")))
    assert refused(request(user("a"), *again, *again)) == (
        "messages.3.content.0: `tool_use` ids must be unique"
    )
    assert refused(request(user("a"), assistant(call("toolu_1"), call("toolu_1")), user("b"))) == (
        "messages.1.content.1: `tool_use` ids must be unique"
    )


def test_a_failed_tool_answers_with_words_only() -> None:
    asked = (user("a"), assistant(call("toolu_1")))
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/"}}
    broken = user(result("toolu_1", is_error=True, content=[image]))
    assert "all content must be type `text` if `is_error` is true" in refused(request(*asked, broken))
    silent = user(result("toolu_1", is_error=True, content=""))
    assert "content cannot be empty if `is_error` is true" in refused(request(*asked, silent))
    accepted(request(*asked, user(result("toolu_1", is_error=True, content="it broke"))))


def test_a_servers_result_follows_its_call() -> None:
    accepted(request(user("a"), assistant(search(), found(), "b"), user("c")))
    assert refused(request(user("a"), assistant(found()), user("c"))) == (
        "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks: "
        "srvtoolu_1. Each `web_search_tool_result` block must have a corresponding `server_tool_use` block "
        "before it."
    )


def test_a_servers_call_has_its_result_in_the_same_turn() -> None:
    body = request(user("a"), assistant("b", search()), user("c"))
    assert refused(body) == (
        "messages.1.content.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding "
        "`web_search_tool_result` block"
    )
    accepted(request(user("a"), assistant("b", search()), assistant(found(), "c"), user("d")))


def test_a_servers_call_may_wait_for_the_clients_results() -> None:
    mixed = assistant(search(), call("toolu_1"))
    accepted(request(user("a"), mixed, user(result("toolu_1"))))
    accepted(request(user("a"), mixed, user(result("toolu_1")), assistant(found(), "b"), user("c")))
