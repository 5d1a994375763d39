"""agent_toolset_20260401 through the official SDK: each tool's whole path, what is asked, and what is interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types.beta import BetaManagedAgentsSession

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import StartBaton, held_by, make_settings
from tests.harness.gate import Gate
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import IDLE, say, types, until_idle

TOOLSET = "agent_toolset_20260401"
ASK = {"type": "always_ask"}

Start = Callable[..., BetaManagedAgentsSession]


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


def call(name: str, **given: Any) -> str:
    return f"[call {name} {json.dumps(given)}]"


@pytest.fixture
def start(sdk: Sdk) -> Start:
    """Makes a session of an agent with the toolset, to which this is said first."""

    def begin(said: str, **toolset: Any) -> BetaManagedAgentsSession:
        tools: Any = [{"type": TOOLSET, **toolset}]
        agent = sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)
        environment = sdk.beta.environments.create(name="here")
        return sdk.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[say(said)]
        )

    return begin


def events(sdk: Sdk, session: str, kind: str) -> list[Any]:
    found = [event for event in sdk.beta.sessions.events.list(session) if event.type == kind]
    sdk.checked(sdk.beta.sessions.events.list(session))
    return found


def results(sdk: Sdk, session: str) -> list[tuple[str, bool]]:
    """The texts of the tools' results, and whether each is an error; each belongs to a use in the same order."""
    uses, found = events(sdk, session, "agent.tool_use"), events(sdk, session, "agent.tool_result")
    assert [one.tool_use_id for one in found] == [one.id for one in uses]
    return [
        ("".join(part.text for part in one.content if part.type == "text"), one.is_error) for one in found
    ]


def waiting(sdk: Sdk, session: str, *, times: int = 1) -> list[str]:
    """The events that the session waits for, once it does."""
    until_idle(sdk, session, times=times)
    reason = events(sdk, session, "session.status_idle")[-1].stop_reason
    assert reason.type == "requires_action"
    return list(reason.event_ids)


def confirm(use: str, result: str = "allow", **more: Any) -> Any:
    return {"type": "user.tool_confirmation", "tool_use_id": use, "result": result, **more}


def test_each_tool_is_called_and_answers(sdk: Sdk, start: Start) -> None:
    session = start(
        call("write", file_path="in/a.txt", content="one\ntwo\n")
        + "[then]"
        + call("edit", file_path="in/a.txt", old_string="two", new_string="zwei")
        + "[then]"
        + call("read", file_path="in/a.txt", view_range=[2, 2])
        + call("glob", pattern="**/*.txt")
        + call("grep", pattern="z.ei")
        + call("bash", command="cd in; export A=b; cat a.txt")
        + "[then]"
        + call("bash", command="cat a.txt; echo $A; exit 3")
        + call("read", file_path="../../x")
        + "[then][say Done.]"
    )
    until_idle(sdk, session.id)
    found = results(sdk, session.id)
    place = found[3][0].removesuffix("/in/a.txt")
    assert place.endswith(f"environments/{session.id}")
    assert found == [
        ("wrote 8 bytes to in/a.txt", False),
        ("edited in/a.txt (1 replacement(s))", False),
        ("zwei", False),
        (f"{place}/in/a.txt", False),
        (f"{place}/in/a.txt:2:zwei", False),
        ("one\nzwei", False),
        ("one\nzwei\nb", True),
        ("read: path '../../x' is outside the session's working directory", True),
    ]
    assert {one.evaluated_permission for one in events(sdk, session.id, "agent.tool_use")} == {"allow"}


def test_the_shell_of_the_next_turn_begins_where_the_last_one_ended(sdk: Sdk, start: Start) -> None:
    session = start(call("bash", command="mkdir in; cd in; export A=b") + "[then][say Done.]")
    until_idle(sdk, session.id)
    said = call("bash", command='basename "$PWD"; echo $A') + "[then][say Done.]"
    sdk.beta.sessions.events.send(session.id, events=[say(said)])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id)[-1] == ("in\nb", False)


def test_a_picture_and_a_document_come_as_blocks(sdk: Sdk, start: Start) -> None:
    pdf = "printf '%%PDF-1.4\\n/Type /Page\\n%%%%EOF\\n' > d.pdf"
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    session = start(
        call("bash", command=f"{pdf}; echo {png} | base64 -d > p.png")
        + "[then]"
        + call("read", file_path="p.png")
        + call("read", file_path="d.pdf")
        + "[then][say Done.]"
    )
    until_idle(sdk, session.id)
    _, picture, document = events(sdk, session.id, "agent.tool_result")
    assert picture.content[1].source.media_type == "image/png"
    assert document.content[1].source.media_type == "application/pdf"
    assert types(sdk, session.id)[-1] == "session.status_idle"
    assert "session.error" not in types(sdk, session.id)


