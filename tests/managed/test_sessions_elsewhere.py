"""Sessions of Baton's own door whose agent file names a self-hosted environment: workers make the calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import NotFoundError
from sqlalchemy import update

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.agent_catalogue import file_id
from app.managed.id_validation import number_of
from app.managed.run_answers import RunAnswers
from app.managed.teams import key_of
from app.managed.work import WorkEnds
from app.store.managed_tables import work_items
from tests.conftest import held_by, make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import listed
from tests.managed.self_hosted import BASH, READ, RESULT, environment_of, new_session, result
from tests.managed.test_self_hosted import given
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import ASK, call, waiting
from tests.managed.work_story import token_of, work

TEAM = """
permissions: {allow: ["bash:command=date"], deny: ["bash:command=rm*"]}
agents:
  coder:
    model: anthropic/claude-sonnet-5-5
    environment: elsewhere
    toolsets:
      - {type: think}
      - {type: agent_toolset, tools: [bash, read, web_fetch]}
"""
PLAIN = "agents: {root: {model: anthropic/claude-sonnet-5-5}}"


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "coder.yaml").write_text(TEAM)
    (tmp_path / "agents" / "other.yaml").write_text(TEAM.replace("coder", "other"))
    (tmp_path / "agents" / "plain.yaml").write_text(PLAIN)
    settings = make_settings(tmp_path, model.url, agents=tmp_path / "agents", database_url=database_url)
    built = build(settings)
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


@pytest.fixture
def environment(sdk: Sdk) -> str:
    return environment_of(sdk)


def begun(local: LocalClient, said: str, session: str = "", *, agent: str = "coder") -> str:
    """A session in which this was said."""
    session = session or local.new_session()
    body = [{"role": "user", "content": said}]
    local.call("POST", f"/api/sessions/{session}/agent/{agent}?stream=false", body, expect=202)
    return session


def asked(local: LocalClient, session: str, kind: str, tool: str) -> dict[str, Any]:
    """What the session's run waits for, once it does."""

    def question() -> dict[str, Any]:
        (run,) = local.call("GET", f"/api/runs?session={session}")
        return dict(run.get("waiting_for") or {})

    eventually(lambda: (question().get("kind"), question().get("tool")) == (kind, tool), f"{kind}: {tool}")
    return question()


def status(local: LocalClient, session: str) -> str:
    """That of its newest run."""
    return str(local.call("GET", f"/api/runs?session={session}&all=true")[0]["status"])


def until_ended(local: LocalClient, session: str, how: str) -> None:
    eventually(lambda: status(local, session) == how, f"the run is {how}")


def answer(local: LocalClient, session: str, **said: Any) -> None:
    local.call("POST", f"/api/sessions/{session}/resume", said)


def test_a_worker_makes_the_calls_of_a_session(
    server: Server, sdk: Sdk, local: LocalClient, model: OfflineServer, environment: str
) -> None:
    """Each once, and after the approval that the file's permissions want."""
    session = begun(local, f"{BASH}{READ}{call('think', thought='x')}[then][say Done.]")
    asked(local, session, "approval", "bash")
    made: list[str] = []
    assert not work(server, environment, made.append)
    answer(local, session, confirmation="approve")
    waits = asked(local, session, "elicitation", "bash")
    assert waits["message"].startswith("A worker of the session's environment has to run the tool bash:")
    assert work(server, environment, made.append, lambda: status(local, session) == "finished")
    key = key_of(session)
    uses = {one.id: one.name for one in listed(sdk, key, "agent.tool_use")}
    assert [uses[use] for use in made] == ["bash", "read"]
    assert given(model)[:2] == [f"Result of {use}." for use in made]
    confirmed = [one.tool_use_id for one in listed(sdk, key, "user.tool_confirmation")]
    assert confirmed == made
    shown = sdk.checked(sdk.beta.sessions.retrieve(key))
    assert (shown.environment_id, shown.agent.id, shown.status) == (environment, file_id("coder"), "idle")
    sdk.checked(sdk.beta.sessions.events.list(key))


