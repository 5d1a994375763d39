"""Calls that wait for a person, are interrupted or lose their server, through the official SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import StartBaton, held_by, make_settings
from tests.harness.gate import Gate
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import IDLE, say, types, until_idle
from tests.managed.toolset_calls import ASK, TOOLSET, call, confirm, events, results, started, waiting


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    """Once with each kind of database."""
    built = build(make_settings(tmp_path, model.url, database_url=database_url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def test_a_call_waits_for_a_person_who_allows_it(sdk: Sdk) -> None:
    session = started(
        sdk, call("bash", command="echo ran") + "[then][say Done.]", default_config={"permission_policy": ASK}
    )
    (use,) = waiting(sdk, session.id)
    (event,) = events(sdk, session.id, "agent.tool_use")
    assert (event.id, event.evaluated_permission) == (use, "ask")
    assert sdk.beta.sessions.retrieve(session.id).status == "idle"
    sdk.checked(sdk.beta.sessions.events.send(session.id, events=[confirm(use)]))
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("ran", False)]
    told = types(sdk, session.id)
    answered = told.index("user.tool_confirmation")
    assert told[answered : answered + 4] == [
        "user.tool_confirmation",
        "session.status_running",
        "session.thread_status_running",
        "agent.tool_result",
    ]
    with pytest.raises(anthropic.BadRequestError, match="decided already"):
        sdk.beta.sessions.events.send(session.id, events=[confirm(use)])


def test_a_call_is_denied_with_the_persons_words(sdk: Sdk) -> None:
    session = started(
        sdk,
        call("bash", command="touch ran") + "[then]" + call("glob", pattern="*") + "[then][say Done.]",
        configs=[{"name": "bash", "permission_policy": ASK}],
    )
    (use,) = waiting(sdk, session.id)
    sdk.beta.sessions.events.send(session.id, events=[confirm(use, "deny", deny_message="Not on a Friday.")])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [
        ("Permission to use bash has been rejected. Rejection message: Not on a Friday.", True),
        ("no matches", False),
    ]


def test_a_call_is_denied_without_words(sdk: Sdk) -> None:
    session = started(
        sdk,
        call("bash", command="touch ran") + "[then][say Done.]",
        default_config={"permission_policy": ASK},
    )
    (use,) = waiting(sdk, session.id)
    sdk.beta.sessions.events.send(session.id, events=[confirm(use, "deny")])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("Permission to use bash has been rejected.", True)]


def test_auto_waits_since_nobody_here_judges(sdk: Sdk) -> None:
    auto = {"permission_policy": {"type": "auto"}}
    session = started(sdk, call("glob", pattern="*") + "[then][say Done.]", default_config=auto)
    (use,) = waiting(sdk, session.id)
    (event,) = events(sdk, session.id, "agent.tool_use")
    assert (event.evaluated_permission, event.evaluation.evaluated_permission.reason_code) == (
        "ask",
        "indeterminate",
    )
    sdk.beta.sessions.events.send(session.id, events=[confirm(use)])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("no matches", False)]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("backward", [True, False])
def test_two_calls_of_a_turn_are_both_answered_before_it_goes_on(
    sdk: Sdk, at_once: bool, backward: bool
) -> None:
    said = call("bash", command="echo 1") + call("bash", command="echo 2") + "[then][say Done.]"
    session = started(sdk, said, default_config={"permission_policy": ASK})
    uses = waiting(sdk, session.id)
    assert uses == [one.id for one in events(sdk, session.id, "agent.tool_use")]
    answers = [confirm(use) for use in uses]
    if backward:
        answers.reverse()
    if at_once:
        sdk.beta.sessions.events.send(session.id, events=answers)
    else:
        sdk.beta.sessions.events.send(session.id, events=answers[:1])
        assert sdk.beta.sessions.retrieve(session.id).status == "idle"
        assert events(sdk, session.id, "agent.tool_result") == []
        sdk.beta.sessions.events.send(session.id, events=answers[1:])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("1", False), ("2", False)]
    assert types(sdk, session.id).count("session.status_running") == 2


def test_an_allowed_call_beside_an_asked_one_runs(sdk: Sdk) -> None:
    said = call("glob", pattern="*") + call("bash", command="echo 2") + "[then][say Done.]"
    session = started(sdk, said, configs=[{"name": "bash", "permission_policy": ASK}])
    uses = waiting(sdk, session.id)
    assert uses == [events(sdk, session.id, "agent.tool_use")[1].id]
    sdk.beta.sessions.events.send(session.id, events=[confirm(uses[0])])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("no matches", False), ("2", False)]


def test_a_message_while_a_call_waits_is_refused(sdk: Sdk) -> None:
    session = started(
        sdk, call("bash", command="echo 1") + "[then][say Done.]", default_config={"permission_policy": ASK}
    )
    (use,) = waiting(sdk, session.id)
    with pytest.raises(anthropic.BadRequestError, match=use):
        sdk.beta.sessions.events.send(session.id, events=[say("Hello?")])


def test_an_interrupt_closes_the_calls_that_wait(sdk: Sdk) -> None:
    said = call("bash", command="touch ran") + call("bash", command="touch ran") + "[then][say Never.]"
    session = started(sdk, said, default_config={"permission_policy": ASK})
    uses = waiting(sdk, session.id)
    interrupt: Any = {"type": "user.interrupt"}
    sdk.beta.sessions.events.send(session.id, events=[interrupt])
    until_idle(sdk, session.id, times=2)
    assert events(sdk, session.id, "session.status_idle")[-1].stop_reason.type == "end_turn"
    assert [failed for _, failed in results(sdk, session.id)] == [True, True]
    told = types(sdk, session.id)
    assert told.index("user.interrupt") < len(told) - len(IDLE)
    for use in uses:
        with pytest.raises(anthropic.BadRequestError):
            sdk.beta.sessions.events.send(session.id, events=[confirm(use)])


def test_an_interrupt_with_a_message_goes_on_with_that(sdk: Sdk) -> None:
    session = started(
        sdk,
        call("bash", command="touch ran") + "[then][say Never.]",
        default_config={"permission_policy": ASK},
    )
    waiting(sdk, session.id)
    asked = call("glob", pattern="*") + "[then][say Next.]"
    both: Any = [{"type": "user.interrupt"}, say(asked)]
    sdk.beta.sessions.events.send(session.id, events=both)
    (use,) = waiting(sdk, session.id, times=3)
    sdk.beta.sessions.events.send(session.id, events=[confirm(use)])
    until_idle(sdk, session.id, times=4)
    assert results(sdk, session.id)[1:] == [("no matches", False)]
    texts = [part.text for one in events(sdk, session.id, "agent.message") for part in one.content]
    assert texts == ["Next."]


def test_an_interrupt_ends_a_command_at_work(sdk: Sdk, tmp_path: Path) -> None:
    command = "echo begun; touch mark; setsid sleep 100 & sleep 100"
    session = started(sdk, call("bash", command=command) + "[then][say Never.]")
    mark = tmp_path / "w" / "environments" / session.id / "mark"
    eventually(mark.exists, "the command is at work")
    interrupt: Any = [{"type": "user.interrupt"}, say("[say Next.]")]
    sdk.beta.sessions.events.send(session.id, events=interrupt)
    until_idle(sdk, session.id, times=2)
    ((words, failed),) = results(sdk, session.id)
    assert ("stopped at work" in words, "begun" in words, failed) == (True, True, True)
    texts = [part.text for one in events(sdk, session.id, "agent.message") for part in one.content]
    assert texts == ["Next."]


def test_an_answer_may_come_before_the_question(sdk: Sdk, tmp_path: Path) -> None:
    """The second call's event is there while the first one is at work."""
    gate = Gate(tmp_path)
    said = (
        call("bash", command=gate.command) + call("write", file_path="f", content="x") + "[then][say Done.]"
    )
    session = started(sdk, said, configs=[{"name": "write", "permission_policy": ASK}])
    gate.wait_until_reached()
    _, asked = events(sdk, session.id, "agent.tool_use")
    assert asked.evaluated_permission == "ask"
    sdk.checked(sdk.beta.sessions.events.send(session.id, events=[confirm(asked.id)]))
    gate.open("opened")
    until_idle(sdk, session.id)
    assert events(sdk, session.id, "session.status_idle")[0].stop_reason.type == "end_turn"
    assert results(sdk, session.id) == [("opened", False), ("wrote 1 bytes to f", False)]
    assert types(sdk, session.id).count("user.tool_confirmation") == 1


