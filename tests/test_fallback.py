"""The chain of models: which model is asked when one fails, which events readers see, and which history the next
model is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings, server_of
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event, text_of
from tests.test_sequences import (
    CALLED,
    END,
    PLAIN,
    RAN,
    SAID,
    TOOLS,
    TOOLS_LISTING,
    at_rest,
    call_text,
    of_type,
    shape,
    stripped,
)

FIRST, SECOND, THIRD = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
TEAM = f"""
agents:
  root:
    model: anthropic/{FIRST}
    description: d
    instruction: i
    fallback: {{models: [small, anthropic/{THIRD}], retries: 1, cooldown: 1h}}
    toolsets: [{{type: think}}]
  hasty:
    model: anthropic/{FIRST}
    description: d
    instruction: i
    fallback: {{models: [small], retries: -1, cooldown: 1ms}}
models:
  small: {{provider: anthropic, model: {SECOND}, max_tokens: 5000, thinking_budget: 2000}}
"""


server = server_of(TEAM)


def say(local: LocalClient, session: str, text: str, agent: str = "root") -> list[Event]:
    return local.say(session, text, agent=f"team/{agent}")


def asked(model: OfflineServer) -> list[str]:
    return [request["model"] for request in model.requests]


def test_when_a_model_fails_the_next_one_answers_and_readers_are_told(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    events = say(local, session, "[fail 403 1][say hello]")
    said = ["model_fallback", "agent_choice", "agent_info", "message_added", "token_usage"]
    assert shape(events) == [*TOOLS, *said, *END]
    fallback = stripped(of_type(events, "model_fallback")[0])
    assert fallback.pop("reason").startswith("The model's API answered 403 ")
    assert fallback == {
        "type": "model_fallback",
        "failed_model": f"anthropic/{FIRST}",
        "fallback_model": f"anthropic/{SECOND}",
        "attempt": 1,
        "max_attempts": 2,
        "agent_name": "root",
    }
    assert [event["model"] for event in of_type(events, "agent_info")] == [
        f"anthropic/{FIRST}",
        f"anthropic/{SECOND}",
    ]
    assert asked(model) == [FIRST, SECOND]
    usage = of_type(events, "token_usage")[0]["usage"]
    assert usage["context_limit"] == 200_000
    last = usage["last_message"]
    assert last["Model"] == SECOND
    price = last["input_tokens"] * 1 + last["output_tokens"] * 5 + last["cached_write_tokens"] * 1.25
    assert last["Cost"] == pytest.approx(price / 1_000_000), "at the price of the model that answered"
    assert at_rest(local, session)[1]["model"] == SECOND


def test_each_model_is_asked_in_its_own_way(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    say(local, session, "[fail 403 1][say hello]")
    first, second = model.requests
    assert (first["max_tokens"], first["thinking"]["type"]) == (128_000, "adaptive")
    assert second["max_tokens"] == 5000
    assert second["thinking"] == {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("directive", "models"),
    [
        ("[fail 529 1]", [FIRST, FIRST]),
        ("[fail 529 2]", [FIRST, FIRST, SECOND]),
        ("[fail 429 1]", [FIRST, SECOND]),
        ("[fail 429 2]", [FIRST, SECOND, THIRD]),
        ("[fail 529 4]", [FIRST, FIRST, SECOND, SECOND, THIRD]),
    ],
)
def test_what_may_pass_is_tried_again_and_a_rate_limit_is_not_waited_for(
    local: LocalClient, model: OfflineServer, directive: str, models: list[str]
) -> None:
    events = say(local, local.new_session(), f"{directive}[say hello]")
    assert asked(model) == models
    assert len(of_type(events, "model_fallback")) == len(set(models)) - 1
    assert text_of(events) == "hello"


def test_when_all_have_failed_the_run_ends_with_the_last_ones_words(
    local: LocalClient, model: OfflineServer
) -> None:
    events = say(local, local.new_session(), "[fail 402]")
    assert shape(events) == [*TOOLS, "model_fallback", "model_fallback", "error", *END]
    assert asked(model) == [FIRST, SECOND, THIRD]
    assert of_type(events, "error")[0]["error"].startswith("all models failed: ")


def test_a_model_that_has_begun_to_speak_is_not_replaced(local: LocalClient, model: OfflineServer) -> None:
    events = say(local, local.new_session(), "[error overloaded_error 2][say one two three]")
    assert shape(events) == [*TOOLS, "agent_choice", "message_added", "error", *END]
    assert asked(model) == [FIRST]


def test_a_session_stays_with_the_fallback_until_the_model_may_be_asked_again(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    say(local, session, "[fail 403 1][say hello]")
    events = say(local, session, "[say again]")
    assert asked(model)[2:] == [SECOND]
    assert of_type(events, "model_fallback") == []
    assert [event["model"] for event in of_type(events, "agent_info")][-1] == f"anthropic/{SECOND}"
    assert text_of(say(local, local.new_session(), "[say else]")) == "else"
    assert asked(model)[3:] == [FIRST], "another session has not made that experience"


@pytest.mark.parametrize(
    ("agent", "directive"), [("hasty", "[fail 403 1]"), ("root", "[fail 529 2]")], ids=["expired", "passes"]
)
def test_the_agents_own_model_is_asked_again(
    local: LocalClient, model: OfflineServer, agent: str, directive: str
) -> None:
    session = local.new_session()
    say(local, session, f"{directive}[say hello]", agent)
    model.reset()
    say(local, session, "[say again]", agent)
    assert asked(model) == [FIRST]


def test_f27_a_model_gets_back_what_it_has_thought_itself_and_nothing_of_anothers(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    say(local, session, "[think mine][say one]", "hasty")
    say(local, session, "[fail 529 1][think other][say two]", "hasty")
    say(local, session, "[think mine][say three]", "hasty")
    assert asked(model) == [FIRST, FIRST, SECOND, FIRST]
    assert "mine" not in json.dumps(model.requests[2]["messages"][1])
    kinds = [[block["type"] for block in message["content"]] for message in model.requests[3]["messages"]]
    assert kinds == [["text"], ["thinking", "text"], ["text"], ["text"], ["text"]]
    assert model.requests[3]["system"] == model.requests[0]["system"]


def test_f27_a_model_that_takes_over_between_call_and_answer_is_accepted(
    local: LocalClient, model: OfflineServer
) -> None:
    """It insists on thinking before the call, and there is none that it could be shown."""
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    text = "[think]" + call_text("think", thought="x") + "[then][fail 403 1][say done]"
    events = say(local, session, text)
    called = ["agent_choice_reasoning", *CALLED]
    answered = ["model_fallback", "agent_choice", "agent_info", "message_added", "token_usage"]
    assert shape(events) == [*TOOLS, *called, *RAN, *TOOLS_LISTING, *answered, *END]
    assert asked(model) == [FIRST, FIRST, SECOND]
    assert "thinking" not in model.requests[2]
    assert text_of(say(local, session, "[say fine]")) == "fine"


def test_a_conversation_that_is_too_long_goes_to_the_next_model(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    with OfflineServer(windows={FIRST: 500}) as narrow:
        server = build(make_settings(tmp_path, narrow.url, agents=tmp_path / "team.yaml"))
        try:
            client = LocalClient(server)
            events = say(client, client.new_session(), f"[say hello]{'x' * 4000}", "hasty")
        finally:
            server.close()
        assert asked(narrow) == [FIRST, SECOND]
        assert text_of(events) == "hello"


def test_a_plain_agent_is_told_once_which_model_it_is(local: LocalClient) -> None:
    events = say(local, local.new_session(), "[say hello]", "hasty")
    assert shape(events) == [*PLAIN, *SAID, *END]