def test_permissions_decide_when_a_call_is_made(
    server: Server, sdk: Sdk, local: LocalClient, model: OfflineServer, environment: str
) -> None:
    """Some calls run unasked, some never, and a rejected one has its result before a worker could begin it."""
    calls = call("bash", command="rm -r x") + BASH + call("bash", command="date")
    session = begun(local, f"{calls}[then][say Done.]")
    asked(local, session, "approval", "bash")
    answer(local, session, confirmation="reject", reason="No.")
    asked(local, session, "elicitation", "bash")
    made: list[str] = []
    assert work(server, environment, made.append, lambda: status(local, session) == "finished")
    denied, rejected, run = given(model)
    assert "denied" in denied or "not allowed" in denied, denied
    assert rejected.startswith("The user rejected the tool call.")
    assert run == f"Result of {made[0]}."
    uses = [one.id for one in listed(sdk, key_of(session), "agent.tool_use")]
    results = {one.tool_use_id: one for one in listed(sdk, key_of(session), RESULT)}
    assert (list(results), made) == (uses, uses[2:])
    assert [results[use].is_error for use in uses[:2]] == [True, True]


def test_changed_arguments_reach_no_worker(
    server: Server, sdk: Sdk, local: LocalClient, model: OfflineServer, environment: str
) -> None:
    session = begun(local, f"{BASH}[then][say Done.]")
    question = asked(local, session, "approval", "bash")
    changed = {"call_id": question["call_id"], "arguments": {"command": "ls"}}
    answer(local, session, confirmation="approve", **changed)
    until_ended(local, session, "finished")
    assert "its arguments were changed" in given(model)[0]
    assert not work(server, environment, lambda _use: None)
    (closed,) = listed(sdk, key_of(session), RESULT)
    assert closed.is_error
    assert listed(sdk, key_of(session), "user.tool_confirmation") == []


def test_a_client_of_the_other_door_approves_rejects_and_goes_on(
    server: Server, sdk: Sdk, local: LocalClient, model: OfflineServer, environment: str
) -> None:
    session = begun(local, f"{BASH}{BASH}[then][say Done.]")
    asked(local, session, "approval", "bash")
    key = key_of(session)
    (first,) = waiting(sdk, key)
    said: Any = {"type": "user.tool_confirmation", "tool_use_id": first, "result": "allow"}
    sdk.beta.sessions.events.send(key, events=[said])
    asked(local, session, "elicitation", "bash")
    sdk.beta.sessions.events.send(key, events=[result(first)])
    (second,) = waiting(sdk, key, times=3)
    assert second != first
    denied: Any = {**said, "tool_use_id": second, "result": "deny"}
    sdk.beta.sessions.events.send(key, events=[denied])
    until_ended(local, session, "finished")
    assert given(model)[0] == "Linux"
    assert len(listed(sdk, key, "user.tool_confirmation")) == 2
    sdk.beta.sessions.events.send(key, events=[say("[say Again.]")])
    eventually(
        lambda: listed(sdk, key)[-1].type == "session.status_idle" and "Again." in str(listed(sdk, key)),
        "it goes on",
    )


