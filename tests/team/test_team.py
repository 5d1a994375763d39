"""A team answers who its agents are and what they need."""

from __future__ import annotations

import pytest

from app.errors import AgentNotFound
from tests.team.teams import team


def test_the_default_agent_is_root_wherever_it_stands_e4() -> None:
    loaded = team("agents: {a: {}, root: {}}")
    assert loaded.default_agent.name == loaded.agent().name == loaded.agent("root").name == "root"


def test_without_a_root_the_first_agent_is_the_default_e4() -> None:
    loaded = team("agents: {b: {}, a: {}}")
    assert loaded.agent().name == loaded.agent("root").name == "b"
    assert loaded.agent("a").name == "a"


def test_an_unknown_agent_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(AgentNotFound) as caught:
        team("agents: {b: {}, a: {}}").agent("c")
    assert caught.value.message == "agent not found: c (available agents: b, a)"


def test_variables_that_an_agent_or_those_it_calls_need_are_known() -> None:
    loaded = team(
        """\
        agents:
          lead: {sub_agents: [worker], handoffs: [lead]}
          worker: {model: b, fallback: {models: [a]}, sub_agents: [lead]}
          alone: {model: c}
        models:
          a: {provider: anthropic, model: x, token_key: KEY_A}
          b: {provider: anthropic, model: x, token_key: KEY_B}
          c: {provider: anthropic, model: x, token_key: ANTHROPIC_API_KEY}
        """
    )
    assert loaded.required_environment(loaded.agent("lead")) == ("KEY_A", "KEY_B")
    assert loaded.required_environment(loaded.agent("alone")) == ()


def test_a_team_without_permissions_has_empty_ones() -> None:
    permissions = team("agents: {a: {}}").permissions
    assert (permissions.allow, permissions.ask, permissions.deny) == ((), (), ())


def test_a_team_can_not_be_changed() -> None:
    loaded = team("agents: {a: {}}")
    with pytest.raises(ValueError, match="frozen"):
        loaded.agents[0].description = "other"
