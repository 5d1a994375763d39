"""Tool servers that users have named."""

from __future__ import annotations

from collections.abc import Sequence

from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.mcp.vault_access import VaultCredentials
from tests.harness.process import eventually


class Vaults:
    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    def token(self, vault_ids: Sequence[str], url: str, *, refused: str = "") -> str:
        return self.tokens.pop(0) if self.tokens else ""


def test_few_servers_are_kept_that_nobody_uses() -> None:
    servers = ToolServers(patience=ServerTimeouts(retry=0.0), vaults=Vaults(), idle_of_users=1)
    addresses = [
        ServerAddress.of_vaults("http://127.0.0.1:1/", [vault], owner="", public_only=True) for vault in "abc"
    ]
    made = [servers.acquire(address) for address in addresses]
    for address in addresses:
        servers.release(address)
    eventually(lambda: [one.has_ended for one in made] == [True, True, False], "the oldest two have ended")
    assert not servers.failing
    servers.close()
    assert all(one.has_ended for one in made)


def test_tokens_that_a_server_was_sent_are_masked_wherever_they_stand() -> None:
    credentials = VaultCredentials(Vaults("first-token", "second-token", "short"), ["v"], "http://a.org")
    assert credentials.masked("first-token") == "first-token"
    assert [credentials.token(), credentials.token(refused="first-token"), credentials.token()] == [
        "first-token",
        "second-token",
        "short",
    ]
    said = {"a first-token": ["x second-token y", 7, None, ("first-token",)], "b": "short"}
    assert credentials.masked(said) == {
        "a [REDACTED]": ["x [REDACTED] y", 7, None, ["[REDACTED]"]],
        "b": "short",
    }
