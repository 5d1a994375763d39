"""An agent with an `environment` has only what can run there: the rest is refused by name, with the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.team.teams import problems, team

OWN: list[Any] = [{"type": "agent_toolset"}]


def file(agent: dict[str, Any], **more: Any) -> str:
    return json.dumps({"agents": {"root": {"environment": "x", "toolsets": OWN, **agent}, **more}})


@pytest.mark.parametrize(
    "toolsets",
    [
        [{"type": "agent_toolset", "tools": ["bash"]}],
        [*OWN, {"type": "think"}, {"type": "fetch"}, {"type": "mcp", "remote": {"url": "https://x"}}],
    ],
)
def test_what_runs_elsewhere_or_needs_no_machine_loads(toolsets: list[Any]) -> None:
    assert team(file({"toolsets": toolsets})).default_agent.environment == "x"


@pytest.mark.parametrize(
    ("agent", "problem"),
    [
        *(
            ({"toolsets": [*OWN, {"type": kind}]}, f"root.toolsets[1]: {kind} works on the server's machine")
            for kind in ("shell", "filesystem", "file", "background_jobs", "git", "environment", "tasks")
        ),
        ({"toolsets": [*OWN, {"type": "mcp", "command": "x"}]}, "root.toolsets[1]: the command of an mcp"),
        ({"toolsets": []}, "root.environment: needs a toolset of the type agent_toolset"),
        ({"toolsets": [{"type": "agent_toolset", "tools": ["web_fetch"]}]}, "root.environment: needs a"),
        ({"toolsets": [{"type": "agent_toolset", "defer": True}]}, "root.toolsets[0]: an agent_toolset that"),
        ({"readonly": True}, "root.readonly: can't be used together with environment"),
        ({"skills": True}, "root.skills: can't be used together with environment"),
        ({"add_environment_info": True}, "root.add_environment_info: can't be used together"),
        ({"add_prompt_files": ["x"]}, "root.add_prompt_files: can't be used together with environment"),
        ({"add_description_parameter": True}, "root.add_description_parameter: can't be used together"),
        ({"sub_agents": ["other"]}, "root.sub_agents: can't be used together with environment"),
        ({"handoffs": ["other"]}, "root.handoffs: can't be used together with environment"),
    ],
)
def test_what_can_not_run_elsewhere_is_refused_by_name(agent: dict[str, Any], problem: str) -> None:
    (found,) = problems(file(agent, other={}))
    assert problem in found


@pytest.mark.parametrize("kind", ["sub_agents", "handoffs"])
def test_an_agent_that_others_give_work_to_works_here(kind: str) -> None:
    (found,) = problems(file({}, other={kind: ["root"]}))
    assert "is not possible for an agent that others give work to" in found
    found, *_ = problems(file({"environment": ""}, other={"environment": "x", "toolsets": OWN}))
    assert "is possible for the file's first agent 'root' only" in found