def test_a_cancelled_call_and_a_lost_one_are_not_made_again(
    server: Server, sdk: Sdk, local: LocalClient, model: OfflineServer, environment: str
) -> None:
    key, date = sdk.beta.environments.work, call("bash", command="date")
    session = begun(local, f"{date}{READ}[then][say Done.]")
    asked(local, session, "elicitation", "bash")
    item = key.poll(environment)
    assert item is not None
    key.ack(item.id, environment_id=environment)
    with Sdk(server, token_of(item)) as worker:
        assert len(listed(worker, key_of(session), "agent.tool_use")) == 2
        with server.store.database.writing() as connection:
            connection.execute(update(work_items).values(lease_expires_at=1.0))
        WorkEnds(server.store, RunAnswers(server.store, server.control)).settle()
        asked(local, session, "elicitation", "read")
        with pytest.raises(anthropic.AuthenticationError):
            worker.beta.sessions.retrieve(key_of(session))
    (lost,) = listed(sdk, key_of(session), RESULT)
    assert lost.content[0].text.startswith("The outcome of this call is unknown: the worker")
    local.ask("POST", f"/api/sessions/{session}/cancel")
    until_ended(local, session, "cancelled")
    assert [one.is_error for one in listed(sdk, key_of(session), RESULT)] == [True, True]
    begun(local, "[say Still here.]", session)
    until_ended(local, session, "finished")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("none", "there is no environment elsewhere that the session's owner may use"),
        ("cloud", "elsewhere is not self_hosted"),
        ("two", "several are called elsewhere; name one by its id"),
        ("archived", "there is no environment elsewhere"),
    ],
)
def test_an_environment_that_can_not_be_used(sdk: Sdk, local: LocalClient, kind: str, words: str) -> None:
    match kind:
        case "cloud":
            sdk.beta.environments.create(name="elsewhere")
        case "two":
            environment_of(sdk)
            environment_of(sdk)
        case "archived":
            sdk.beta.environments.archive(environment_of(sdk))
    session = local.new_session()
    path = f"/api/sessions/{session}/agent/coder"
    refused = local.call("POST", path, [{"role": "user", "content": "x"}], expect=400)
    assert words in str(refused)
    with pytest.raises(anthropic.NotFoundError):
        sdk.beta.sessions.retrieve(key_of(session))


def test_a_session_stays_with_its_agent_file_and_its_tools(
    sdk: Sdk, local: LocalClient, environment: str, tmp_path: Path
) -> None:
    session = begun(local, "[say Hello.]")
    until_ended(local, session, "finished")
    body = [{"role": "user", "content": "[say Hello.]"}]
    refused = local.call("POST", f"/api/sessions/{session}/agent/other", body, expect=409)
    assert "begin another session" in str(refused)
    file = tmp_path / "agents" / "coder.yaml"
    file.write_text(file.read_text().replace("read, ", "read, grep, "))
    refused = local.call("POST", f"/api/sessions/{session}/agent/coder", body, expect=400)
    assert "other tools for its workers" in str(refused)


def test_the_other_door_makes_sessions_of_such_a_file_in_its_environment(
    server: Server, sdk: Sdk, local: LocalClient, environment: str
) -> None:
    cloud = sdk.beta.environments.create(name="here").id
    with pytest.raises(anthropic.BadRequestError, match="run in the environment elsewhere"):
        sdk.beta.sessions.create(agent=file_id("coder"), environment_id=cloud)
    shown = sdk.checked(sdk.beta.agents.retrieve(file_id("coder")))
    tools: Any = shown.tools
    assert [one.name for one in tools[0].configs] == ["bash", "read"]
    first: Any = [say(f"{call('bash', command='date')}[then][say Done.]")]
    key = sdk.beta.sessions.create(
        agent=file_id("coder"), environment_id=environment, initial_events=first
    ).id
    waiting(sdk, key)
    made: list[str] = []
    assert work(server, environment, made.append)
    until_idle(sdk, key, times=2)
    assert len(made) == 1


