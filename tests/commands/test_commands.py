"""The commands that ask a server: their output in a pipe, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partialmethod
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from app.commands import exits
from app.commands.event_printer import EventPrinter
from app.commands.main import COMMANDS
from app.commands.server_options import ServerOptions
from baton_client import BatonClient, RunStream, StoredMessage, ToolApprovalEvent
from baton_client.stream_events import event_of
from tests.commands.conftest import Call
from tests.harness.process import free_port

COMMAND = Path(sys.executable).with_name("baton")
ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'


@pytest.fixture
def waiting(baton: BatonClient) -> Iterator[RunStream]:
    """A run that waits for an approval."""
    with baton.run(baton.create_session()["id"], ECHO, agent="tools") as run:
        next(event for event in run if isinstance(event, ToolApprovalEvent))
        yield run


def test_send_prints_the_agents_words_and_nothing_else(call: Call) -> None:
    done = call("send", "new", "[say hello there]", "--agent", "plain")
    assert (done.code, done.out) == (exits.OK, "hello there\n")
    assert done.err.startswith("session ")


def test_send_shows_calls_and_results_beside(call: Call) -> None:
    done = call("send", "new", ECHO, "--agent", "tools", "--approve", "all")
    assert (done.code, done.out) == (exits.OK, "done\n")
    assert '→ shell {"cmd":"echo hands"}\n  hands\n' in done.err


def test_send_rejects_what_it_was_told_to_reject(call: Call) -> None:
    done = call("send", "new", ECHO, "--agent", "tools", "--approve", "none")
    assert (done.code, done.out) == (exits.OK, "done\n")
    assert "rejected" in done.err


def test_send_as_json_is_a_line_for_each_event(call: Call) -> None:
    done = call("send", "new", "-", "--agent", "plain", "--json", said="[say hi]")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "stream_stopped"
    assert "session_id" in json.loads(done.err)


def test_send_fails_when_the_run_fails(call: Call) -> None:
    done = call("send", "new", "[fail 403]", "--agent", "plain")
    assert done.code == exits.FAILED
    assert "(model_failed)" in done.err


def test_send_leaves_a_question_to_others_where_nobody_can_be_asked(call: Call, baton: BatonClient) -> None:
    done = call("send", "new", ECHO, "--agent", "tools")
    assert done.code == exits.WAITING
    run = baton.get_run(done.err.split("run ")[1].split()[0])
    assert run["status"] == "awaiting_approval"
    baton.cancel(run["session_id"], run_id=run["id"])


def test_what_an_agent_says_can_not_play_with_the_terminal(call: Call) -> None:
    done = call("send", "new", "[say red \x1b[31m text \x9b2J]", "--agent", "plain")
    assert "\x1b" not in done.out + done.err
    assert "\x9b" not in done.out + done.err
    assert "text" in done.out


def test_a_busy_session_says_who_has_it(call: Call, waiting: RunStream) -> None:
    done = call("send", waiting.session_id, "me too", "--agent", "tools")
    assert done.code == exits.BUSY
    assert waiting.id in done.err
    told = json.loads(call("send", waiting.session_id, "me too", "--agent", "tools", "--json").err)
    assert (told["code"], told["run"]["id"]) == ("awaiting_approval", waiting.id)


def test_runs_are_listed_shown_cancelled_and_released(call: Call, waiting: RunStream) -> None:
    line = call("runs", "ls", "--live").out.splitlines()[0].split("\t")
    assert line[:5] == [waiting.id, waiting.session_id, "tools/root", "awaiting_approval", "shell"]
    assert json.loads(call("runs", "ls", "--live", "--json").out)[0]["id"] == waiting.id
    assert "status: awaiting_approval\n" in call("runs", "show", waiting.id[:8]).out
    assert call("runs", "cancel", waiting.id[:8]).out == f"{waiting.id} is cancelled\n"
    again = call("runs", "release", waiting.id, "--yes")
    assert (again.code, "not_running" in again.err) == (exits.FAILED, True)


def test_a_run_is_released(call: Call, waiting: RunStream) -> None:
    done = call("--json", "runs", "release", waiting.id, "--reason", "stuck", "--yes")
    assert json.loads(done.out)["status"] == "interrupted"
    waiting.detach()


def test_a_run_is_watched_to_its_end(call: Call, baton: BatonClient, waiting: RunStream) -> None:
    baton.follow_up(waiting.session_id, "[say later]")
    baton.approve(waiting.session_id, remember="session")
    watched = call("runs", "watch", waiting.id)
    if watched.code == exits.OK:  # unless it has ended before
        assert watched.out.startswith("done")
    else:
        assert "has ended" in watched.err
    list(waiting)


def test_the_queue_is_listed_and_dropped(call: Call, baton: BatonClient, waiting: RunStream) -> None:
    assert call("send", waiting.session_id, "later", "--when-busy", "queue").code == exits.OK
    [line] = call("queue", "ls", waiting.session_id).out.splitlines()
    message, kind = line.split("\t")[:2]
    assert (kind, line.endswith("\tlater")) == ("followup", True)
    assert call("queue", "drop", waiting.session_id).code == exits.USAGE
    assert call("queue", "drop", waiting.session_id, message).code == exits.OK
    assert baton.queue(waiting.session_id) == []


def test_an_exported_session_comes_back_and_goes_on(call: Call, baton: BatonClient, tmp_path: Path) -> None:
    session = baton.create_session(tools_approved=True)["id"]
    baton.rename_session(session, "A talk")
    assert baton.run(session, ECHO, agent="tools").text() == "done"
    file = tmp_path / "export.json"
    assert call("sessions", "export", session, "-o", str(file)).code == exits.OK
    new = call("sessions", "import", str(file)).out.strip()
    assert new != session
    before, after = baton.session(session), baton.session(new)
    assert [said(item) for item in after["messages"]] == [said(item) for item in before["messages"]]
    assert (after["title"], after["tools_approved"]) == ("A talk", True)
    assert call("send", new, "[say and on]", "--agent", "tools").out == "and on\n"


def said(item: StoredMessage) -> tuple[object, ...]:
    message = item["message"]
    return message["role"], message["content"], message.get("tool_calls"), message.get("tool_call_id")


def test_sessions_are_found_by_what_was_said(call: Call, baton: BatonClient) -> None:
    session = str(baton.create_session()["id"])
    baton.rename_session(session, "Boathouse")
    baton.run(session, "a lanyard in the boathouse", agent="plain").text()
    found = [line.split("\t") for line in call("sessions", "search", "lanyard").out.splitlines()]
    assert found[-1][:3] == [session, "0", "user"]
    assert "a lanyard in the boathouse" in found[-1][4]
    assert call("sessions", "search", '"boathouse lanyard"').out == ""
    (title,) = json.loads(call("sessions", "search", "boathouse", "--json", "--limit", "9").out)[-1:]
    assert (title["session_id"], "position" in title) == (session, False)


def test_sessions_are_listed_shown_and_deleted(call: Call, baton: BatonClient) -> None:
    session = baton.create_session()["id"]
    baton.run(session, "[say hello]", agent="plain").text()
    line = next(line for line in call("sessions", "ls").out.splitlines() if line.startswith(session))
    assert line.split("\t")[1:3] == ["free", "2"]
    assert call("sessions", "show", session[:8]).out.endswith("\nroot\nhello\n")
    assert call("sessions", "rm", session, "--yes").code == exits.OK
    assert call("sessions", "show", session).code == exits.NOT_FOUND


def test_what_is_no_export_is_refused(call: Call) -> None:
    for text in ("nonsense", "[]", '{"messages": [{"message": {"role": "system"}}]}'):
        assert call("sessions", "import", "-", said=text).code == exits.FAILED


def test_a_server_that_is_not_there_has_an_exit_code_of_its_own(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServerOptions, "baton", partialmethod(ServerOptions.baton, retry_seconds=0.0))
    done = call("--url", f"http://127.0.0.1:{free_port()}", "runs", "show", "x" * 32)
    assert done.code == exits.UNAVAILABLE
    assert "can't be reached" in done.err


def test_nonsense_is_a_usage_error(call: Call) -> None:
    assert call("horoscope").code == exits.USAGE
    assert call("runs", "show").code == exits.USAGE


def test_completion_offers_what_there_is(call: Call) -> None:
    asked = {"_BATON_COMPLETE": "bash_complete", "COMP_WORDS": "baton ", "COMP_CWORD": "1"}
    done = call(**asked)
    offered = {line.partition(",")[2] for line in done.out.splitlines()}
    assert offered == set(COMMANDS)


def test_the_command_is_installed_under_its_name() -> None:
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"baton, version {version('baton-server')}\n"


def test_output_that_was_shown_while_it_came_is_not_shown_again(capfd: pytest.CaptureFixture[str]) -> None:
    printer = EventPrinter(as_json=False)
    call = {"tool_call": {"id": "c", "function": {"name": "shell"}}}
    told: list[dict[str, object]] = [
        {"type": "tool_call", **call},
        {"type": "tool_call_output", "tool_call_id": "c", "output": "one\ntw"},
        {"type": "tool_call_output", "tool_call_id": "c", "output": "o\n\x1b[2Jthree"},
        {"type": "tool_call_response", **call, "response": "one\ntwo\n\x1b[2Jthree"},
        {"type": "tool_call_output", "tool_call_id": "c", "output": "four\n"},
        {
            "type": "tool_call_response",
            **call,
            "response": "failed\nOutput: four",
            "result": {"isError": True},
        },
    ]
    for event in told:
        printer.tell(event_of(event))
    shown = capfd.readouterr().err
    assert "\x1b[2J" not in shown
    lines = [click.unstyle(line) for line in shown.splitlines()]
    assert lines[1:3] == ["  one", "  two"]
    assert lines[3].endswith("three")
    assert lines[4:] == ["  four", "  failed", "  Output: four"]
