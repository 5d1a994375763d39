"""The safety policy of a session, through HTTP: chosen, raised by an answer, changed while a run is at work."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.in_process import LocalClient
from tests.harness.wire import Event

RESTRICTED = "Tool 'shell' is denied: the session's safety policy lets only tools run that only read."


def call(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}]"


def of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


TWO = f"{call('shell', cmd='echo 1')}{call('shell', cmd='echo 2')}"


@pytest.mark.parametrize(
    ("verb", "policy", "questions"),
    [
        ("approve-balanced", "balanced", 2),
        ("approve-safe", "balanced", 2),
        ("approve-safer", "balanced", 2),
        ("approve-autonomous", "autonomous", 1),
        ("approve-session", "autonomous", 1),
    ],
)
def test_an_approval_can_set_the_policy_of_the_session(
    local: LocalClient, verb: str, policy: str, questions: int
) -> None:
    session = local.new_session(safety_policy="strict")
    text = f"{TWO}{call('list_directory', path='.')}[then][say done]"
    with local.run(session, text, agent="tools") as stream:
        for answer in [verb, *["approve"] * (questions - 1)]:
            stream.until("tool_call_confirmation")
            local.resume(session, answer)
        stream.rest()
    assert len(of_type(stream.events, "tool_call_confirmation")) == questions
    assert len(of_type(stream.events, "tool_call")) == 3
    assert local.session(session)["safety_policy"] == policy
    assert local.session(session)["tools_approved"] is (policy == "autonomous")


def test_a_policy_that_changes_while_a_run_is_at_work_counts_from_its_next_call_on(
    local: LocalClient,
) -> None:
    session = local.new_session()
    with local.run(session, f"{TWO}[then][say done]", agent="tools") as stream:
        stream.until("tool_call_confirmation")
        said = local.call("PATCH", f"/api/sessions/{session}/safety-policy", {"safety_policy": "restricted"})
        assert said == {"message": "session safety policy updated"}
        local.resume(session, "approve")
        stream.rest()
    assert len(of_type(stream.events, "tool_call_confirmation")) == 1
    assert [event["response"] for event in of_type(stream.events, "tool_call_response")] == ["1", RESTRICTED]


@pytest.mark.parametrize("policy", ["autonomous", "balanced"])
def test_no_policy_lifts_a_denial(local: LocalClient, policy: str) -> None:
    session = local.new_session(safety_policy=policy, permissions={"deny": ["list_directory"]})
    text = f"{call('list_directory', path='.')}{call('shell', cmd='forbidden')}[then][say done]"
    events = local.say(session, text, agent="tools")
    assert not of_type(events, "tool_call")
    assert len(of_type(events, "tool_call_response")) == 2


@pytest.mark.parametrize(
    ("body", "policy"),
    [
        ({}, None),
        ({"safety_policy": ""}, None),
        ({"safety_policy": "strict"}, "strict"),
        ({"safety_policy": "safer"}, "balanced"),
        ({"safety_policy": "safe-auto"}, "balanced"),
        ({"safety_policy": "unsafe"}, "autonomous"),
        ({"mode": "restricted"}, "restricted"),
        ({"tools_approved": True}, "autonomous"),
        ({"tools_approved": True, "safety_policy": "strict"}, "strict"),
        ({"safety_policy": "strict", "mode": "autonomous"}, "strict"),
    ],
)
def test_a_session_is_made_with_a_policy(
    local: LocalClient, body: dict[str, Any], policy: str | None
) -> None:
    made = local.call("POST", "/api/sessions", body)
    shown = local.session(made["id"])
    assert made.get("safety_policy") == shown.get("safety_policy") == policy
    assert made["tools_approved"] is shown["tools_approved"] is (policy == "autonomous")
    copy = local.call("POST", f"/api/sessions/{made['id']}/fork", {})
    assert copy.get("safety_policy") == policy


def test_a_policy_can_be_taken_back_and_outlives_the_blanket_approval(local: LocalClient) -> None:
    session = local.new_session()

    def set_to(policy: str) -> object:
        local.call("PATCH", f"/api/sessions/{session}/safety-policy", {"safety_policy": policy})
        return local.session(session).get("safety_policy")

    assert set_to("balanced") == "balanced"
    assert set_to("autonomous") == "autonomous"
    local.call("POST", f"/api/sessions/{session}/tools/toggle")
    assert local.session(session)["safety_policy"] == "balanced"
    assert set_to("autonomous") == "autonomous"
    assert set_to("strict") == "strict"
    assert local.session(session)["tools_approved"] is False
    assert set_to("") is None


def test_the_policy_has_an_older_route(local: LocalClient) -> None:
    session = local.new_session()
    local.call("PATCH", f"/api/sessions/{session}/mode", {"mode": "safer"})
    assert local.session(session)["safety_policy"] == "balanced"


@pytest.mark.parametrize(
    "body", [{}, {"safety_policy": "bogus"}, {"safety_policy": "Safer"}, {"safety_policy": 1}]
)
def test_a_policy_that_does_not_exist_is_refused_and_changes_nothing(
    local: LocalClient, body: dict[str, Any]
) -> None:
    session = local.new_session(safety_policy="strict")
    path = f"/api/sessions/{session}/safety-policy"
    assert local.call("PATCH", path, body, expect=422)["code"] == "invalid_request"
    assert local.session(session)["safety_policy"] == "strict"
    if body:
        local.call("POST", "/api/sessions", body, expect=422)
