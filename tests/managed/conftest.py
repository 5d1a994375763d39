"""The official SDK on a server of this process; each answer is held against the SDK's own types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx2
import pytest
from anthropic import Anthropic, BaseModel
from anthropic.types.beta import BetaManagedAgentsSession

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.managed.sdk_shapes import complaints

Connect = Callable[..., "Sdk"]
VAULT_KEY = "dGhlLWtleS1vZi10aGUtdGVzdHMtaXMtMzItYnl0ZXM="
Answer = TypeVar("Answer", bound=BaseModel)


class Sdk(Anthropic):
    """The SDK, which remembers what was sent to it last."""

    def __init__(self, server: Server, token: str) -> None:
        self.sent: Any = None

        def remember(response: httpx2.Response) -> None:
            response.read()
            is_json = response.headers["content-type"] == "application/json"
            self.status = response.status_code
            self.sent = json.loads(response.content) if is_json else response.content
            assert response.headers["request-id"].startswith("req_")

        transport = httpx2.WSGITransport(app=server.app)
        hooks: Any = {"response": [remember]}
        http = httpx2.Client(transport=transport, event_hooks=hooks)
        super().__init__(api_key=token, base_url="http://localhost", http_client=http, max_retries=0)

    def checked(self, answer: Answer) -> Answer:
        """The answer to the last request, which is exactly of its type: nothing too many, nothing missing."""
        assert list(complaints(self.sent, type(answer))) == []
        return answer


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    """A server without tokens."""
    server = build(make_settings(tmp_path_factory.mktemp("laptop"), stand_in.url, vault_keys=(VAULT_KEY,)))
    yield server
    server.close()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    """A server with an operator, two users and somebody who may only look."""
    tokens = [
        ("olga/operator", "olga-has-this-token"),
        ("ann/user", "ann-has-this-token"),
        ("ben/user", "ben-has-this-token"),
    ]
    tokens.append(("rita/readonly", "rita-has-this-token"))
    server = build(
        make_settings(
            tmp_path_factory.mktemp("company"), stand_in.url, auth_tokens=tokens, vault_keys=(VAULT_KEY,)
        )
    )
    yield server
    server.close()


@pytest.fixture
def sdk(laptop: Server) -> Iterator[Sdk]:
    with Sdk(laptop, "anything") as client:
        yield client


SessionMaker = Callable[..., BetaManagedAgentsSession]


@pytest.fixture
def new_session(sdk: Sdk) -> SessionMaker:
    """Makes sessions of an agent that has no tools."""
    agent = sdk.beta.agents.create(name="Plain", model="claude-sonnet-5-5")
    environment = sdk.beta.environments.create(name="here")

    def make(**more: Any) -> BetaManagedAgentsSession:
        return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id, **more)

    return make
