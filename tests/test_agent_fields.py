"""Fields of an agent's file that shape its requests: the form of its answers, how much it is shown, which model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import text_of
from tests.test_sequences import call_text, of_type

Serve = Callable[..., LocalClient]

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["name"],
}


@pytest.fixture
def serve(tmp_path: Path, model: OfflineServer) -> Iterator[Serve]:
    """A server with one agent of these fields."""
    built = []

    def start(**fields: Any) -> LocalClient:
        agent = {"model": "anthropic/claude-sonnet-5-5", "instruction": "i", **fields}
        (tmp_path / "one.yaml").write_text(json.dumps({"agents": {"root": agent}}))
        built.append(build(make_settings(tmp_path, model.url, agents=tmp_path / "one.yaml")))
        return LocalClient(built[-1])

    yield start
    for server in built:
        server.close()


def test_an_answer_has_the_form_that_was_asked_for(serve: Serve, model: OfflineServer) -> None:
    client = serve(structured_output={"name": "person", "schema": PERSON}, toolsets=[{"type": "think"}])
    session = client.new_session()
    events = client.say(session, call_text("think", thought="x") + "[then][say Ann]", agent="one")
    assert json.loads(text_of(events)) == {"name": "Ann", "age": 0, "tags": ["Ann"]}
    assert of_type(events, "warning") == []
    for request in model.requests:
        schema = request["output_config"]["format"]["schema"]
        assert schema["additionalProperties"] is False
        assert schema["properties"]["age"] == {"type": "integer", "description": "{minimum: 0}"}


def test_a_budget_counts_from_the_first_run_on_until_it_is_switched_off(
    serve: Serve, model: OfflineServer, tmp_path: Path
) -> None:
    client = serve(model="deep")
    file = json.loads((tmp_path / "one.yaml").read_text())
    deep = {"provider": "anthropic", "model": "claude-sonnet-5-5", "thinking_budget": "low"}
    (tmp_path / "one.yaml").write_text(json.dumps({**file, "models": {"deep": deep}}))
    session = client.new_session()
    assert client.session(session)["thinking"] is False
    client.say(session, "[think][say one]", agent="one")
    assert client.session(session)["thinking"] is True
    client.say(session, "[think][say two]", agent="one")
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    client.say(session, "[say three]", agent="one")
    assert client.session(session)["thinking"] is False
    assert ["thinking" in request for request in model.requests] == [True, True, False]


@pytest.mark.parametrize("budget", [None, 0, "none"])
def test_without_a_budget_the_first_run_switches_nothing_on(
    serve: Serve, model: OfflineServer, tmp_path: Path, budget: Any
) -> None:
    client = serve(model="plain")
    file = json.loads((tmp_path / "one.yaml").read_text())
    plain = {"provider": "anthropic", "model": "claude-sonnet-5-5"}
    plain |= {} if budget is None else {"thinking_budget": budget}
    (tmp_path / "one.yaml").write_text(json.dumps({**file, "models": {"plain": plain}}))
    session = client.new_session()
    client.say(session, "[say one]", agent="one")
    assert client.session(session)["thinking"] is False
    assert "thinking" not in model.requests[0]


def test_a_form_and_an_effort_go_together(serve: Serve, model: OfflineServer, tmp_path: Path) -> None:
    client = serve(structured_output={"name": "person", "schema": PERSON}, model="deep")
    file = json.loads((tmp_path / "one.yaml").read_text())
    deep = {"provider": "anthropic", "model": "claude-sonnet-5-5", "thinking_budget": "low"}
    (tmp_path / "one.yaml").write_text(json.dumps({**file, "models": {"deep": deep}}))
    session = client.new_session()
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    client.say(session, "[think][say Ann]", agent="one")
    assert model.requests[0]["output_config"]["effort"] == "low"
    assert model.requests[0]["output_config"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": True, "c": False}},
        {"type": "object", "properties": {"a": {"type": "array", "items": [{"type": "string"}, {}]}}},
        {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}, "required": ["z"]},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/definitions/b"}},
            "definitions": {"b": {"type": "object"}},
        },
    ],
)
def test_a_schema_is_turned_into_one_that_the_api_takes(
    serve: Serve, model: OfflineServer, schema: dict[str, Any]
) -> None:
    client = serve(structured_output={"name": "person", "schema": schema})
    events = client.say(client.new_session(), "[say hi]", agent="one")
    assert of_type(events, "error") == []
    json.loads(text_of(events))


def test_a_schema_that_the_api_can_not_hold_a_model_to_is_refused_with_its_place(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": False}}}
    client = serve(structured_output={"name": "person", "schema": schema})
    response = client.try_run(client.new_session(), "x", agent="one")
    assert response.status_code == 400
    assert "agents.root.structured_output.schema.properties.a.items: nothing fits `false`" in response.text


def spoken(request: dict[str, Any]) -> list[str]:
    return [
        str(block.get("text", block["type"]))
        for message in request["messages"]
        for block in message["content"]
    ]


def test_a_model_is_shown_all_of_the_users_messages_and_the_newest_others(
    serve: Serve, model: OfflineServer
) -> None:
    client = serve(num_history_items=4)
    session = client.new_session()
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    for number in (1, 2, 3):
        client.say(session, f"[think][say answer {number}]", agent="one")
    assert [len(request["messages"]) for request in model.requests] == [1, 3, 3]
    assert "thinking" in spoken(model.requests[1])
    assert spoken(model.requests[2]) == [
        "[think][say answer 1]",
        "[think][say answer 2]",
        "answer 2",
        "[think][say answer 3]",
    ]
    assert len(client.messages(session)) == 6, "all are stored"


def test_a_limit_never_parts_a_call_from_its_results(serve: Serve, model: OfflineServer) -> None:
    client = serve(num_history_items=3, toolsets=[{"type": "think"}])
    session = client.new_session()
    client.say(session, "hello", agent="one")
    both = call_text("think", thought="a") + call_text("think", thought="b") + "[then][say done]"
    events = client.say(session, both, agent="one")
    assert text_of(events) == "done"
    kinds = [[block["type"] for block in message["content"]] for message in model.requests[-1]["messages"]]
    assert kinds == [["text", "text"], ["tool_use", "tool_use"], ["tool_result", "tool_result"]]


def test_a_model_may_say_what_a_call_is_for(serve: Serve, model: OfflineServer) -> None:
    client = serve(add_description_parameter=True, toolsets=[{"type": "shell"}, {"type": "think"}])
    session = client.new_session(tools_approved=True)
    text = call_text("shell", cmd="echo ran", description="To see it run") + "[then][say done]"
    events = client.say(session, text, agent="one")
    assert of_type(events, "tool_call_response")[0]["response"] == "ran"
    tools = {tool["name"]: tool["input_schema"] for tool in model.requests[0]["tools"]}
    assert tools["shell"]["properties"]["description"]["type"] == "string"
    assert "description" not in tools["shell"]["required"]
    assert "description" in tools["list_background_jobs"]["properties"]
    assert "description" not in tools["think"]["properties"]


def test_of_an_alloy_each_turn_takes_any_member(
    serve: Serve, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = iter([1, 0, 1])
    monkeypatch.setattr("app.agent.fallback.random.choice", lambda models: models[next(choices)])
    client = serve(model="anthropic/claude-sonnet-5-5,anthropic/claude-opus-5-5")
    session = client.new_session()
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    told = []
    for number in (1, 2, 3):
        events = client.say(session, f"[think][say answer {number}]", agent="one")
        told.append([event["model"] for event in of_type(events, "agent_info")][-1])
    first, second = "claude-sonnet-5-5", "claude-opus-5-5"
    assert [request["model"] for request in model.requests] == [second, first, second]
    assert told == [f"anthropic/{name}" for name in (second, first, second)]
    kinds = [[block["type"] for block in message["content"]] for message in model.requests[2]["messages"]]
    assert kinds == [["text"], ["thinking", "text"], ["text"], ["text"], ["text"]]


@pytest.mark.parametrize(
    ("fields", "thinking", "sent"),
    [
        ({"temperature": 0.2}, False, {"temperature": 0.2}),
        ({"temperature": 1.5, "top_p": 0.5}, False, {"temperature": 1.0}),
        ({"top_p": 0.5}, False, {"top_p": 0.5}),
        ({"temperature": 0.2}, True, {}),
        ({"model": "claude-sonnet-5-5", "temperature": 0.2}, False, {}),
    ],
    ids=["as the file says", "one of the two", "the other", "not while it thinks", "not for newer models"],
)
def test_e50_a_temperature_is_sent_where_the_api_takes_it(
    tmp_path: Path, model: OfflineServer, fields: dict[str, Any], thinking: bool, sent: dict[str, float]
) -> None:
    definition = {"provider": "anthropic", "model": "claude-haiku-4-5", **fields}
    team = {"agents": {"root": {"model": "m"}}, "models": {"m": definition}}
    (tmp_path / "one.yaml").write_text(json.dumps(team))
    server = build(make_settings(tmp_path, model.url, agents=tmp_path / "one.yaml"))
    client = LocalClient(server)
    session = client.new_session()
    if thinking:
        client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    assert text_of(client.say(session, "[say hello]", agent="one")) == "hello"
    server.close()
    (request,) = model.requests
    assert {name: request[name] for name in ("temperature", "top_p") if name in request} == sent


@pytest.mark.parametrize("name", ["claude-sonnet-5-5", "claude-haiku-4-5"])
def test_old_results_of_tools_are_cut_and_the_api_takes_what_is_left(
    serve: Serve, model: OfflineServer, name: str
) -> None:
    client = serve(model=f"anthropic/{name}", toolsets=[{"type": "shell"}])
    session = client.new_session(tools_approved=True)
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    one = "[think]" + call_text("shell", cmd="printf %029000d 0") + "[then]"
    assert text_of(client.say(session, one * 9 + "[say done]", agent="one")) == "done"
    for request, last in zip(model.requests, model.requests[1:], strict=False):
        cut = sum(text == "[content truncated]" for text in outputs(last))
        assert sum(map(len, outputs(last))) <= 4 * 50_000
        assert cut == 0 or len(outputs(last)) > 6
        assert [text for text in outputs(last)[:-1] if text != "[content truncated]"] == outputs(request)[
            cut:
        ]
    assert "[content truncated]" in outputs(model.requests[-1])
    assert len(client.messages(session)[2]["content"]) == 29_000, "nothing of it is lost"


def outputs(request: dict[str, Any]) -> list[str]:
    blocks = [block for message in request["messages"] for block in message["content"]]
    return [block["content"] for block in blocks if block["type"] == "tool_result"]