def test_a_damaged_document_does_not_spoil_the_session(sdk: Sdk, start: Start) -> None:
    session = start(
        call("write", file_path="d.pdf", content="%PDF-1.4 and no more")
        + "[then]"
        + call("read", file_path="d.pdf")
        + "[then][say Done.]"
    )
    until_idle(sdk, session.id)
    assert results(sdk, session.id)[1] == ("read: d.pdf: not a whole PDF without a password", True)
    texts = [part.text for one in events(sdk, session.id, "agent.message") for part in one.content]
    assert texts == ["Done."]


def test_a_tool_that_is_not_enabled_is_not_there(sdk: Sdk, start: Start) -> None:
    configs = [{"name": "bash", "enabled": False}]
    session = start(call("bash", command="touch x") + "[then][say Done.]", configs=configs)
    until_idle(sdk, session.id)
    ((words, failed),) = results(sdk, session.id)
    assert ("not available" in words, failed) == (True, True)
    assert events(sdk, session.id, "agent.tool_use")[0].evaluated_permission == "deny"


def test_a_toolset_without_an_enabled_tool_offers_none(sdk: Sdk, start: Start, model: OfflineServer) -> None:
    session = start("[say Done.]", default_config={"enabled": False})
    until_idle(sdk, session.id)
    assert model.requests[-1].get("tools", []) == []


def test_a_search_of_the_web_is_told_as_a_call(sdk: Sdk, start: Start) -> None:
    session = start(
        "[pause][say Found.]", configs=[{"name": "web_search", "allowed_domains": ["example.com"]}]
    )
    until_idle(sdk, session.id)
    (use,) = events(sdk, session.id, "agent.tool_use")
    assert (use.name, use.evaluated_permission) == ("web_search", "allow")
    ((words, failed),) = results(sdk, session.id)
    assert (json.loads(words)[0]["url"], failed) == ("https://example.com/", False)
    usage = sdk.beta.sessions.retrieve(session.id).usage
    assert usage.server_tool_use is not None
    assert usage.server_tool_use.web_search_requests == 1


def test_a_page_outside_of_the_allowed_domains_is_refused(sdk: Sdk, start: Start) -> None:
    configs = [{"name": "web_fetch", "allowed_domains": ["example.com"], "max_content_tokens": 100}]
    said = call("web_fetch", url="https://example.org/") + "[then][say Done.]"
    session = start(said, configs=configs)
    until_idle(sdk, session.id)
    words, failed = results(sdk, session.id)[0]
    assert (words.startswith("url_not_allowed"), failed) == (True, True)


def test_a_call_waits_for_a_person_who_allows_it(sdk: Sdk, start: Start) -> None:
    session = start(
        call("bash", command="echo ran") + "[then][say Done.]", default_config={"permission_policy": ASK}
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


def test_a_call_is_denied_with_the_persons_words(sdk: Sdk, start: Start) -> None:
    session = start(
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


def test_a_call_is_denied_without_words(sdk: Sdk, start: Start) -> None:
    session = start(
        call("bash", command="touch ran") + "[then][say Done.]", default_config={"permission_policy": ASK}
    )
    (use,) = waiting(sdk, session.id)
    sdk.beta.sessions.events.send(session.id, events=[confirm(use, "deny")])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("Permission to use bash has been rejected.", True)]


def test_auto_waits_since_nobody_here_judges(sdk: Sdk, start: Start) -> None:
    auto = {"permission_policy": {"type": "auto"}}
    session = start(call("glob", pattern="*") + "[then][say Done.]", default_config=auto)
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
    sdk: Sdk, start: Start, at_once: bool, backward: bool
) -> None:
    said = call("bash", command="echo 1") + call("bash", command="echo 2") + "[then][say Done.]"
    session = start(said, default_config={"permission_policy": ASK})
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


def test_an_allowed_call_beside_an_asked_one_runs(sdk: Sdk, start: Start) -> None:
    said = call("glob", pattern="*") + call("bash", command="echo 2") + "[then][say Done.]"
    session = start(said, configs=[{"name": "bash", "permission_policy": ASK}])
    uses = waiting(sdk, session.id)
    assert uses == [events(sdk, session.id, "agent.tool_use")[1].id]
    sdk.beta.sessions.events.send(session.id, events=[confirm(uses[0])])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id) == [("no matches", False), ("2", False)]


def test_a_message_while_a_call_waits_is_refused(sdk: Sdk, start: Start) -> None:
    session = start(
        call("bash", command="echo 1") + "[then][say Done.]", default_config={"permission_policy": ASK}
    )
    (use,) = waiting(sdk, session.id)
    with pytest.raises(anthropic.BadRequestError, match=use):
        sdk.beta.sessions.events.send(session.id, events=[say("Hello?")])


