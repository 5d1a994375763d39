"""MCP servers in sessions, with credentials out of vaults, through the official SDK and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.policies import prefix_of
from app.managed_ids import number_in
from tests.agent.tools.test_mcp_remote import Site, running
from tests.agent.tools.web_site import WebSite
from tests.agent.tools.web_site import running as web_site
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import VAULT_KEY, Sdk
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, types, until_idle
from tests.managed.toolset_calls import call, confirm, events, waiting

TOKEN = "the-token-of-the-tool-server"
ALLOW: Any = {"permission_policy": {"type": "always_allow"}}
USE = ["span.model_request_start", "agent.mcp_tool_use", "span.model_request_end"]


@pytest.fixture(scope="module")
def running_site() -> Iterator[Site]:
    site = Site()
    with running("streamable", site):
        yield site


@pytest.fixture
def site(running_site: Site) -> Site:
    """A tool server that lets nobody in without the token."""
    running_site.token = TOKEN
    running_site.seen.clear()
    return running_site


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, vault_keys=(VAULT_KEY,)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


@pytest.fixture
def web() -> Iterator[WebSite]:
    with web_site() as web:
        yield web


def vault_with(sdk: Sdk, site: Site, token: str = TOKEN) -> str:
    vault = sdk.beta.vaults.create(display_name="v").id
    auth: Any = {"type": "static_bearer", "token": token, "mcp_server_url": f"{site.url.upper()}/mcp/"}
    sdk.beta.vaults.credentials.create(vault, auth=auth)
    return vault


def started(sdk: Sdk, url: str, said: str, *, vaults: Any = (), **toolset: Any) -> str:
    tools: Any = [{"type": "mcp_toolset", "mcp_server_name": "tools", **toolset}]
    servers: Any = [{"type": "url", "name": "tools", "url": url}]
    agent = sdk.beta.agents.create(name="A", model="claude-sonnet-5-5", tools=tools, mcp_servers=servers)
    environment = sdk.beta.environments.create(name="here")
    made = sdk.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, vault_ids=list(vaults), initial_events=[say(said)]
    )
    assert sdk.checked(made).vault_ids == list(vaults)
    return made.id


def errors(sdk: Sdk, session: str) -> list[tuple[str, str]]:
    found = [one.error for one in events(sdk, session, "session.error")]
    return [(one.type, one.mcp_server_name) for one in found]


def test_a_call_is_told_as_one_of_an_mcp_server(sdk: Sdk, site: Site) -> None:
    said = call("mcp__tools__echo", text="hi " + TOKEN) + "[then][say Done.]"
    session = started(sdk, f"{site.url}/mcp", said, vaults=[vault_with(sdk, site)], default_config=ALLOW)
    until_idle(sdk, session)
    assert types(sdk, session) == [
        *AROUND,
        "user.message",
        *USE,
        "agent.mcp_tool_result",
        *REQUEST,
        *IDLE,
    ]
    (use,), (result,) = (
        events(sdk, session, "agent.mcp_tool_use"),
        events(sdk, session, "agent.mcp_tool_result"),
    )
    assert (use.name, use.mcp_server_name, use.evaluated_permission) == ("echo", "tools", "allow")
    assert (result.mcp_tool_use_id, result.is_error) == (use.id, False)
    assert result.content[0].text == "hi [REDACTED]"


def test_a_call_waits_for_a_person_unless_the_agent_says_otherwise(sdk: Sdk, site: Site) -> None:
    said = f"{call('mcp__tools__echo', text='a')}{call('mcp__tools__where')}{call('mcp__tools__fail')}[then][say Done.]"
    configs: Any = [{"name": "where", **ALLOW}, {"name": "fail", "enabled": False}]
    session = started(sdk, f"{site.url}/mcp", said, vaults=[vault_with(sdk, site)], configs=configs)
    (asked,) = waiting(sdk, session)
    uses = {one.name: one for one in events(sdk, session, "agent.mcp_tool_use")}
    assert {name: one.evaluated_permission for name, one in uses.items()} == {
        "echo": "ask",
        "where": "allow",
        "fail": "deny",
    }
    assert uses["echo"].id == asked
    sdk.beta.sessions.events.send(session, events=[confirm(asked, "deny", deny_message="Not now.")])
    until_idle(sdk, session, times=2)
    results = {one.mcp_tool_use_id: one for one in events(sdk, session, "agent.mcp_tool_result")}
    denied = results[asked]
    assert denied.is_error
    assert "Not now." in denied.content[0].text
    assert not results[uses["where"].id].is_error
    assert results[uses["fail"].id].is_error
    tools = site.seen
    assert all(one.get("authorization") == f"Bearer {TOKEN}" for one in tools)


def test_a_new_token_counts_for_a_session_that_runs_already(sdk: Sdk, site: Site) -> None:
    wrong = vault_with(sdk, site, token="no-longer-the-right-one")
    session = started(
        sdk, f"{site.url}/mcp", "[say Hello.]", vaults=[sdk.beta.vaults.create(display_name="e").id, wrong]
    )
    until_idle(sdk, session)
    assert errors(sdk, session) == [("mcp_authentication_failed_error", "tools")]
    assert types(sdk, session) == [*AROUND, "user.message", "session.error", *REQUEST, *IDLE]
    (credential,) = sdk.beta.vaults.credentials.list(wrong)
    auth: Any = {"type": "static_bearer", "token": TOKEN}
    sdk.beta.vaults.credentials.update(credential.id, vault_id=wrong, auth=auth)
    again = call("mcp__tools__echo", text="hi") + "[then][say Done.]"
    sdk.beta.sessions.events.send(session, events=[say(again)])
    (use,) = waiting(sdk, session, times=2)
    site.token = "rotated-while-it-waits"
    sdk.beta.vaults.credentials.update(
        credential.id, vault_id=wrong, auth={"type": "static_bearer", "token": site.token}
    )
    sdk.beta.sessions.events.send(session, events=[confirm(use)])
    until_idle(sdk, session, times=3)
    (result,) = events(sdk, session, "agent.mcp_tool_result")
    assert result.content[0].text == "hi"
    assert len(errors(sdk, session)) == 1


def test_a_credential_that_is_archived_counts_no_more_in_the_same_turn(sdk: Sdk, site: Site) -> None:
    vault = vault_with(sdk, site)
    said = call("mcp__tools__echo", text="hi") + "[then][say Done.]"
    session = started(sdk, f"{site.url}/mcp", said, vaults=[vault])
    (use,) = waiting(sdk, session)
    sdk.beta.vaults.archive(vault)
    sdk.beta.sessions.events.send(session, events=[confirm(use)])
    until_idle(sdk, session, times=2)
    (result,) = events(sdk, session, "agent.mcp_tool_result")
    assert result.is_error
    assert "HTTP 401" in result.content[0].text
    assert errors(sdk, session) == [("mcp_authentication_failed_error", "tools")]
    assert events(sdk, session, "agent.message")[0].content[0].text == "Done."


def test_a_server_asks_a_sessions_client_nothing(sdk: Sdk, site: Site) -> None:
    site.token = ""  # nor does it ask for a token
    said = call("mcp__tools__ask") + "[then][say Done.]"
    session = started(sdk, f"{site.url}/mcp", said, default_config=ALLOW)
    until_idle(sdk, session)
    (result,) = events(sdk, session, "agent.mcp_tool_result")
    assert result.content[0].text == "none: decline"


def test_a_server_that_can_not_be_had_is_left_out(sdk: Sdk, site: Site, web: WebSite) -> None:
    gone = started(sdk, "http://127.0.0.1:1/mcp", "[say Hello.]", vaults=[vault_with(sdk, site)])
    web.add("/mcp", status=403)
    forbidden = started(sdk, web.url("/mcp"), "[say Hello.]")
    vault = vault_with(sdk, site)
    (credential,) = sdk.beta.vaults.credentials.list(vault)
    sdk.beta.vaults.credentials.archive(credential.id, vault_id=vault)
    without = started(sdk, f"{site.url}/mcp", "[say Hello.]", vaults=[vault])
    for session, kind, words in (
        (forbidden, "mcp_authentication_failed_error", "HTTP 403"),
        (gone, "mcp_connection_failed_error", "can't be reached"),
        (
            without,
            "mcp_authentication_failed_error",
            "HTTP 401; the session's vaults have no credential for it",
        ),
    ):
        until_idle(sdk, session)
        assert errors(sdk, session) == [(kind, "tools")]
        (told,) = events(sdk, session, "session.error")
        assert (words in told.error.message, told.error.retry_status.type) == (True, "exhausted")
        assert events(sdk, session, "agent.message")[0].content[0].text == "Hello."
        assert events(sdk, session, "session.status_idle")[0].stop_reason.type == "end_turn"


def test_a_call_that_is_interrupted_has_its_result(sdk: Sdk, site: Site) -> None:
    said = call("mcp__tools__hang") + "[then][say Never.]"
    session = started(sdk, f"{site.url}/mcp", said, vaults=[vault_with(sdk, site)], default_config=ALLOW)
    eventually(lambda: len(events(sdk, session, "agent.mcp_tool_use")) == 1, "the call is under way")
    interrupt: Any = {"type": "user.interrupt"}
    sdk.beta.sessions.events.send(session, events=[interrupt])
    until_idle(sdk, session)
    (use,), (result,) = (
        events(sdk, session, "agent.mcp_tool_use"),
        events(sdk, session, "agent.mcp_tool_result"),
    )
    assert (result.mcp_tool_use_id, result.is_error) == (use.id, True)
    assert events(sdk, session, "agent.tool_result") == []


def test_a_call_whose_run_is_taken_away_has_an_unknown_outcome(sdk: Sdk, server: Server, site: Site) -> None:
    said = call("mcp__tools__hang") + "[then][say Never.]"
    session = started(sdk, f"{site.url}/mcp", said, vaults=[vault_with(sdk, site)], default_config=ALLOW)
    eventually(lambda: len(events(sdk, session, "agent.mcp_tool_use")) == 1, "the call is under way")
    eventually(lambda: server.store.journal.ledger(str(number_in("sesn", session))), "the call has begun")
    (live,) = server.runtime.runs.all()
    server.control.release(live.run.id, by="test", reason="")
    until_idle(sdk, session)
    (use,), (result,) = (
        events(sdk, session, "agent.mcp_tool_use"),
        events(sdk, session, "agent.mcp_tool_result"),
    )
    assert (result.mcp_tool_use_id, result.is_error) == (use.id, True)


def test_an_interrupt_waits_for_no_server_and_leaves_no_message_for_the_next_run(
    sdk: Sdk, web: WebSite
) -> None:
    over = Event()

    def hold(_request: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    web.pages["/mcp"] = hold
    session = started(sdk, web.url("/mcp"), "Are you there?")
    eventually(lambda: web.asked, "the server is asked")
    interrupt: Any = {"type": "user.interrupt"}
    sdk.beta.sessions.events.send(session, events=[interrupt])
    until_idle(sdk, session)
    assert errors(sdk, session) == []
    assert events(sdk, session, "session.status_idle")[0].stop_reason.type == "end_turn"
    (message,) = events(sdk, session, "user.message")
    assert message.processed_at is not None
    over.set()
    sdk.beta.sessions.events.send(session, events=[say("[say Hello.]")])
    until_idle(sdk, session, times=2)
    assert [one.content[0].text for one in events(sdk, session, "agent.message")] == ["Hello."]
    assert len(events(sdk, session, "session.status_running")) == 2


def test_a_session_gets_another_server_while_it_is_idle(sdk: Sdk, site: Site) -> None:
    session = started(sdk, "http://127.0.0.1:1/mcp", "[say Hello.]", vaults=[vault_with(sdk, site)])
    until_idle(sdk, session)
    given: Any = {
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "The Other", "default_config": ALLOW}],
        "mcp_servers": [{"type": "url", "name": "The Other", "url": f"{site.url}/mcp"}],
    }
    sdk.checked(sdk.beta.sessions.update(session, agent=given))
    said = call(f"{prefix_of('The Other')}echo", text="hi") + "[then][say Done.]"
    sdk.beta.sessions.events.send(session, events=[say(said)])
    until_idle(sdk, session, times=2)
    (use,), (result,) = (
        events(sdk, session, "agent.mcp_tool_use"),
        events(sdk, session, "agent.mcp_tool_result"),
    )
    assert (use.name, use.mcp_server_name) == ("echo", "The Other")
    assert result.content[0].text == "hi"
    assert len(errors(sdk, session)) == 1


def test_another_server_goes_on_with_calls_and_without_the_key_says_so(
    tmp_path: Path, model: OfflineServer, site: Site
) -> None:
    settings = make_settings(tmp_path, model.url, vault_keys=(VAULT_KEY,))
    said = call("mcp__tools__echo", text="hi") + call("mcp__tools__where") + "[then][say Done.]"
    configs: Any = [{"name": "where", **ALLOW}]
    first = build(settings)
    with Sdk(first, "anything") as sdk:
        session = started(sdk, f"{site.url}/mcp", said, vaults=[vault_with(sdk, site)], configs=configs)
        (use,) = waiting(sdk, session)
    first.close()
    second = build(settings)
    with Sdk(second, "anything") as sdk:
        sdk.beta.sessions.events.send(session, events=[confirm(use)])
        until_idle(sdk, session, times=2)
        uses = [one.id for one in events(sdk, session, "agent.mcp_tool_use")]
        results = events(sdk, session, "agent.mcp_tool_result")
        assert sorted(one.mcp_tool_use_id for one in results) == sorted(uses)
        assert [one.is_error for one in results] == [False, False]
        assert events(sdk, session, "agent.tool_result") == []
    second.close()
    third = build(make_settings(tmp_path, model.url))
    with Sdk(third, "anything") as sdk:
        sdk.beta.sessions.events.send(session, events=[say("[say Here again.]")])
        until_idle(sdk, session, times=3)
        (told,) = events(sdk, session, "session.error")
        assert (told.error.type, "has no BATON_VAULT_KEY" in told.error.message) == (
            "mcp_authentication_failed_error",
            True,
        )
    third.close()


def test_users_reach_no_server_inside_the_network(tmp_path: Path, model: OfflineServer, site: Site) -> None:
    tokens = [("ann/user", "ann-has-this-token")]
    server = build(make_settings(tmp_path, model.url, auth_tokens=tokens, vault_keys=(VAULT_KEY,)))
    with Sdk(server, "ann-has-this-token") as sdk:
        session = started(sdk, f"{site.url}/mcp", "[say Hello.]", vaults=[vault_with(sdk, site)])
        until_idle(sdk, session)
        (told,) = events(sdk, session, "session.error")
        assert told.error.type == "mcp_connection_failed_error"
        assert "127.0.0.1 is not a public address" in told.error.message
    server.close()
    assert site.seen == []
