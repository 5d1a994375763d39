"""A conversation that goes on elsewhere: in a copy, or with another agent of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings, server_of
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.test_fallback import asked
from tests.test_sequences import call_text

OWN, SMALL, STRONG = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
TEAM = f"""
agents:
  boss: {{model: anthropic/{OWN}, handoffs: [reader], toolsets: [{{type: shell}}]}}
  reader: {{model: anthropic/{SMALL}}}
  thinker: {{model: deep}}
models:
  deep: {{provider: anthropic, model: {STRONG}, thinking_budget: high}}
"""


server = server_of(TEAM)


def branch(local: LocalClient, session: str, body: Any = None, *, expect: int = 201) -> Any:
    return local.call("POST", f"/api/sessions/{session}/branches", body or {}, expect=expect)


def switch(local: LocalClient, session: str, name: Any, *, expect: int = 201) -> Any:
    body = {"agent_name": name}
    return local.call("POST", f"/api/sessions/{session}/switch-agent", body, expect=expect)


def said(local: LocalClient, session: str) -> list[str]:
    return [message["content"] for message in local.messages(session)]


def test_a_branch_has_all_that_was_said_and_its_parent_goes_on_alone(local: LocalClient) -> None:
    session = local.new_session(title="Plans", permissions={"deny": ["x"]})
    local.say(session, "[say one]", agent="team/reader")
    made = branch(local, session)
    shown, metadata = made["session"], made["metadata"]
    new = shown["id"]
    assert metadata["session_id"] == new != session
    assert (metadata["agent_name"], metadata["model"]) == ("reader", f"anthropic/{SMALL}")
    assert metadata["capabilities"]["branching"] is True
    assert (shown["title"], shown["permissions"]) == ("Plans (fork 1)", {"deny": ["x"]})
    assert [item["message"]["content"] for item in shown["messages"]] == ["[say one]", "one"]
    assert shown == local.session(new)
    local.say(new, "[say two]", agent="team")
    assert said(local, new) == ["[say one]", "one", "[say two]", "two"]
    assert said(local, session) == ["[say one]", "one"]


@pytest.mark.parametrize(("position", "left"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)])
def test_a_branch_ends_where_it_is_told_to(local: LocalClient, position: int, left: int) -> None:
    session = local.new_session()
    for word in ("one", "two"):
        local.say(session, f"[say {word}]", agent="team/reader")
    new = branch(local, session, {"position": position})["session"]["id"]
    assert said(local, new) == ["[say one]", "one", "[say two]", "two"][:left]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"position": 3}, 400),
        ({"position": -1}, 422),
        ({"position": "1"}, 422),
        ({"position": 1.5}, 422),
        ({"position": True}, 422),
        ({"position": 1, "expected_snapshot": "abc"}, 422),
        ({"expected_snapshot": 5}, 422),
    ],
)
def test_a_branch_of_nothing_is_refused(local: LocalClient, body: dict[str, Any], status: int) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team/reader")
    assert branch(local, session, body, expect=status)["code"] == "invalid_request"
    assert len(local.call("GET", "/api/sessions")) == 1


def test_a_branch_does_not_end_between_a_call_and_its_result(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True)
    local.say(session, call_text("shell", cmd="true") + "[then][say done]", agent="team")
    assert branch(local, session, {"position": 2}, expect=400)["code"] == "invalid_request"
    branch(local, session, {"position": 3})


@pytest.mark.parametrize("path", ["branches", "switch-agent"])
def test_a_session_at_work_is_left_alone_and_its_holder_named(local: LocalClient, path: str) -> None:
    session = local.new_session()
    with local.run(session, call_text("shell", cmd="true") + "[then][say x]", agent="team") as stream:
        stream.until("tool_call_confirmation")
        address = f"/api/sessions/{session}/{path}"
        refused = local.call("POST", address, {"agent_name": "reader"}, expect=409)
        assert refused["code"] == "awaiting_approval"
        assert refused["run"]["session_id"] == session
        local.resume(session, "approve")
        stream.rest()
    local.wait_until_free(session)
    local.call("POST", address, {"agent_name": "reader"}, expect=201)


def test_another_agent_goes_on_in_a_session_of_its_own(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session(title="Plans")
    local.say(session, "[say one]", agent="team/boss")
    made = switch(local, session, "reader")
    new = made["metadata"]["session_id"]
    assert made["session"]["id"] == new
    assert (made["metadata"]["agent_name"], made["metadata"]["model"]) == ("reader", f"anthropic/{SMALL}")
    assert local.call("GET", f"/api/sessions/{new}/models")["agent"] == "reader"
    events = local.say(new, "[say two]", agent="team")
    assert {event["agent_name"] for event in events if event["type"] == "agent_choice"} == {"reader"}
    local.say(new, "[say three]", agent="team")
    local.say(session, "[say four]", agent="team")
    assert asked(model) == [OWN, SMALL, SMALL, OWN]
    assert said(local, new) == ["[say one]", "one", "[say two]", "two", "[say three]", "three"]


def test_what_waits_for_a_switched_session_is_the_new_agents(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team/boss")
    new = switch(local, session, "reader")["session"]["id"]
    path = f"/api/sessions/{new}/followup"
    for word in ("two", "three"):
        local.call("POST", path, [{"content": f"[say {word}]"}], expect=202)
        eventually(lambda word=word: said(local, new)[-1:] == [word], "it was answered")
        local.wait_until_free(new)
    assert asked(model) == [OWN, SMALL, SMALL]
    runs = local.call("GET", f"/api/runs?session={new}")
    assert [run["agent"] for run in runs] == ["team/reader"] * 2


def test_a_new_agent_begins_with_its_own_model_and_thinking(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session(agent_model_overrides={"reader": f"anthropic/{STRONG}"})
    body = {"messages": [{"content": "[say one]"}], "model": "anthropic/claude-opus-4-5"}
    local.ask("POST", f"/api/sessions/{session}/agent/team/boss", body).get_data()
    kept = branch(local, session)["metadata"]
    assert kept["model"] == "anthropic/claude-opus-4-5"
    made = switch(local, session, "thinker")["metadata"]
    assert (made["model"], made["thinking_level"]) == (f"anthropic/{STRONG}", "high")
    local.say(made["session_id"], "[say two]", agent="team")
    assert model.requests[-1]["output_config"] == {"effort": "high"}
    assert switch(local, session, "reader")["metadata"]["model"] == f"anthropic/{STRONG}"


def test_a_switch_outlasts_what_is_taken_back(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True)
    local.say(session, "[say one]", agent="team/boss")
    new = switch(local, session, "reader")["session"]["id"]
    local.say(new, "[say two]", agent="team")
    for left in (2, 0):
        undone = local.call("POST", f"/api/sessions/{new}/undo")
        assert undone["num_messages"] == left
        assert local.call("GET", f"/api/sessions/{new}/models")["agent"] == "reader"
    local.say(session, call_text("handoff", agent="reader") + "[then][say mine]", agent="team")
    local.say(session, "[say three]", agent="team")
    for agent in ("reader", "boss"):
        local.call("POST", f"/api/sessions/{session}/undo")
        events = local.say(branch(local, session)["session"]["id"], "[say x]", agent="team")
        assert {event["agent_name"] for event in events if event["type"] == "agent_choice"} == {agent}


@pytest.mark.parametrize(
    ("name", "status"), [("nobody", 404), ("", 422), (None, 422), (5, 422), ("a\0", 422)]
)
def test_an_agent_that_there_is_not_is_refused(local: LocalClient, name: Any, status: int) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    code = "unknown_agent" if status == 404 else "invalid_request"
    assert switch(local, session, name, expect=status)["code"] == code
    assert len(local.call("GET", "/api/sessions")) == 1


def test_before_the_first_run_there_is_nothing_to_go_on_with(local: LocalClient) -> None:
    session = local.new_session()
    assert branch(local, session, expect=404)["code"] == "unknown_run"
    assert switch(local, session, "reader", expect=404)["code"] == "unknown_run"
    assert switch(local, "nobody", "reader", expect=404)["code"] == "unknown_session"


def test_choices_and_copies_are_the_same_on_each_database(
    tmp_path: Path, model: OfflineServer, database_url: str
) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    built = build(
        make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=database_url)
    )
    try:
        local = LocalClient(built)
        session = local.new_session()
        local.say(session, "[say one]", agent="team/thinker")
        path = f"/api/sessions/{session}"
        assert local.call("POST", f"{path}/thinking-level/cycle")["current"] == "xhigh"
        assert local.call("PATCH", f"{path}/delegation-policy", {"enabled": False}) == {"enabled": False}
        copy = branch(local, session)["metadata"]
        assert (copy["agent_name"], copy["thinking_level"]) == ("thinker", "xhigh")
        new = switch(local, session, "reader")["metadata"]["session_id"]
        assert local.call("GET", f"/api/sessions/{new}/delegation-policy") == {"enabled": False}
        local.say(new, "[say two]", agent="team")
        assert asked(model) == [STRONG, SMALL]
        local.call("POST", f"{path}/stop-subtree", expect=204)
    finally:
        built.close()