def test_an_interrupt_closes_the_calls_that_wait(sdk: Sdk, start: Start) -> None:
    said = call("bash", command="touch ran") + call("bash", command="touch ran") + "[then][say Never.]"
    session = start(said, default_config={"permission_policy": ASK})
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


def test_an_interrupt_with_a_message_goes_on_with_that(sdk: Sdk, start: Start) -> None:
    session = start(
        call("bash", command="touch ran") + "[then][say Never.]", default_config={"permission_policy": ASK}
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


def test_an_interrupt_ends_a_command_at_work(sdk: Sdk, start: Start, tmp_path: Path) -> None:
    command = "echo begun; touch mark; setsid sleep 100 & sleep 100"
    session = start(call("bash", command=command) + "[then][say Never.]")
    mark = tmp_path / "w" / "environments" / session.id / "mark"
    eventually(mark.exists, "the command is at work")
    interrupt: Any = [{"type": "user.interrupt"}, say("[say Next.]")]
    sdk.beta.sessions.events.send(session.id, events=interrupt)
    until_idle(sdk, session.id, times=2)
    ((words, failed),) = results(sdk, session.id)
    assert ("stopped at work" in words, "begun" in words, failed) == (True, True, True)
    texts = [part.text for one in events(sdk, session.id, "agent.message") for part in one.content]
    assert texts == ["Next."]


@pytest.mark.parametrize(
    ("toolset", "words"),
    [
        ({}, "bash, write, edit may not run unasked"),
        ({"configs": [{"name": "bash", "permission_policy": ASK}]}, "write, edit may not run unasked"),
    ],
)
def test_with_tokens_tools_that_change_something_are_asked_for(
    company: Server, toolset: dict[str, Any], words: str
) -> None:
    with Sdk(company, "ann-has-this-token") as ann:
        tools: Any = [{"type": TOOLSET, **toolset}]
        with pytest.raises(
            anthropic.BadRequestError, match=f"tools.0.{TOOLSET}: {words}.*BATON_UNASKED_TOOLS=on"
        ):
            ann.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)


def test_with_tokens_what_is_asked_for_is_served(company: Server) -> None:
    asking: Any = [{"type": TOOLSET, "default_config": {"permission_policy": ASK}}]
    free: Any = [{"type": TOOLSET}]
    with Sdk(company, "ann-has-this-token") as ann:
        agent = ann.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=asking)
        environment = ann.beta.environments.create(name="here")
        session = ann.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        overridden: Any = {"type": "agent_with_overrides", "id": agent.id, "tools": free}
        calls: list[Callable[[], object]] = [
            lambda: ann.beta.agents.update(agent.id, version=1, tools=free),
            lambda: ann.beta.sessions.create(agent=overridden, environment_id=environment.id),
            lambda: ann.beta.sessions.update(session.id, agent={"tools": free}),
        ]
        for refused in calls:
            with pytest.raises(anthropic.BadRequestError, match="may not run unasked"):
                refused()


@pytest.mark.parametrize("more", [{"unasked_tools": True}, {"sandbox": "bubblewrap"}])
def test_an_operator_lets_tools_run_unasked(
    tmp_path: Path, stand_in: OfflineServer, more: dict[str, Any]
) -> None:
    tokens = [("ann/user", "ann-has-this-token")]
    server = build(make_settings(tmp_path, stand_in.url, auth_tokens=tokens, **more))
    with Sdk(server, "ann-has-this-token") as ann:
        tools: Any = [{"type": TOOLSET}]
        assert ann.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools).version == 1
    server.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "web_search", "permission_policy": ASK}, "configs.0.permission_policy: .*web_search"),
        ({"name": "web_fetch", "url_sources": {"type": "any"}}, "configs.0.url_sources"),
        ({"name": "web_fetch", "allowed_domains": ["a b"]}, "allowed_domains"),
    ],
)
def test_what_can_not_be_done_is_refused_by_its_name(sdk: Sdk, config: Any, words: str) -> None:
    tools: Any = [{"type": TOOLSET, "configs": [config]}]
    with pytest.raises(anthropic.BadRequestError, match=words):
        sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)


def test_an_answer_may_come_before_the_question(sdk: Sdk, start: Start, tmp_path: Path) -> None:
    """The second call's event is there while the first one is at work."""
    gate = Gate(tmp_path)
    said = (
        call("bash", command=gate.command) + call("write", file_path="f", content="x") + "[then][say Done.]"
    )
    session = start(said, configs=[{"name": "write", "permission_policy": ASK}])
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
