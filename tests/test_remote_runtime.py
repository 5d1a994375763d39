"""Whole conversations, as docker-agent's remote runtimes of both generations have them with a server: nothing is shown
twice, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.agent.tools.test_mcp_remote import Site, running
from tests.conftest import AGENTS
from tests.harness.client_screen import Screen
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.remote_runtime import MarchRuntime, RemoteRuntime
from tests.harness.wire import Stream

Starting: TypeAlias = Callable[..., RemoteRuntime]


def shell(command: str) -> str:
    return f"[call shell {json.dumps({'cmd': command})}]"


class Guarded(Site):
    """A tool server that wants a token, whose authorization server registers clients."""

    def metadata(self) -> dict[str, str]:
        return {
            path: json.dumps({**json.loads(body), "registration_endpoint": f"{self.url}/register"})
            for path, body in super().metadata().items()
        }


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Guarded(token="secret")
    with running("streamable", site):
        yield site


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Path:
    directory = tmp_path_factory.mktemp("work")
    agents = directory / "agents"
    agents.mkdir()
    (agents / "tools.yaml").write_text((AGENTS / "tools.yaml").read_text())
    toolset = f'{{type: mcp, tools: [echo], remote: {{url: "{site.url}/mcp", transport_type: streamable}}}}'
    text = f"agents: {{root: {{model: anthropic/claude-sonnet-5-5, instruction: i, toolsets: [{toolset}]}}}}"
    (agents / "guarded.yaml").write_text(text)
    return directory


@pytest.fixture(scope="module")
def process(directory: Path, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    with BatonProcess(directory, model_url=stand_in.url, agents=directory / "agents") as one:
        yield one


@pytest.fixture
def start(process: BatonProcess, model: OfflineServer) -> Iterator[Starting]:
    """Starts a program with a session of its own, for an agent."""
    started: list[RemoteRuntime] = []

    def one(agent: str, *, follows: bool = False, **template: Any) -> RemoteRuntime:
        runtime = RemoteRuntime(process.url, agent, follows=follows)
        runtime.new_session(working_dir=str(process.directory), **template)
        started.append(runtime)
        return runtime

    yield one
    for runtime in started:
        runtime.close()


@pytest.fixture
def gate(directory: Path) -> Iterator[Gate]:
    gate = Gate(directory)
    yield gate
    gate.close()


def told_by_both(runtime: RemoteRuntime) -> Screen:
    """The screen when the second stream has brought all that the session has told."""
    snapshot = runtime.client.get(f"/api/sessions/{runtime.session_id}/snapshot").json()
    runtime.caught_up(snapshot["last_event_seq"])
    return runtime.screen


def without_live_output(screen: Screen) -> Screen:
    """What a process can show that did not run the session: a command's output is stored as its result only."""
    return replace(screen, calls={id: replace(call, output="") for id, call in screen.calls.items()})


def test_a_call_that_is_approved_shows_its_whole_arguments_and_its_result(start: Starting) -> None:
    runtime = start("tools")
    for event in runtime.run(f"{shell('echo one two three')}[then][say done and well]"):
        if event["type"] == "tool_call_confirmation":
            runtime.resume("approve")
    screen = runtime.screen
    [call] = screen.calls.values()
    assert json.loads(call.arguments) == {"cmd": "echo one two three"}
    assert call.result is not None
    assert "one two three" in call.result
    assert (screen.answers, screen.lost, screen.notices) == (["done and well"], [], [])
    assert runtime.logged == []


def test_pieces_that_are_appended_are_the_calls_beginning(start: Starting) -> None:
    runtime = start("tools", tools_approved=True)
    written = ""
    for event in runtime.run(f"{shell('echo one two three')}[then][say done]"):
        if event["type"] == "partial_tool_call":
            written += event["tool_call"]["function"].get("arguments", "")
        if event["type"] == "tool_call":
            assert written
            assert event["tool_call"]["function"]["arguments"].startswith(written)


def test_later_turns_say_again_what_was_said_before(start: Starting) -> None:
    """That client posts all messages of its user with each turn."""
    runtime = start("tools")
    for text in ("one", "two", "three"):
        runtime.say(f"[say {text}]")
    assert runtime.screen.answers == ["one", "two", "three"]
    said = [m["content"] for m in runtime.client.messages(runtime.session_id) if m["role"] == "user"]
    assert said == ["[say one]", "[say two]", "[say three]"]


def test_a_tool_server_gets_the_token_that_this_client_found_the_way_to(start: Starting) -> None:
    """The question comes by both streams, and is shown once: both name its id."""
    runtime = start("guarded", follows=True, tools_approved=True)
    for event in runtime.run('[call echo {"text": "hi"}][then][say done]'):
        if event["type"] == "elicitation_request":
            runtime.authorize({"access_token": "secret", "token_type": "Bearer"})
    screen = told_by_both(runtime)
    assert [question["elicitation_id"] != "" for question in screen.questions] == [True]
    [call] = screen.calls.values()
    assert call.result == "hi"
    assert "authorization_event" in screen.kinds