def test_a_command_whose_server_is_killed_has_an_unknown_outcome(
    start_baton: StartBaton, tmp_path: Path
) -> None:
    gate, ran = Gate(tmp_path), tmp_path / "ran"
    settings = {"BATON_LEASE_SECONDS": "3"}
    first = start_baton(settings=settings)
    with Anthropic(base_url=first.url, api_key="x", max_retries=0) as client:
        tools: Any = [{"type": TOOLSET}]
        agent = client.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)
        environment = client.beta.environments.create(name="here")
        said = call("bash", command=f"echo once >> {ran}; {gate.command}") + "[then][say Never.]"
        session = client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[say(said)]
        ).id
        gate.wait_until_reached()
    first.kill()
    second = start_baton(settings=settings)
    with Anthropic(base_url=second.url, api_key="x", max_retries=0) as client:

        def of(kind: str) -> list[Any]:
            return [event for event in client.beta.sessions.events.list(session) if event.type == kind]

        eventually(lambda: of("session.status_idle"), "the run was closed")
        gate.open()
        (use,), (result,) = of("agent.tool_use"), of("agent.tool_result")
        assert (result.tool_use_id, result.is_error) == (use.id, True)
        assert "not known" in result.content[0].text
        client.beta.sessions.events.send(session, events=[say("[say Here again.]")])
        eventually(lambda: len(of("session.status_idle")) == 2, "the next turn has ended")
        assert of("agent.message")[-1].content[0].text == "Here again."
    assert ran.read_text() == "once\n"


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_calls_that_wait_are_answered_at_another_server(start_baton: StartBaton, ending: str) -> None:
    settings = {"BATON_LEASE_SECONDS": "3"}
    first = start_baton(settings=settings)
    with Anthropic(base_url=first.url, api_key="x", max_retries=0) as client:
        tools: Any = [{"type": TOOLSET, "default_config": {"permission_policy": ASK}}]
        agent = client.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)
        environment = client.beta.environments.create(name="here")
        said = call("bash", command="echo 1 >> ran") + call("bash", command="echo 2 >> ran; cat ran")
        session = client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[say(f"{said}[then][say Done.]")]
        ).id
        eventually(lambda: client.beta.sessions.retrieve(session).status == "idle", "it waits")
    getattr(first, ending)()
    second = start_baton(settings=settings)
    with Anthropic(base_url=second.url, api_key="x", max_retries=0) as client:

        def of(kind: str) -> list[Any]:
            return [event for event in client.beta.sessions.events.list(session) if event.type == kind]

        for use in of("agent.tool_use"):
            assert of("agent.tool_result") == []
            client.beta.sessions.events.send(session, events=[confirm(use.id)])
        eventually(lambda: len(of("session.status_idle")) == 2, "the turn has ended")
        assert [one.content[0].text for one in of("agent.tool_result")] == ["(no output)", "1\n2"]
        assert of("agent.message")[-1].content[0].text == "Done."
        assert len(of("session.status_running")) == 2
