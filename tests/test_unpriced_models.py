"""A model without a known price does not get past a budget, however it is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.test_sequences import call_text, of_type

PRICED, UNPRICED = "anthropic/claude-sonnet-5-5", "anthropic/claude-mythos-5-2"
AGENTS: dict[str, Any] = {
    "plain": {"model": PRICED},
    "unpriced": {"model": UNPRICED},
    "falls": {"model": UNPRICED, "fallback": {"models": [PRICED]}},
    "picks": {"model": PRICED, "toolsets": [{"type": "model_picker", "models": [UNPRICED]}]},
    "sends": {"model": PRICED, "sub_agents": ["unpriced"]},
    "looks": {"model": PRICED, "toolsets": [{"type": "think", "model": UNPRICED}]},
}
Make = Callable[..., LocalClient]


@pytest.fixture
def make(tmp_path: Path, model: OfflineServer) -> Iterator[Make]:
    servers: list[Server] = []

    def start(**settings: Any) -> LocalClient:
        (tmp_path / "team.yaml").write_text(json.dumps({"agents": AGENTS}))
        values = {"session_budget": 5.0, **settings}
        servers.append(build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", **values)))
        return LocalClient(servers[-1])

    yield start
    for server in servers:
        server.close()


def choose(local: LocalClient, session: str, name: str = UNPRICED) -> tuple[int, str]:
    body = {"messages": [{"role": "user", "content": "[say hello]"}], "model": name}
    response = local.ask("POST", f"/api/sessions/{session}/agent/team/plain", body)
    response.get_data()
    return response.status_code, (response.get_json(silent=True) or {}).get("code", "")


def asked(model: OfflineServer) -> set[str]:
    return {f"anthropic/{request['model']}" for request in model.requests}


def test_a_run_that_names_it_is_refused_and_leaves_nothing(make: Make) -> None:
    local = make()
    session = local.new_session()
    before = local.session(session)
    assert choose(local, session) == (422, "unpriced_model")
    assert local.session(session) == before
    assert choose(local, session, PRICED)[0] == 200


def test_without_a_budget_any_model_may_be_named(make: Make) -> None:
    local = make(session_budget=0.0)
    session = local.new_session()
    assert choose(local, session)[0] == 200
    local.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 1})
    assert choose(local, session) == (422, "unpriced_model")


def test_a_session_without_a_limit_may_use_it_though_others_may_not(make: Make) -> None:
    local = make()
    session = local.new_session()
    local.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 0})
    assert choose(local, session)[0] == 200


def test_a_budget_that_came_later_counts_for_the_model_that_was_chosen_before(
    make: Make, model: OfflineServer
) -> None:
    local = make(session_budget=0.0)
    session = local.new_session()
    choose(local, session)
    local.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 1})
    before = len(model.requests)
    events = local.say(session, "[say more]", agent="team/plain")
    [error] = of_type(events, "error")
    assert "price" in error["error"]
    assert len(model.requests) == before


@pytest.mark.parametrize("agent", ["unpriced", "sends"])
def test_an_agents_own_model_is_not_asked(make: Make, model: OfflineServer, agent: str) -> None:
    local = make()
    task = call_text("transfer_task", agent="unpriced", task="[say secret]", expected_output="")
    events = local.say(local.new_session(), f"{task}[then][say done]", agent=f"team/{agent}")
    assert "price" in json.dumps(events)
    assert UNPRICED not in asked(model)


@pytest.mark.parametrize("agent", ["falls", "looks"])
def test_the_next_model_is_asked_instead(make: Make, model: OfflineServer, agent: str) -> None:
    local = make()
    text = (call_text("think", thought="a") + "[then]" if agent == "looks" else "") + "[say done]"
    events = local.say(local.new_session(), text, agent=f"team/{agent}")
    assert of_type(events, "error") == []
    assert asked(model) == {PRICED}


def test_an_agent_cannot_choose_it(make: Make, model: OfflineServer) -> None:
    local = make()
    text = call_text("change_model", model=UNPRICED) + "[then][say done]"
    events = local.say(local.new_session(), text, agent="team/picks")
    [answer] = of_type(events, "tool_call_response")
    assert "price" in answer["response"]
    assert asked(model) == {PRICED}


def test_an_operator_may_allow_it_and_then_readers_are_warned(make: Make) -> None:
    local = make(unpriced_models="allow")
    session = local.new_session()
    assert choose(local, session)[0] == 200
    events = local.say(session, "[say hello]", agent="team/unpriced")
    assert any("price" in event["message"] for event in of_type(events, "warning"))
