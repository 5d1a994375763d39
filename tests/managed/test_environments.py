"""Environments, through the official SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.teams import team_of
from tests.conftest import make_settings
from tests.managed.conftest import Sdk


def test_an_environment_is_made_changed_archived_and_deleted(sdk: Sdk) -> None:
    made = sdk.checked(sdk.beta.environments.create(name="here"))
    assert sdk.sent["config"]["networking"] == {"type": "unrestricted"}
    assert sdk.sent["config"]["packages"]["pip"] == []
    changed = sdk.checked(
        sdk.beta.environments.update(
            made.id, description="mine", metadata={"a": "1", "b": "2"}, config={"type": "cloud"}
        )
    )
    assert (changed.description, changed.metadata) == ("mine", {"a": "1", "b": "2"})
    assert (
        sdk.beta.environments.update(made.id, metadata={"a": "", "b": None}, description=None).metadata == {}
    )
    assert made.id in [one.id for one in sdk.beta.environments.list()]
    archived = sdk.checked(sdk.beta.environments.archive(made.id))
    assert archived.archived_at is not None
    assert made.id not in [one.id for one in sdk.beta.environments.list()]
    with pytest.raises(anthropic.BadRequestError, match=r"Environment env_\w+ is archived"):
        sdk.beta.environments.update(made.id, name="there")
    assert sdk.sent["error"]["details"] == {"error_code": "environment_archived"}
    gone = sdk.checked(sdk.beta.environments.delete(made.id))
    assert (gone.id, gone.type) == (made.id, "environment_deleted")
    with pytest.raises(anthropic.NotFoundError, match="Environment not found"):
        sdk.beta.environments.retrieve(made.id)
    assert sdk.sent["error"]["details"] == {"error_code": "environment_not_found"}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "moon"}, 'config.type: "moon" is not a valid value; expected one of cloud, self_hosted'),
        (
            {"type": "cloud", "networking": {"type": "limited"}},
            "config.networking.type: limited needs a cage",
        ),
        (
            {"type": "cloud", "packages": {"pip": ["numpy"]}},
            "config.packages.pip: this server installs no packages",
        ),
        ({"type": "cloud", "packages": {"brew": ["x"]}}, "config.packages.brew: unknown field"),
    ],
)
def test_what_can_not_be_kept_to_is_refused(sdk: Sdk, config: Any, words: str) -> None:
    with pytest.raises(anthropic.BadRequestError):
        sdk.beta.environments.create(name="here", config=config)
    assert words in sdk.sent["error"]["message"]


def test_only_operators_share_an_environment(company: Server) -> None:
    with (
        Sdk(company, "olga-has-this-token") as olga,
        Sdk(company, "ann-has-this-token") as ann,
        Sdk(company, "ben-has-this-token") as ben,
    ):
        common, private = olga.beta.environments.create(name="c"), ann.beta.environments.create(name="p")
        assert (common.scope, private.scope) == ("organization", "account")
        assert [one.id for one in ben.beta.environments.list()] == [common.id]
        with pytest.raises(anthropic.NotFoundError):
            ben.beta.environments.delete(private.id)
        with pytest.raises(anthropic.PermissionDeniedError):
            ann.beta.environments.create(name="x", scope="organization")
        with pytest.raises(anthropic.PermissionDeniedError):
            ben.beta.environments.delete(common.id)


def test_a_cage_keeps_all_hosts_out_and_no_fewer(tmp_path: Path, stand_in: OfflineServer) -> None:
    limited: Any = {"type": "cloud", "networking": {"type": "limited"}}
    server = build(make_settings(tmp_path, stand_in.url, sandbox="bubblewrap"))
    with Sdk(server, "anything") as sdk:
        made = sdk.checked(sdk.beta.environments.create(name="here", config=limited))
        kept = sdk.checked(sdk.beta.environments.update(made.id, config={"type": "cloud"}))
        assert sdk.sent["config"]["networking"] == {
            "type": "limited",
            "allowed_hosts": [],
            "allow_mcp_servers": False,
            "allow_package_managers": False,
        }
        for name, value in (("allowed_hosts", ["a.org"]), ("allow_package_managers", True)):
            some: Any = {"type": "cloud", "networking": {"type": "limited", name: value}}
            with pytest.raises(anthropic.BadRequestError, match=f"config.networking.{name}"):
                sdk.beta.environments.update(kept.id, config=some)
        agent = sdk.beta.agents.create(name="Plain", model="claude-sonnet-5-5")
        assert sdk.beta.sessions.create(agent=agent.id, environment_id=made.id).status == "idle"
        with_server = sdk.beta.agents.create(
            name="S",
            model="claude-sonnet-5-5",
            tools=[{"type": "mcp_toolset", "mcp_server_name": "s"}],
            mcp_servers=[{"type": "url", "name": "s", "url": "https://s.example.com"}],
        )
        with pytest.raises(
            anthropic.BadRequestError, match=r"agent.tools.0.mcp_toolset: .* keeps all hosts out"
        ):
            sdk.beta.sessions.create(agent=with_server.id, environment_id=made.id)
    server.close()
    without = build(make_settings(tmp_path, stand_in.url))
    refused = pytest.raises(anthropic.BadRequestError, match=r"environment_id.*BATON_SANDBOX")
    with Sdk(without, "anything") as sdk, refused:
        sdk.beta.sessions.create(agent=agent.id, environment_id=made.id)
    without.close()


@pytest.mark.parametrize(("networking", "network"), [("limited", False), ("unrestricted", True)])
def test_a_sessions_commands_have_the_network_of_its_environment(networking: str, network: bool) -> None:
    tools = [
        {
            "type": "agent_toolset_20260401",
            "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}},
            "configs": [],
        }
    ]
    agent = {"model": {"id": "m", "effort": None}, "tools": tools, "description": None, "system": None}
    team = team_of("sesn_x", agent, networking=networking)
    (toolset,) = team.agents[0].toolsets
    assert toolset.network is network
