"""The agents that come with the server load, and do what their comments say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.team.loading import check_file
from app.team.permissions import decide
from app.team.team_directory import TeamDirectory

AGENTS = Path(__file__).parents[2] / "agents"


@pytest.fixture
def teams() -> TeamDirectory:
    return TeamDirectory(AGENTS, {})


@pytest.mark.parametrize("path", sorted(AGENTS.iterdir()), ids=lambda path: path.name)
def test_every_file_loads(path: Path) -> None:
    assert check_file(path) == []


def test_there_is_a_plain_one_one_with_tools_and_a_team(teams: TeamDirectory) -> None:
    assert [(summary.name, summary.multi) for summary in teams.list()] == [
        ("assistant", False),
        ("coder", False),
        ("team", True),
    ]
    assert all(summary.description for summary in teams.list())


def test_they_use_todays_models_and_toolsets_that_every_server_has(teams: TeamDirectory) -> None:
    for summary in teams.list():
        for agent in teams.get(summary.name).agents:
            assert {model.id for model in agent.models} <= {
                "anthropic/claude-sonnet-5-5",
                "anthropic/claude-haiku-5-5",
            }
            assert {toolset.type for toolset in agent.toolsets} <= {
                "fetch",
                "filesystem",
                "shell",
                "think",
                "todo",
            }


def test_the_lead_of_the_team_can_hand_tasks_to_both_others(teams: TeamDirectory) -> None:
    team = teams.get("team")
    assert team.default_agent.name == "lead"
    assert team.default_agent.sub_agents == ("researcher", "writer")
    assert all(team.agent(name).description for name in team.default_agent.sub_agents)


@pytest.mark.parametrize(
    ("tool", "arguments", "decision"),
    [
        ("shell", {"cmd": "ls -la"}, "allow"),
        ("shell", {"cmd": "ls; rm x"}, None),
        ("shell", {"cmd": "git status"}, None),
        ("read_multiple_files", {"paths": ["README.md", "deploy/prod.env"]}, "deny"),
        ("shell", {"cmd": "make test"}, None),
        ("shell", {"cmd": "cd /tmp && sudo rm x"}, "deny"),
        ("shell", {"cmd": "git push --force"}, "deny"),
        ("write_file", {"path": "deploy/prod.env", "content": ""}, "deny"),
        ("read_file", {"path": "config/secrets.toml"}, "ask"),
        ("read_file", {"path": "README.md"}, None),
    ],
)
def test_the_coders_permissions_say_what_their_comment_says(
    teams: TeamDirectory, tool: str, arguments: dict[str, Any], decision: str | None
) -> None:
    assert decide(teams.get("coder").permissions, tool, arguments) == decision
