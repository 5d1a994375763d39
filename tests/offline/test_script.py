"""The stand-in's answers: rounds, pauses, failures that pass, and side jobs."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from anthropic_standin.answer import Answer, Piece
from anthropic_standin.answer_frames import Envelope, stamped, stream
from anthropic_standin.judge import Refusal, judge
from anthropic_standin.prompt_cache import CacheUse
from anthropic_standin.scripted_answer import Attempts, HungUp, write_answer
from tests.offline.conversations import OLD, OPTIONAL, Json, assistant, request, result, user

IDS = itertools.count()
ENVELOPE = Envelope("msg_1", "m", CacheUse(10, 0, 0))


def answer(body: Json, attempts: Attempts | None = None) -> Answer:
    return write_answer(body, judge(body), attempts or Attempts(), lambda prefix: f"{prefix}_{next(IDS)}")


def blocks(found: Answer) -> list[Json]:
    return [piece.block for piece in found.pieces]


def texts(found: Answer) -> list[str]:
    return [block["text"] for block in blocks(found) if block["type"] == "text"]


def kinds(found: Answer) -> list[str]:
    return [block["type"] for block in blocks(found)]


def went_on(body: Json, found: Answer, *more: Json) -> Json:
    """The request after this answer: its calls answered, and more said."""
    messages = [*body["messages"], assistant(*blocks(found))]
    calls = [block["id"] for block in blocks(found) if block["type"] == "tool_use"]
    if calls:
        messages.append(user(*[result(call_id, content=f"out {n}") for n, call_id in enumerate(calls)]))
    return {**body, "messages": [*messages, *more]}


def test_plain_words_are_echoed() -> None:
    found = answer(request(user("how are you?")))
    assert texts(found) == ["You said: how are you?"]
    assert found.stop_reason == "end_turn"


def test_a_script_is_played_round_by_round() -> None:
    script = "[think][say let me look][call look {}][call look {}][then][call look {}][then][say done]"
    body = request(user("before"), assistant("ok"), user(script))
    first = answer(body)
    assert kinds(first) == ["thinking", "text", "tool_use", "tool_use"]
    assert first.stop_reason == "tool_use"
    body = went_on(body, first)
    second = answer(body)
    assert kinds(second) == ["tool_use"]
    third = answer(went_on(body, second))
    assert (texts(third), third.stop_reason) == (["done"], "end_turn")


def test_after_the_last_round_the_results_are_shown() -> None:
    body = request(user("[call look][call look]"))
    found = answer(went_on(body, answer(body)))
    assert texts(found) == ["The tool said: out 0; out 1"]


def test_new_words_behind_results_begin_a_new_script() -> None:
    body = request(user("[call look][then][say old]"))
    body = went_on(body, answer(body))
    body["messages"][-1]["content"].append({"type": "text", "text": "[say new]"})
    assert texts(answer(body)) == ["new"]


def test_all_texts_of_the_users_turn_are_read() -> None:
    assert texts(answer(request(user("[say a]"), user("It is Monday.", "[say b]")))) == ["a", "b"]


def test_a_request_that_allows_no_call_gets_none() -> None:
    body = request(user("[call look]"))
    assert kinds(answer({**body, "tools": []})) == ["text"]
    assert kinds(answer({**body, "tool_choice": {"type": "none"}})) == ["text"]
    single = {"type": "auto", "disable_parallel_tool_use": True}
    two = request(user('[call look {"a": 1}][call look {"a": 2}]'), tool_choice=single)
    assert kinds(answer(two)) == ["tool_use"]


def test_thinking_needs_to_be_on() -> None:
    body = request(user("[think][redact][say x]"), model=OPTIONAL)
    assert kinds(answer(body)) == ["text"]
    shown = {**body, "thinking": {"type": "adaptive"}}
    assert kinds(answer(shown)) == ["thinking", "redacted_thinking", "text"]
    hidden = {**body, "thinking": {"type": "adaptive", "display": "omitted"}}
    assert blocks(answer(hidden))[0]["thinking"] == ""


def test_an_answer_that_thinks_can_be_sent_back() -> None:
    body = request(user("[think][redact][say x][think]"))
    judge(went_on(body, answer(body), user("go on")))
    hidden = {**body, "thinking": {"type": "adaptive", "display": "omitted"}}
    judge(went_on(hidden, answer(hidden), user("go on")))


def test_manual_thinking_with_a_call_begins_with_thinking() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = request(user("[call look]"), model=OLD, max_tokens=2000, thinking=thinking)
    found = answer(body)
    assert kinds(found) == ["thinking", "tool_use"]
    judge(went_on(body, found))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("[truncate]", "max_tokens"), ("[truncate-as-tool_use]", "tool_use")],
)
def test_a_call_is_cut(text: str, reason: str) -> None:
    found = answer(request(user(f'[call look {{"path": "a.txt"}}]{text}')))
    assert found.stop_reason == reason
    assert found.pieces[-1].cut_input == '{"path":"a'


@pytest.mark.parametrize(
    ("text", "reason", "content"),
    [
        ("[say abcdef][max_tokens]", "max_tokens", ["abcd"]),
        ("[say abcdef][context_window]", "model_context_window_exceeded", ["abcd"]),
        ("[say I will][refuse]", "refusal", ["I will"]),
        ("[refuse]", "refusal", []),
        ("[empty]", "end_turn", []),
        ("[blank]", "end_turn", ["\n\n"]),
    ],
)
def test_an_answer_ends_for_its_reason(text: str, reason: str, content: list[str]) -> None:
    found = answer(request(user(text)))
    assert (found.stop_reason, texts(found)) == (reason, content)


def test_a_pause_goes_on_when_it_is_sent_back() -> None:
    body = request(user("[say wait][pause][say more][pause][say done]"))
    first = answer(body)
    assert (kinds(first), first.stop_reason) == (["text", "server_tool_use"], "pause_turn")
    body = went_on(body, first)
    second = answer(body)
    assert (kinds(second), second.stop_reason) == (
        ["web_search_tool_result", "text", "server_tool_use"],
        "pause_turn",
    )
    body = went_on(body, second)
    third = answer(body)
    assert (kinds(third), third.stop_reason) == (["web_search_tool_result", "text"], "end_turn")
    judge(went_on(body, third, user("thanks")))


def test_strange_ids_are_given_on_request() -> None:
    assert blocks(answer(request(user("[call look][empty-id]"))))[0]["id"] == ""
    twins = [block["id"] for block in blocks(answer(request(user("[call look {}][call look {}][same-ids]"))))]
    assert twins[0] == twins[1]


def test_a_failure_passes_after_its_times() -> None:
    attempts, body = Attempts(), request(user("[fail 429 2 retry-after 3][say ok]"))
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            answer(body, attempts)
        assert (caught.value.status, caught.value.kind) == (429, "rate_limit_error")
        assert caught.value.retry_after == 3
        assert not caught.value.blames_caller
    assert texts(answer(body, attempts)) == ["ok"]


def test_a_failure_without_times_stays() -> None:
    attempts = Attempts()
    for _ in range(3):
        with pytest.raises(HungUp):
            answer(request(user("[hang-up]")), attempts)


def test_calm_keeps_every_failure_of_the_message_from_happening() -> None:
    calm = answer(request(user("[hang-up][fail 529][drop 1][say ok][calm]")), Attempts())
    assert (texts(calm), calm.broken) == (["ok"], None)


def test_times_are_counted_for_each_session_and_text() -> None:
    attempts, text = Attempts(), user("[drop 1 times 1]")
    for first in ("a", "b"):
        body = request(user(first), assistant("ok"), text)
        assert answer(body, attempts).broken is not None
        assert answer(body, attempts).broken is None


def test_pace_and_stamp_stay_and_delay_does_not() -> None:
    body = request(user("[pace 20][stamp][delay 2][call look][then][say done]"))
    found = answer(body)
    assert (found.tempo.pace, found.tempo.stamp, found.tempo.delay) == (20, True, 2)
    found = answer(went_on(body, found))
    assert (found.tempo.pace, found.tempo.stamp, found.tempo.delay) == (20, True, 0)


def test_a_title_is_made_of_the_users_words() -> None:
    titling: Any = {"tools": [], "max_tokens": 32, "system": "Generate a short title."}
    assert texts(answer(request(user("[fail 529] Fix the login page, please!"), **titling))) == [
        "Fix the login page, please"
    ]
    assert texts(answer(request(user("[call look]"), **titling))) == ["A conversation"]


def test_a_title_is_found_behind_its_instruction() -> None:
    asked = user("Make a title of these words:\n1. Fix the login")
    titling: Any = {"tools": [], "max_tokens": 32, "system": "You write titles."}
    assert texts(answer(request(asked, **titling))) == ["Fix the login"]


def test_a_mishap_behind_a_pause_waits_for_it() -> None:
    body = request(user("[pause][drop 1]"))
    first = answer(body)
    assert first.broken is None
    assert answer(went_on(body, first)).broken is not None


def test_what_the_client_adds_before_the_words_is_not_echoed() -> None:
    assert texts(answer(request(user("It is Monday.", "hello [think]"))))[-1] == "You said: hello"


def test_a_summary_is_asked_for_by_the_prompt_or_by_the_words() -> None:
    said = (user("[fail 529] Fix the login"), assistant("ok"), user("Summarize the conversation."))
    expected = ["Summary: (fail 529) Fix the login; Summarize the conversation."]
    assert texts(answer(request(*said, tool_choice={"type": "none"}))) == expected
    assert texts(answer(request(*said, tools=[], system="You summarize."))) == expected
    assert texts(answer(request(*said))) == ["You said: Summarize the conversation."]


def test_the_deltas_of_a_stream_make_up_its_text() -> None:
    words = "  two  words\n\n and more "
    found = Answer((Piece({"type": "text", "text": words}),), "end_turn")
    frames = stream(found, ENVELOPE)
    parts = [
        orjson.loads(portion[portion.rindex(b"data: ") + 6 :])["delta"]["text"] for portion in frames.deltas
    ]
    assert len(parts) == 4
    assert "".join(parts) == words
    assert frames.closing.endswith(b'data: {"type":"message_stop"}\n\n')


def test_a_stamp_stands_at_the_end_of_a_text_and_nowhere_else() -> None:
    found = answer(request(user('[say hi][call look {"a": 1}]')))
    frames = stream(found, ENVELOPE)
    assert stamped(frames.deltas[0], 7).endswith(b'"text":"hi t=7"}}\n\n')
    assert all(stamped(portion, 7) == portion for portion in frames.deltas[1:])
