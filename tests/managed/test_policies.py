"""Names and policies of tools that MCP servers have."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from app.agent.tool_normalizing import offered_name
from app.managed.policies import Policies, prefix_of
from app.managed.vaults.server_keys import server_key

SERVERS = [
    "a",
    "a_",
    "_a",
    "a__b",
    "a_b",
    "A",
    "a b",
    "a.b",
    "ä",
    "  ",
    "x" * 40,
    "x" * 41,
    "x" * 255,
    "a-b",
    "github",
]


def test_no_two_servers_share_a_prefix_and_none_begins_with_another() -> None:
    prefixes = [prefix_of(server) for server in SERVERS]
    assert all(offered_name(one) == one and len(one) <= 60 for one in prefixes)
    for one, other in combinations(prefixes, 2):
        assert not one.startswith(other)
        assert not other.startswith(one)
    assert prefix_of("github") == "mcp__github__"


def toolset(server: str, *configs: tuple[str, str], default: str = "always_ask") -> dict[str, Any]:
    def policy(kind: str) -> dict[str, Any]:
        return {"enabled": kind != "off", "permission_policy": {"type": "auto" if kind == "off" else kind}}

    made = [{"name": name, **policy(kind)} for name, kind in configs]
    return {
        "type": "mcp_toolset",
        "mcp_server_name": server,
        "default_config": policy(default),
        "configs": made,
    }


@pytest.mark.parametrize(
    ("name", "own", "permission"),
    [
        ("mcp__a__list", ("a", "list"), "ask"),
        ("mcp__a___list", ("a", "_list"), "ask"),
        ("mcp__a__get_x", ("a", "get/x"), "allow"),
        ("mcp__a__Get_x", ("a", "Get_x"), "ask"),
        ("mcp__a__drop", ("a", "drop"), "deny"),
        (offered_name("mcp__a__" + "y" * 200), ("a", "y" * 200), "allow"),
        ("mcp__b__any", ("b", "any"), "allow"),
        ("mcp__b__", ("b", ""), "allow"),
        ("mcp__c__any", None, "deny"),
        ("bash", None, "deny"),
    ],
)
def test_a_call_belongs_to_its_server_and_has_its_policy(
    name: str, own: tuple[str, str] | None, permission: str
) -> None:
    configs = [("get/x", "always_allow"), ("drop", "off"), ("y" * 200, "always_allow")]
    policies = Policies([toolset("a", *configs), toolset("b", default="always_allow")])
    assert policies.server_tool(name) == own
    assert policies.evaluate(name)[0] == permission


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://A.org/MCP", "HTTPS://a.org:443/mcp/", True),
        ("http://a.org", "http://a.org:80/", True),
        ("https://a.org/x//", "https://a.org/x", True),
        ("https://[::1]:443/x", "https://[::1]/x", True),
        ("https://a.org", "http://a.org", False),
        ("https://a.org", "https://a.org:80", False),
        ("https://a.org/x", "https://a.org/y", False),
        ("https://a.org/x?a=1", "https://a.org/x", False),
        ("https://a.org:99999/x", "https://a.org/x", False),
    ],
)
def test_addresses_of_servers_are_compared(one: str, other: str, same: bool) -> None:
    assert (server_key(one) == server_key(other)) is same
