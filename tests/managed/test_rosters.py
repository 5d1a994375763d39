"""Rosters: the agents that an agent gives work to."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import WEATHER

MODEL = "claude-sonnet-5-5"


def member(sdk: Sdk, name: str = "Reviewer", **more: Any) -> Any:
    return sdk.beta.agents.create(name=name, model=MODEL, **more)


def coordinator(sdk: Sdk, *agents: Any, **more: Any) -> Any:
    roster: Any = {"type": "coordinator", "agents": list(agents)}
    return sdk.checked(sdk.beta.agents.create(name="Lead", model=MODEL, multiagent=roster, **more))


def named(agent: Any) -> list[tuple[str, int]]:
    return [(one.id, one.version) for one in agent.multiagent.agents]


def test_members_are_pinned_when_the_roster_is_stored(sdk: Sdk) -> None:
    reviewer, tester = member(sdk), member(sdk, "Tester")
    sdk.beta.agents.update(tester.id, system="Test.")
    lead = coordinator(sdk, reviewer.id, {"type": "agent", "id": tester.id, "version": 1}, {"type": "self"})
    assert named(lead) == [(reviewer.id, 1), (tester.id, 1), (lead.id, 1)]
    sdk.beta.agents.update(reviewer.id, system="Review.")
    assert named(sdk.beta.agents.retrieve(lead.id)) == named(lead)
    renamed = sdk.checked(sdk.beta.agents.update(lead.id, name="Head"))
    assert named(renamed) == [(reviewer.id, 1), (tester.id, 1), (lead.id, 2)]
    roster: Any = {"type": "coordinator", "agents": [reviewer.id, lead.id]}
    again = sdk.checked(sdk.beta.agents.update(lead.id, multiagent=roster))
    assert named(again) == [(reviewer.id, 2), (lead.id, 3)]
    assert sdk.beta.agents.update(lead.id, multiagent=roster).version == 3, "nothing has changed"
    as_read: Any = again.multiagent and again.multiagent.to_dict()
    assert sdk.beta.agents.update(lead.id, multiagent=as_read).version == 3, "nor now"
    older: Any = {"type": "coordinator", "agents": [{"type": "agent", "id": lead.id, "version": 1}]}
    with pytest.raises(anthropic.BadRequestError, match="has a roster of its own"):
        sdk.beta.agents.update(lead.id, multiagent=older)
    assert named(sdk.beta.agents.retrieve(lead.id, version=1)) == named(lead)
    assert sdk.checked(sdk.beta.agents.update(lead.id, multiagent=None)).multiagent is None


def test_a_session_has_its_members_frozen_into_it(sdk: Sdk) -> None:
    environment = sdk.beta.environments.create(name="here")
    reviewer = member(sdk, system="Review.", tools=[WEATHER])
    lead = coordinator(sdk, reviewer.id, {"type": "self"}, system="Lead.")
    sdk.beta.agents.archive(reviewer.id)
    given: Any = {"type": "agent_with_overrides", "id": lead.id, "system": "Be short."}
    made = sdk.checked(sdk.beta.sessions.create(agent=given, environment_id=environment.id))
    roster: Any = made.agent.multiagent
    assert [(one.name, one.system) for one in roster.agents] == [
        ("Reviewer", "Review."),
        ("Lead", "Be short."),
    ]
    (thread,) = sdk.checked(sdk.beta.sessions.threads.list(made.id)).data
    assert sdk.sent["data"][0]["agent"].keys().isdisjoint({"multiagent"})
    assert thread.parent_thread_id is None


@pytest.mark.parametrize(
    ("roster", "words"),
    [
        ({"type": "multiagent_20261001"}, "multiagent_20261001 is not supported here"),
        (
            {"type": "multiagent_20261001", "workflows": {"type": "enabled"}},
            "multiagent_20261001 is not supported",
        ),
        (
            {"type": "coordinator", "agents": [{"type": "advisor", "model": MODEL}]},
            "advisors are not supported",
        ),
        ({"type": "coordinator", "agents": []}, "multiagent.agents"),
        ({"type": "coordinator", "agents": [{"type": "self"}] * 21}, "multiagent.agents"),
        ({"type": "coordinator", "agents": [{"type": "self"}] * 2}, "multiagent.agents.1: duplicate entry"),
        ({"type": "coordinator", "agents": ["x"]}, "Invalid agent ID."),
        ({"type": "coordinator", "agents": [7]}, "multiagent.agents[0]"),
        ({"type": "coordinator", "agents": "x"}, "multiagent.agents"),
        ({"type": "coordinator", "agents": None}, "multiagent.agents"),
        ({"type": "coordinator"}, "multiagent.agents: field is required"),
        ({"type": "coordinator", "agents": [{"type": "inline"}]}, '"inline" is not a valid value'),
        ({"type": "coordinator", "agents": [{"type": "self", "id": "x"}]}, "unknown field"),
        ({"type": "swarm", "agents": [{"type": "self"}]}, "multiagent.type"),
        ({"agents": [{"type": "self"}]}, "multiagent.type"),
        ([], "multiagent"),
        ("coordinator", "multiagent"),
    ],
)
def test_a_refusal_names_the_field(sdk: Sdk, roster: Any, words: str) -> None:
    with pytest.raises(anthropic.BadRequestError):
        sdk.beta.agents.create(name="Lead", model=MODEL, multiagent=roster)
    assert words in sdk.sent["error"]["message"]


def test_a_member_must_be_there_in_use_and_without_a_roster(sdk: Sdk) -> None:
    reviewer = member(sdk)
    lead = coordinator(sdk, reviewer.id)
    with pytest.raises(anthropic.BadRequestError, match="has a roster of its own"):
        coordinator(sdk, lead.id)
    with pytest.raises(anthropic.BadRequestError, match="duplicate entry"):
        coordinator(sdk, reviewer.id, {"type": "agent", "id": reviewer.id, "version": 1})
    with pytest.raises(anthropic.NotFoundError, match="Agent version not found"):
        coordinator(sdk, {"type": "agent", "id": reviewer.id, "version": 9})
    with pytest.raises(anthropic.NotFoundError, match="Agent not found"):
        coordinator(sdk, reviewer.id[:-1] + ("1" if reviewer.id[-1] != "1" else "2"))
    sdk.beta.agents.archive(reviewer.id)
    with pytest.raises(anthropic.BadRequestError, match="is archived"):
        coordinator(sdk, reviewer.id)


def test_members_are_those_that_the_token_may_use(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "ben-has-this-token") as ben:
        with Sdk(company, "olga-has-this-token") as olga:
            shared = member(olga)
        private = member(ann)
        assert len(named(coordinator(ben, shared.id))) == 1
        with pytest.raises(anthropic.NotFoundError, match="Agent not found"):
            coordinator(ben, private.id)


def test_what_a_session_can_not_serve_is_refused_of_members_too(sdk: Sdk) -> None:
    environment = sdk.beta.environments.create(name="here")
    fast = sdk.beta.agents.create(name="Fast", model={"id": MODEL, "speed": "fast"})
    lead = coordinator(sdk, fast.id)
    with pytest.raises(anthropic.BadRequestError, match="speed"):
        sdk.beta.sessions.create(agent=lead.id, environment_id=environment.id)


def test_a_custom_tool_must_not_have_the_name_of_one_that_the_roster_brings(sdk: Sdk) -> None:
    reviewer, named_so = member(sdk), {**WEATHER, "name": "send_to_agent"}
    assert coordinator(sdk, reviewer.id, tools=[WEATHER]).version == 1
    with pytest.raises(anthropic.BadRequestError, match='"send_to_agent" has the name of a tool'):
        coordinator(sdk, reviewer.id, tools=[named_so])
    plain = member(sdk, "Plain", tools=[named_so])
    roster: Any = {"type": "coordinator", "agents": [reviewer.id]}
    with pytest.raises(anthropic.BadRequestError, match='"send_to_agent" has the name of a tool'):
        sdk.beta.agents.update(plain.id, multiagent=roster)