def test_the_environment_is_one_that_the_sessions_owner_may_use(tmp_path: Path, model: OfflineServer) -> None:
    (tmp_path / "coder.yaml").write_text(TEAM)
    names = ("olga/operator", "ann/user", "ben/user")
    tokens = [(name, f"{name.partition('/')[0]}-has-this-token") for name in names]
    settings = make_settings(tmp_path, model.url, agents=tmp_path / "coder.yaml", auth_tokens=tokens)
    server = build(settings)
    ann, ben, olga = (LocalClient(server, token=f"{name}-has-this-token") for name in ("ann", "ben", "olga"))
    body = [{"role": "user", "content": "[say Hello.]"}]
    with Sdk(server, "ann-has-this-token") as annas, Sdk(server, "olga-has-this-token") as olgas:
        environment = environment_of(annas)
        sessions = {one: one.new_session() for one in (ann, ben)}
        for caller in (ben, olga):  # whoever runs it, it is Ben's session
            path = f"/api/sessions/{sessions[ben]}/agent/coder"
            assert "that the session's owner may use" in str(caller.call("POST", path, body, expect=400))
        path = f"/api/sessions/{sessions[ann]}/agent/coder"
        assert "not found" in str(ben.call("POST", path, body, expect=404))
        stale = {"If-Match": "7"}
        ann.call("POST", path, body, expect=412, headers=stale)
        with pytest.raises(NotFoundError):  # a refused request has changed nothing
            annas.beta.sessions.retrieve(key_of(sessions[ann]))
        begun(ann, "[say Hello.]", sessions[ann])
        until_ended(ann, sessions[ann], "finished")
        assert annas.beta.sessions.retrieve(key_of(sessions[ann])).environment_id == environment
        shared: Any = {"config": {"type": "self_hosted"}, "scope": "organization"}
        olgas.beta.environments.create(name="elsewhere", **shared)
        begun(ben, "[say Hello.]", sessions[ben])
        until_ended(ben, sessions[ben], "finished")
    server.close()


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_call_of_the_other_door_is_confirmed_by_an_approval_here(
    server: Server, sdk: Sdk, local: LocalClient, model: OfflineServer, environment: str, is_changed: bool
) -> None:
    """One that is approved with other arguments is not made."""
    policy: Any = {"permission_policy": ASK}
    key = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment, default_config=policy)
    waiting(sdk, key)
    session = number_of(key)
    question = asked(local, session, "approval", "bash")
    more: Any = {"call_id": question["call_id"], "arguments": {"command": "ls"}} if is_changed else {}
    answer(local, session, confirmation="approve", **more)
    made: list[str] = []
    if not is_changed:
        asked(local, session, "elicitation", "bash")
        assert work(server, environment, made.append)
    until_ended(local, session, "finished")
    assert [one.tool_use_id for one in listed(sdk, key, "user.tool_confirmation")] == made
    (only,) = listed(sdk, key, RESULT)
    assert (bool(only.is_error), len(made)) == (is_changed, 0 if is_changed else 1)


def test_a_fork_has_the_workers_too_and_another_agent_may_have_run_before(
    server: Server, sdk: Sdk, local: LocalClient, environment: str
) -> None:
    session, body = (
        begun(local, "[hold 1][say Hello there.]", agent="plain"),
        [{"role": "user", "content": "x"}],
    )
    path = f"/api/sessions/{session}/agent/coder"
    local.call("POST", path, body, expect=409)
    with pytest.raises(NotFoundError):  # a refused request has changed nothing
        sdk.beta.sessions.retrieve(key_of(session))
    assert "plain" in str(local.call("POST", f"{path}?when_busy=queue", body, expect=409))
    local.ask("POST", f"/api/sessions/{session}/cancel")  # 202, or 200 if that was soon enough
    until_ended(local, session, "cancelled")
    begun(local, "[say Hello.]", session)
    until_ended(local, session, "finished")
    copy = local.call("POST", f"/api/sessions/{session}/branches", {}, expect=201)["session"]["id"]
    begun(local, f"{call('bash', command='date')}[then][say Done.]", copy)
    asked(local, copy, "elicitation", "bash")
    made: list[str] = []
    assert work(server, environment, made.append)
    until_ended(local, copy, "finished")
    assert [one.id for one in listed(sdk, key_of(copy), "agent.tool_use")] == made
    begun(local, "[say Here.]", session, agent="plain")
    until_ended(local, session, "finished")
