"""The model's adapter against the stand-in, which answers and judges as the API does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import orjson
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.anthropic.anthropic_model import AnthropicModel
from app.agent.model_client import (
    CallDelta,
    ModelError,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    Turn,
)

LOOK = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


class Never(threading.Event):
    """A Cancellation that nobody pulls."""

    def calling(self, callback: object) -> AbstractContextManager[None]:
        return nullcontext()

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[OfflineServer]:
    with OfflineServer() as one:
        yield one


@pytest.fixture
def model(server: OfflineServer, request: pytest.FixtureRequest) -> Iterator[AnthropicModel]:
    stalls = "[stall" in request.node.name
    one = AnthropicModel("sk-ant-offline", server.url, stall_timeout=1.0 if stalls else 30.0)
    yield one
    one.close()


def ask(text: str, *more: dict[str, Any], **options: Any) -> ModelRequest:
    messages = [{"role": "user", "content": text}, *more]
    return ModelRequest(
        "claude-opus-5-5",
        system=b"",
        tools=orjson.dumps([LOOK]),
        messages=[orjson.dumps(message) for message in messages],
        max_tokens=1000,
        options=options,
    )


def hear(model: AnthropicModel, request: ModelRequest) -> tuple[list[ModelEvent], Turn]:
    *deltas, turn = model.stream(request, Never())
    assert isinstance(turn, Turn)
    return deltas, turn


def fail(model: AnthropicModel, text: str) -> ModelError:
    with pytest.raises(ModelError) as raised:
        list(model.stream(ask(text), Never()))
    return raised.value


def test_a_turn_goes_back_as_it_came_and_is_accepted(model: AnthropicModel) -> None:
    text = '[think][say I look.][call look {"at": {"x": [1, "é"]}}][call look {}][then][say Seen.]'
    request = ask(text, thinking={"type": "adaptive", "display": "summarized"})
    deltas, turn = hear(model, request)
    assert turn.stop_reason == "tool_use"
    assert [block["type"] for block in turn.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert turn.content[2]["input"] == {"at": {"x": [1, "é"]}}
    assert {type(delta) for delta in deltas} == {ThinkingDelta, TextDelta, CallDelta}
    results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "ok"} for one in turn.content[2:]]
    history = [{"role": "assistant", "content": list(turn.content)}, {"role": "user", "content": results}]
    _, last = hear(model, ask(text, *history, thinking={"type": "adaptive", "display": "summarized"}))
    assert last.content == ({"type": "text", "text": "Seen."},)
    assert last.usage is not None
    assert last.usage.output_tokens > 0


def test_what_is_unknown_changes_nothing(model: AnthropicModel) -> None:
    _, turn = hear(model, ask("[unknown][say Hello.]"))
    assert {"type": "text", "text": "Hello."} in turn.content


def test_a_call_that_a_limit_cut_is_marked(model: AnthropicModel) -> None:
    _, turn = hear(model, ask('[call look {"at": "the far end of the road"}][truncate]'))
    assert turn.stop_reason == "max_tokens"
    assert turn.broken_calls == {turn.content[-1]["id"]}
    assert isinstance(turn.content[-1]["input"], dict)


@pytest.mark.parametrize("text", ["[empty]", "[blank]"])
def test_a_turn_that_says_nothing_has_no_blocks(model: AnthropicModel, text: str) -> None:
    assert hear(model, ask(text))[1].content == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[hang-up]", "retryable"),
        ("[fail 529]", "retryable"),
        ("[fail 429 1 retry-after 3]", "rate_limited"),
        ("[fail 413]", "overflow"),
        ("[fail 401]", "final"),
    ],
)
def test_refusals_leave_nothing(model: AnthropicModel, text: str, kind: str) -> None:
    error = fail(model, text)
    assert (error.kind, error.partial, error.shown) == (kind, None, False)
    assert error.retry_after == (3.0 if "retry-after" in text else None)


@pytest.mark.parametrize(
    "fault", ["[drop 5]", "[stall 5]", "[error overloaded_error 5]", "[nostop]", "[malformed]"]
)
def test_what_breaks_off_leaves_what_was_said(model: AnthropicModel, fault: str) -> None:
    error = fail(model, f"[words 50]{fault}")
    assert error.kind == "retryable"
    assert error.shown
    assert error.partial is not None
    assert error.partial.content[0]["text"].strip()


def test_a_transcript_that_the_api_refuses_is_refused_in_its_words(model: AnthropicModel) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    history: list[dict[str, Any]] = [
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": "Well?"},
    ]
    with pytest.raises(ModelError, match="without `tool_result` blocks") as raised:
        list(model.stream(ask("Hi", *history), Never()))
    assert (raised.value.kind, raised.value.status) == ("final", 400)