@pytest.mark.parametrize(
    "verb",
    ["approve-session", "approve-safe", "approve-safer", "approve-balanced", "approve-autonomous"],
)
def test_whatever_word_approves_the_run_goes_on(start: Starting, verb: str) -> None:
    """A word that is refused is in that client's log, and nowhere else: the run would hang."""
    runtime = start("tools")
    for event in runtime.run(f"{shell('echo x')}[then][say done]"):
        if event["type"] == "tool_call_confirmation":
            runtime.resume(verb)
            if runtime.logged:
                runtime.client.post(f"/api/sessions/{runtime.session_id}/cancel")
    assert (runtime.screen.answers, runtime.logged) == (["done"], [])


def test_a_stream_without_a_cursor_plays_what_is_kept(process: BatonProcess, start: Starting) -> None:
    runtime = start("tools", tools_approved=True)
    runtime.say(f"{shell('echo x')}[then][say done]")
    watcher = RemoteRuntime(process.url, "tools")
    watcher.watch(runtime.session_id, from_the_beginning=True)
    assert without_live_output(told_by_both(watcher)) == without_live_output(runtime.screen)
    watcher.close()


def test_a_steer_and_a_follow_up_are_answered_in_view(start: Starting, gate: Gate) -> None:
    runtime = start("tools", tools_approved=True)
    for event in runtime.run(f"{gate.call}[then][say done]"):
        if event["type"] == "tool_call":
            gate.wait_until_reached()
            runtime.steer("[say steered]")
            runtime.follow_up("[say followed]")
            gate.open()
    screen = runtime.screen
    assert screen.said[1:] == ["[say steered]", "[say followed]"]
    assert screen.answers[-1] == "followed"
    assert [call.result is not None for call in screen.calls.values()] == [True]


def test_a_follow_up_after_the_run_comes_by_the_second_stream(start: Starting) -> None:
    runtime = start("tools", follows=True)
    runtime.say("[say hello]")
    told_by_both(runtime)
    before = len(runtime.screen.kinds)
    runtime.follow_up("[say and more]")
    kinds = runtime.screen.kinds
    eventually(lambda: "stream_stopped" in kinds[before:], "the follow-up was answered")
    told = [kind for kind in kinds[before:] if kind in ("user_message", "stream_started", "agent_choice")]
    assert told == ["user_message", "stream_started", "agent_choice", "agent_choice"]
    assert (runtime.screen.said[-1], runtime.screen.answers[-1]) == ("[say and more]", "and more")


def test_a_second_program_that_watches_sees_the_same_once(process: BatonProcess, start: Starting) -> None:
    runtime = start("tools", tools_approved=True)
    watcher = RemoteRuntime(process.url, "tools")
    watcher.watch(runtime.session_id)
    runtime.say(f"{shell('echo seen')}[then][say done]")
    assert told_by_both(watcher) == runtime.screen
    assert watcher.screen.answers == ["done"]
    watcher.close()


def test_a_connection_that_breaks_in_mid_stream_costs_and_doubles_nothing(
    process: BatonProcess, start: Starting
) -> None:
    runtime = start("tools", tools_approved=True)
    watcher = RemoteRuntime(process.url, "tools")
    watcher.watch(runtime.session_id)
    assert watcher.events is not None
    for kind in ("partial_tool_call", "agent_choice"):
        watcher.events.drop_at = kind
        runtime.say(f"{shell('echo x')}[then][say one two three]")
        assert told_by_both(watcher) == runtime.screen
    assert (watcher.events.connections, watcher.events.gaps) == (3, 0)
    assert [json.loads(call.arguments) for call in watcher.screen.calls.values()] == [{"cmd": "echo x"}] * 2
    watcher.close()


def test_an_answer_is_shown_once_though_two_streams_may_bring_it(start: Starting) -> None:
    runtime = start("tools", follows=True)
    runtime.say("[say one two three]")
    assert told_by_both(runtime).answers == ["one two three"]


def test_each_run_of_a_program_that_follows_is_shown_once(start: Starting) -> None:
    runtime = start("tools", follows=True)
    for text in ("one", "two"):
        for event in runtime.run(f"[say {text}]{shell('echo x')}[then][say done]"):
            if event["type"] == "tool_call_confirmation":
                runtime.resume("approve")
    runtime.follow_up("[say and more]")
    eventually(lambda: runtime.screen.kinds.count("stream_stopped") == 3, "the follow-up was answered")
    screen = told_by_both(runtime)
    assert screen.answers == ["one", "done", "two", "done", "and more"]
    assert [call.result is not None for call in screen.calls.values()] == [True, True]
    assert screen.kinds.count("stream_started") == 3


def test_a_program_that_only_watches_is_told_all_that_another_reads_itself(
    process: BatonProcess, start: Starting
) -> None:
    """Both are on one machine."""
    runtime = start("tools", follows=True)
    runtime.say("[say one]")
    watcher = RemoteRuntime(process.url, "tools")
    watcher.watch(runtime.session_id)
    late = RemoteRuntime(process.url, "tools")
    late.watch(runtime.session_id, from_the_beginning=True)
    runtime.say("[say two]")
    assert told_by_both(runtime).answers == ["one", "two"]
    assert told_by_both(watcher).answers == ["two"]
    assert told_by_both(late).answers == ["one", "two"]
    watcher.close()
    late.close()


