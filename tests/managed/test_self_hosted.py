"""Sessions in environments of the type self_hosted: their toolset's calls are made elsewhere, and wait for results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import CALL, WEATHER
from tests.managed.custom_calls import result as custom_result
from tests.managed.self_hosted import BASH, READ, RESULT, environment_of, new_session, result
from tests.managed.test_sessions import say, types, until_idle
from tests.managed.toolset_calls import ASK, TOOLSET, call, confirm, events, waiting


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, database_url=database_url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def given(model: OfflineServer) -> list[str]:
    """The results in the last request to the model."""
    last = model.requests[-1]["messages"][-1]["content"]
    return [block["content"] for block in last if block["type"] == "tool_result"]


def send(sdk: Sdk, session: str, *sent: Any) -> Any:
    return sdk.checked(sdk.beta.sessions.events.send(session, events=list(sent)))


def test_calls_wait_for_their_results_and_run_nowhere_here(
    sdk: Sdk, model: OfflineServer, tmp_path: Path
) -> None:
    session = new_session(sdk, f"{BASH}{READ}[then][say Done.]")
    first, second = waiting(sdk, session)
    uses = events(sdk, session, "agent.tool_use")
    assert [(use.id, use.name, use.evaluated_permission) for use in uses] == [
        (first, "bash", "allow"),
        (second, "read", "allow"),
    ]
    assert uses[0].evaluation.type == "always_allow"
    assert not (tmp_path / "w" / "environments").exists()
    offered = {tool["name"]: tool for tool in model.requests[0]["tools"]}
    assert list(offered["bash"]["input_schema"]["properties"]) == ["command", "restart", "timeout_ms"]
    assert {"web_fetch", "web_search", "edit"} <= set(offered)
    sent = send(sdk, session, result(second, "text"))
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    with pytest.raises(anthropic.BadRequestError, match=first):
        send(sdk, session, say("Hello?"))
    send(sdk, session, result(first, is_error=True))
    until_idle(sdk, session, times=2)
    assert given(model) == ["Linux", "text"]
    again = send(sdk, session, result(second, "another"))
    assert again.data[0].id == sent.data[0].id
    assert again.data[0].content[0].text == "text"
    assert [one.tool_use_id for one in events(sdk, session, RESULT)] == [second, first]
    assert "agent.tool_result" not in types(sdk, session)
    assert events(sdk, session, "session.status_idle")[-1].stop_reason.type == "end_turn"


def test_a_call_that_is_asked_about_waits_for_the_word_and_then_for_the_result(
    sdk: Sdk, model: OfflineServer
) -> None:
    session = new_session(sdk, f"{BASH}{READ}[then][say Done.]", default_config={"permission_policy": ASK})
    first, second = waiting(sdk, session)
    with pytest.raises(anthropic.BadRequestError, match=r"waits for a user\.tool_confirmation"):
        send(sdk, session, result(first))
    send(sdk, session, confirm(first))
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    send(sdk, session, confirm(second))
    assert sorted(waiting(sdk, session, times=2)) == sorted([first, second])
    send(sdk, session, result(first))
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    send(sdk, session, result(second, "text"))
    until_idle(sdk, session, times=3)
    assert given(model) == ["Linux", "text"]
    with pytest.raises(anthropic.BadRequestError, match="decided already"):
        send(sdk, session, confirm(first))


def test_a_denied_call_needs_no_result(sdk: Sdk, model: OfflineServer) -> None:
    session = new_session(
        sdk, f"{BASH}{READ}[then][say Done.]", configs=[{"name": "bash", "permission_policy": ASK}]
    )
    asked, free = waiting(sdk, session)
    send(sdk, session, confirm(asked, "deny", deny_message="No."), result(free, "text"))
    until_idle(sdk, session, times=2)
    assert given(model) == [
        "Permission to use bash has been rejected. Rejection message: No.",
        "text",
    ]
    assert [one.tool_use_id for one in events(sdk, session, "agent.tool_result")] == [asked]
    with pytest.raises(anthropic.BadRequestError, match="was denied"):
        send(sdk, session, result(asked))


def test_confirmation_and_result_may_come_at_once_before_the_session_waits(
    sdk: Sdk, model: OfflineServer
) -> None:
    tools: Any = [{"type": TOOLSET, "default_config": {"permission_policy": ASK}}, WEATHER]
    session = new_session(sdk, f"{CALL}{BASH}[then][say Done.]", tools=tools)
    custom, bash = waiting(sdk, session)
    send(sdk, session, confirm(bash), result(bash), custom_result(custom))
    until_idle(sdk, session, times=2)
    assert given(model) == ["Rain.", "Linux"]


def test_an_interrupt_gives_each_call_a_result_that_a_worker_looks_for(sdk: Sdk) -> None:
    session = new_session(sdk, f"{BASH}{READ}[then][say Done.]")
    uses = waiting(sdk, session)
    send(sdk, session, {"type": "user.interrupt"})
    until_idle(sdk, session, times=2)
    closed = events(sdk, session, RESULT)
    assert [one.tool_use_id for one in closed] == uses
    assert all(one.is_error for one in closed)
    late = send(sdk, session, result(uses[0]))
    assert late.data[0].id == closed[0].id
    assert late.data[0].is_error


def test_what_is_no_call_of_a_worker_takes_no_result(sdk: Sdk) -> None:
    tools: Any = [{"type": TOOLSET, "configs": [{"name": "grep", "enabled": False}]}, WEATHER]
    session = new_session(sdk, f"{call('grep', pattern='x')}{CALL}[then][say Done.]", tools=tools)
    (custom,) = waiting(sdk, session)
    (denied,) = events(sdk, session, "agent.tool_use")
    cloud = sdk.beta.environments.create(name="here").id
    there = new_session(sdk, environment=cloud)
    for where, use, words in (
        (session, denied.id, "was denied"),
        (session, custom, "no tool use"),
        (session, "sevt_x", "no tool use"),
        (there, denied.id, "only sessions in environments of the type self_hosted"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=words):
            send(sdk, where, result(use))
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"type": RESULT}, "tool_use_id: field is required"),
        (result(custom, x=1), "x: unknown field"),
        ({"type": RESULT, "tool_use_id": 7}, "tool_use_id"),
        ({"type": RESULT, "tool_use_id": custom, "content": [{"type": "x"}]}, "not a valid value"),
    ]
    for body, words in bodies:
        with pytest.raises(anthropic.BadRequestError, match=words):
            send(sdk, session, body)


def test_an_environment_goes_when_no_session_needs_its_workers(sdk: Sdk) -> None:
    environment = environment_of(sdk)
    archived, deleted = (new_session(sdk, environment=environment) for _ in range(2))
    for before in (lambda: sdk.beta.sessions.archive(archived), lambda: sdk.beta.sessions.delete(deleted)):
        with pytest.raises(anthropic.BadRequestError, match="archive or delete them first"):
            sdk.beta.environments.delete(environment)
        before()
    sdk.checked(sdk.beta.environments.delete(environment))
    sdk.checked(sdk.beta.sessions.retrieve(archived))


def test_environments_of_both_kinds_have_their_own_config(sdk: Sdk) -> None:
    made = sdk.checked(sdk.beta.environments.retrieve(environment_of(sdk)))
    assert sdk.sent["config"] == {"type": "self_hosted"}
    sdk.checked(sdk.beta.environments.update(made.id, config={"type": "self_hosted"}, name="new"))
    with pytest.raises(anthropic.BadRequestError, match="can't be changed"):
        sdk.beta.environments.update(made.id, config={"type": "cloud"})
    wrong: Any = {"type": "self_hosted", "packages": {}}
    with pytest.raises(anthropic.BadRequestError, match=r"config\.packages: unknown field"):
        sdk.beta.environments.create(name="x", config=wrong)
