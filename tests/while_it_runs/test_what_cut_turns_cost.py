"""A turn that was cut, refused or tried again has cost what the model read and wrote for it: budgets count it."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from tests.harness.in_process import LocalClient


def cost(client: LocalClient, session: str) -> float:
    return float(client.call("GET", f"/api/sessions/{session}/snapshot")["cost"])


def said(client: LocalClient, session: str) -> list[dict[str, Any]]:
    return [message for message in client.messages(session) if message["role"] == "assistant"]


def test_a_refused_turn_costs(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say I must not][refuse]")
    assert said(local, session) == []
    assert cost(local, session) > 0


@pytest.mark.parametrize("script", ["[say I must not][refuse]", "[empty]", "[blank]"])
def test_a_turn_without_a_message_tells_and_stores_its_tokens(local: LocalClient, script: str) -> None:
    session = local.new_session()
    (told,) = [event["usage"] for event in local.say(session, script) if event["type"] == "token_usage"]
    assert "last_message" not in told
    assert told["input_tokens"] > 0
    assert told["output_tokens"] > 0
    stored = local.session(session)
    assert said(local, session) == []
    assert (stored["input_tokens"], stored["output_tokens"]) == (told["input_tokens"], told["output_tokens"])
    assert cost(local, session) == pytest.approx(told["cost"])


@pytest.mark.parametrize("script", [f"[think {'long ' * 60}][drop 3]", "[say hello][drop 0]"])
def test_a_turn_that_was_cut_before_anything_could_be_kept_costs(local: LocalClient, script: str) -> None:
    session = local.new_session()
    local.say(session, script)
    assert said(local, session) == []
    assert cost(local, session) > 0


def test_what_a_stopped_turn_had_written_costs_too(local: LocalClient, model: OfflineServer) -> None:
    session, other = local.new_session(), local.new_session()
    for many, one in ((5, other), (400, session)):
        with local.run(one, f"[words 500][hold {many}]") as stream:
            for _ in range(many):
                stream.until("agent_choice")
            local.stop(one)
            stream.rest()
    (little,), (much,) = said(local, other), said(local, session)
    assert len(much["content"]) > 20 * len(little["content"])
    assert much["usage"]["output_tokens"] > 20 * little["usage"]["output_tokens"]
    assert cost(local, session) == pytest.approx(much["cost"])
    assert cost(local, session) > cost(local, other)


def test_an_attempt_that_was_followed_by_another_costs_as_well(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say hello][drop 0 times 1]")
    (message,) = said(local, session)
    assert cost(local, session) > message["cost"]


def test_a_budget_is_reached_by_refusals_alone(local: LocalClient, server: Server) -> None:
    session = local.new_session()
    local.say(session, "[say no][refuse]")
    local.call("PATCH", f"/api/sessions/{session}/budget", {"budget": cost(local, session) / 2})
    assert local.try_run(session, "again").status_code == 402