def test_when_its_runs_stream_breaks_the_second_one_goes_on_behind_it(start: Starting, gate: Gate) -> None:
    runtime = start("tools", tools_approved=True)
    runtime.watch(runtime.session_id)
    said = runtime.body_of([{"role": "user", "content": f"[say one]{gate.call}[then][say two]"}])
    response = runtime.client.post(
        f"/api/sessions/{runtime.session_id}/agent/tools?on_disconnect=continue",
        said,
        stream=True,
        headers={"Accept": "text/event-stream", "Cache-Control": "no-cache"},
    )
    with Stream(response) as stream:
        for event in stream:
            runtime.screen.show(event)
            if event["type"] == "tool_call":
                gate.wait_until_reached()
                break
    shown = len(runtime.screen.kinds)
    gate.open()
    eventually(lambda: "stream_stopped" in runtime.screen.kinds, "the rest came by the session's stream")
    assert told_by_both(runtime).answers == ["one", "two"]
    [call] = runtime.screen.calls.values()
    assert call.result is not None
    assert "tool_call_response" in runtime.screen.kinds[shown:]
    assert runtime.screen.kinds.count("tool_call") == 1


def test_a_refused_run_leaves_its_second_stream_open(start: Starting, gate: Gate) -> None:
    runtime = start("tools", tools_approved=True)
    runtime.watch(runtime.session_id)
    other = RemoteRuntime(runtime._url, "tools", follows=False)
    other.session_id = runtime.session_id
    for event in other.run(f"{gate.call}[then][say theirs]"):
        if event["type"] == "tool_call":
            gate.wait_until_reached()
            refused = runtime.client.post(
                f"/api/sessions/{runtime.session_id}/agent/tools",
                runtime.body_of([{"role": "user", "content": "[say mine]"}]),
                headers={"Accept": "text/event-stream", "Cache-Control": "no-cache"},
            )
            assert refused.status_code == 409
            gate.open()
    assert told_by_both(runtime).answers == ["theirs"]
    other.client.close()


def test_after_a_gap_it_can_tell_what_it_has_shown(process: BatonProcess, start: Starting) -> None:
    """It compares answers by their ids, in events and in the snapshot."""
    runtime = start("tools")
    watcher = RemoteRuntime(process.url, "tools")
    watcher.watch(runtime.session_id)
    runtime.say("[say one two three]")
    told_by_both(watcher)
    watcher.recover()
    assert watcher.screen.answers == ["one two three"]


# ---- March's


@pytest.fixture(scope="module")
def march(directory: Path, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    """A server for those who still have March's program."""
    own = directory / "march"
    own.mkdir()
    settings = {"BATON_WIRE": "march-2026", "BATON_ROOTS": str(directory)}
    agents = directory / "agents"
    with BatonProcess(own, model_url=stand_in.url, agents=agents, settings=settings) as one:
        yield one


@pytest.fixture
def old(march: BatonProcess, model: OfflineServer) -> Iterator[Callable[[str], MarchRuntime]]:
    started: list[MarchRuntime] = []

    def one(agent: str) -> MarchRuntime:
        runtime = MarchRuntime(march.url, agent)
        runtime.new_session(working_dir=str(march.directory))
        started.append(runtime)
        return runtime

    yield one
    for runtime in started:
        runtime.close()


def test_marchs_program_shows_the_arguments_so_far_and_each_result(
    old: Callable[[str], MarchRuntime],
) -> None:
    runtime = old("tools")
    for event in runtime.run(f"{shell('echo one two three')}[then][say done and well]"):
        if event["type"] == "partial_tool_call":
            [call] = runtime.screen.calls.values()
            assert '{"cmd": "echo one two three"}'.replace(" ", "").startswith(
                call.arguments.replace(" ", "")
            )
        if event["type"] == "tool_call_confirmation":
            runtime.resume("approve-session")
    [call] = runtime.screen.calls.values()
    assert call.result is not None
    assert "one two three" in call.result
    assert json.loads(call.arguments) == {"cmd": "echo one two three"}
    assert (runtime.screen.answers, runtime.screen.lost) == (["done and well"], [])
    runtime.say("[say again]")
    assert runtime.screen.answers == ["done and well", "again"]


def test_marchs_program_finds_the_way_to_a_token(
    old: Callable[[str], MarchRuntime],
) -> None:
    runtime = old("guarded")
    for event in runtime.run('[call echo {"text": "hi"}][then][say done]'):
        if event["type"] == "elicitation_request":
            runtime.authorize({"access_token": "secret", "token_type": "Bearer"})
        if event["type"] == "tool_call_confirmation":
            runtime.resume("approve")
    [call] = runtime.screen.calls.values()
    assert (call.result, runtime.screen.answers) == ("hi", ["done"])
