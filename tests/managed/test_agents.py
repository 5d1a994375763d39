"""Agents and their versions, through the official SDK."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk

TOOLS: Any = [
    {
        "type": "agent_toolset_20260401",
        "default_config": {"permission_policy": {"type": "always_ask"}},
        "configs": [
            {"name": "bash", "enabled": False},
            {"name": "web_fetch", "permission_policy": {"type": "auto"}, "allowed_domains": ["example.org"]},
        ],
    },
    {"type": "mcp_toolset", "mcp_server_name": "wiki", "configs": [{"name": "find", "enabled": False}]},
    {
        "type": "custom",
        "name": "weather",
        "description": "Says how the weather is.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "title": "Weather"},
    },
]
EVERYTHING: Any = {
    "name": "Coder",
    "model": {"id": "claude-sonnet-5-5", "effort": "high"},
    "description": "Writes code.",
    "system": "Be kind.",
    "tools": TOOLS,
    "mcp_servers": [{"type": "url", "name": "wiki", "url": "https://wiki.example.org/mcp"}],
    "metadata": {"team": "tools"},
}


def test_an_agent_is_answered_with_every_default_written_out(sdk: Sdk) -> None:
    made = sdk.checked(sdk.beta.agents.create(name="Plain", model="claude-sonnet-5-5"))
    assert (made.version, made.tools, made.skills, made.metadata) == (1, [], [], {})
    full = sdk.checked(sdk.beta.agents.create(**EVERYTHING))
    toolset, servers, custom = sdk.sent["tools"]
    assert toolset["default_config"] == {"enabled": True, "permission_policy": {"type": "always_ask"}}
    bash, fetch = toolset["configs"]
    assert bash == {
        "name": "bash",
        "type": "bash",
        "enabled": False,
        "permission_policy": {"type": "always_ask"},
    }
    assert (fetch["permission_policy"], fetch["allowed_domains"]) == ({"type": "auto"}, ["example.org"])
    assert servers["default_config"] == {"enabled": True, "permission_policy": {"type": "always_ask"}}
    assert custom == TOOLS[2]
    assert full.model.effort is not None
    assert full.model.effort.type == "high"
    assert sdk.checked(sdk.beta.agents.retrieve(full.id)) == full


def test_an_update_makes_a_version_and_leaves_what_it_does_not_name(sdk: Sdk) -> None:
    made = sdk.beta.agents.create(**EVERYTHING)
    changed = sdk.checked(
        sdk.beta.agents.update(made.id, version=1, system=None, metadata={"team": None, "by": "Ann"})
    )
    assert (changed.version, changed.system, changed.metadata) == (2, None, {"by": "Ann"})
    assert (changed.tools, changed.description) == (made.tools, made.description)
    assert changed.updated_at > made.updated_at
    same = sdk.beta.agents.update(made.id, name="Coder")
    assert same == changed
    other_model = sdk.beta.agents.update(made.id, model={"id": "claude-sonnet-5-5", "speed": "fast"})
    assert other_model.model.effort == made.model.effort
    assert sdk.checked(sdk.beta.agents.retrieve(made.id, version=1)) == made
    assert [one.version for one in sdk.beta.agents.versions.list(made.id, limit=1)] == [3, 2, 1]
    with pytest.raises(anthropic.ConflictError, match="Concurrent modification detected"):
        sdk.beta.agents.update(made.id, version=1, name="Coder")
    assert sdk.sent["error"]["type"] == "conflict_error"


def test_updates_at_once_come_one_after_the_other(sdk: Sdk, laptop: Server) -> None:
    made = sdk.beta.agents.create(name="Busy", model="m")

    def update(number: int) -> int:
        with Sdk(laptop, "anything") as another:
            return another.beta.agents.update(made.id, metadata={f"key{number}": "x"}).version

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(update, range(8)))
    assert sorted(versions) == list(range(2, 10))
    assert len(sdk.beta.agents.retrieve(made.id).metadata) == 8


def test_an_archived_agent_is_read_and_never_changed_again(sdk: Sdk) -> None:
    made = sdk.beta.agents.create(name="Old", model="m")
    archived = sdk.checked(sdk.beta.agents.archive(made.id))
    assert archived.archived_at is not None
    assert sdk.beta.agents.archive(made.id) == archived
    with pytest.raises(anthropic.BadRequestError, match="Cannot modify archived agent"):
        sdk.beta.agents.update(made.id, name="New")
    assert made.id not in [one.id for one in sdk.beta.agents.list(limit=100)]
    assert made.id in [one.id for one in sdk.beta.agents.list(limit=100, include_archived=True)]


def test_pages_hold_each_agent_once_while_others_are_added(sdk: Sdk) -> None:
    made = [sdk.beta.agents.create(name=f"Paged {number}", model="m").id for number in range(5)]
    first = sdk.beta.agents.list(limit=2)
    assert [one.id for one in first.data] == made[:-3:-1]
    sdk.beta.agents.create(name="Later", model="m")
    seen = [one.id for one in first]
    assert [one for one in seen if one in made] == made[::-1]
    assert len(set(seen)) == len(seen)
    with pytest.raises(anthropic.BadRequestError, match="invalid page cursor"):
        sdk.beta.agents.list(page="page_x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name: string should have at least 1 character"),
        ({"name": "x" * 257}, "name: string should have at most 256 characters"),
        ({"description": "x" * 2049}, "description: string should have at most 2048 characters"),
        ({"system": "x" * 100_001}, "system: string should have at most 100000 characters"),
        (
            {"metadata": {str(number): "x" for number in range(17)}},
            "metadata: dictionary should have at most 16",
        ),
        ({"metadata": {"x" * 65: "x"}}, "metadata"),
        ({"metadata": {"x": "x" * 513}}, "metadata.x: string should have at most 512 characters"),
        ({"model": {"id": "m", "effort": "huge"}}, 'model.effort: "huge" is not a valid value'),
        ({"extra_body": {"colour": "red"}}, "colour: unknown field"),
        ({"tools": [{"type": "hammer"}]}, 'tools[0].type: "hammer" is not a valid value; expected one of'),
        (
            {"tools": [{"type": "agent_toolset_20260401", "configs": [{"name": "find"}]}]},
            'tools[0].configs[0].name: "find" is not a valid value; expected one of bash, edit, glob, grep, read',
        ),
        (
            {"tools": [{"type": "agent_toolset_20260401", "configs": [{"name": "bash"}, {"name": "bash"}]}]},
            'tools.0.agent_toolset_20260401.configs.1: duplicate entry for tool "AGENT_TOOL_NAME_BASH"',
        ),
        (
            {"tools": [{"type": "agent_toolset_20260401"}, {"type": "agent_toolset_20260401"}]},
            "tools.1.agent_toolset_20260401: duplicate entry; at most one agent_toolset_20260401 is allowed",
        ),
        ({"tools": [TOOLS[1]]}, 'references server "wiki" which is not defined in mcp_servers'),
        (
            {"mcp_servers": EVERYTHING["mcp_servers"]},
            "mcp_servers [wiki] declared but no mcp_toolset in tools",
        ),
        (
            {"mcp_servers": [{"type": "url", "name": "wiki", "url": "https://ann:secret@wiki.example.org"}]},
            "mcp_servers[0].url: it must not hold a name or a password",
        ),
        ({"tools": [TOOLS[2], TOOLS[2]]}, 'duplicate custom tool "weather"'),
        ({"tools": [{**TOOLS[2], "name": "two words"}]}, "tools[0].name"),
        ({"tools": [{**TOOLS[2], "input_schema": {"type": "string"}}]}, "tools[0].input_schema"),
        (
            {"tools": [{**TOOLS[2], "input_schema": {"type": "object", "properties": {"a": {"$ref": "#"}}}}]},
            "$ref is not supported",
        ),
        (
            {
                "tools": [
                    {
                        "type": "agent_toolset_20260401",
                        "configs": [
                            {"name": "web_fetch", "allowed_domains": ["a"], "blocked_domains": ["b"]}
                        ],
                    }
                ]
            },
            "Only one of allowed_domains or blocked_domains may be set.",
        ),
        ({"execution_identity": {"type": "aws_role", "role_arn": "x"}}, "execution_identity.type"),
        ({"skills": [{"type": "custom", "skill_id": "s"}] * 2}, 'duplicate skill_id "s"'),
    ],
)
def test_a_refusal_names_the_field(sdk: Sdk, change: dict[str, Any], words: str) -> None:
    given: Any = {"name": "Coder", "model": "m", **change}
    with pytest.raises(anthropic.BadRequestError) as refused:
        sdk.beta.agents.create(**given)
    assert words in sdk.sent["error"]["message"]
    assert sdk.sent["error"]["type"] == "invalid_request_error"
    assert refused.value.request_id == sdk.sent["request_id"]


def stored(client: Sdk) -> set[str]:
    """The agents that it sees and that are no agent files."""
    return {one.id for one in client.beta.agents.list() if "agent_file" not in one.metadata}


def test_names_see_their_own_agents_and_those_of_operators(company: Server) -> None:
    with (
        Sdk(company, "olga-has-this-token") as olga,
        Sdk(company, "ann-has-this-token") as ann,
        Sdk(company, "ben-has-this-token") as ben,
    ):
        common = olga.beta.agents.create(name="Common", model="m")
        private = ann.beta.agents.create(name="Private", model="m")
        assert stored(ann) == stored(olga) == {common.id, private.id}
        assert stored(ben) == {common.id}
        with pytest.raises(anthropic.NotFoundError, match="Agent not found"):
            ben.beta.agents.retrieve(private.id)
        with pytest.raises(anthropic.NotFoundError, match="Agent not found"):
            ben.beta.agents.archive(private.id)
        with pytest.raises(anthropic.PermissionDeniedError):
            ben.beta.agents.update(common.id, name="Mine")
        with pytest.raises(anthropic.PermissionDeniedError):
            ben.beta.agents.archive(common.id)
    with Sdk(company, "rita-has-this-token") as rita, pytest.raises(anthropic.PermissionDeniedError):
        rita.beta.agents.create(name="No", model="m")
