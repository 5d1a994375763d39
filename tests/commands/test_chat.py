"""A conversation in the terminal."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.commands import exits
from app.commands.chat import HELP
from baton_client import BatonClient, RunStream, ToolApprovalEvent
from tests.commands.conftest import CTRL_C, Call, Done, Script
from tests.harness.process import BatonProcess
from tests.harness.proxy import BreakingProxy

ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'
LEAVE = ("you> ", "/quit\n")


@pytest.fixture
def chat(talk: Call, tmp_path: Path) -> Call:
    """Each of `script` is what to wait for, and what to type then."""

    def run(*words: str, script: Script, **settings: str) -> Done:
        return talk("chat", *words, script=script, HOME=str(tmp_path), **settings)

    return run


def sessions_of(done: Done) -> list[str]:
    return re.findall(r"session ([0-9a-f-]{36})", done.out + done.err)


def session_of(done: Done) -> str:
    return sessions_of(done)[0]


def roles(baton: BatonClient, session: str) -> list[str]:
    return [item["message"]["role"] for item in baton.session(session)["messages"]]


@pytest.mark.parametrize("terminal", [{}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_two_messages_are_one_conversation(chat: Call, baton: BatonClient, terminal: dict[str, str]) -> None:
    script = [("you> ", "[say he][say llo]\n"), ("you> ", "[say again]\n"), LEAVE]
    done = chat("--agent", "plain", script=script, **terminal)
    assert done.code == exits.OK
    assert "hello\n" in done.out
    assert "again\n" in done.out
    assert roles(baton, session_of(done)) == ["user", "assistant", "user", "assistant"]
    coloured = "\x1b[2m" in done.out
    assert coloured is not bool(terminal)


def test_a_call_is_asked_about_and_nothing_of_it_is_invisible(chat: Call) -> None:
    message = '[call shell {"cmd": "echo \u202e\u200bhands"}][then][say done]\n'
    done = chat("--agent", "tools", script=[("you> ", message), ("Allow it?", "y\n"), LEAVE])
    assert '? shell {"cmd":"echo \\u202e\\u200bhands"}' in done.out
    assert "done\n" in done.out


def test_a_form_is_filled_in(chat: Call) -> None:
    message = '[call user_prompt {"message": "Which colour?"}][then][say thanks]\n'
    done = chat("--agent", "tools", script=[("you> ", message), ("Answer", "blue\n"), LEAVE])
    assert "thanks\n" in done.out


def test_ctrl_c_stops_the_run_and_the_conversation_goes_on(chat: Call, baton: BatonClient) -> None:
    script = [
        ("you> ", "[words 2000][pace 50]\n"),
        ("please", CTRL_C),
        ("was cancelled", ""),
        ("you> ", "[say still here]\n"),
        LEAVE,
    ]
    done = chat("--agent", "plain", script=script)
    assert (done.code, "still here" in done.out) == (exits.OK, True)
    statuses = [run["status"] for run in baton.runs(session=session_of(done))]
    assert statuses == ["finished", "cancelled"]


def test_ctrl_c_in_a_question_stops_the_run(chat: Call) -> None:
    script = [("you> ", f"{ECHO}\n"), ("Allow it?", CTRL_C), ("was cancelled", ""), LEAVE]
    assert chat("--agent", "tools", script=script).code == exits.OK


def test_ctrl_c_twice_leaves(chat: Call) -> None:
    done = chat(script=[("you> ", CTRL_C), ("again leaves", ""), ("you> ", CTRL_C)])
    assert done.code == exits.INTERRUPTED


def test_what_is_typed_meanwhile_gets_its_turn(chat: Call, baton: BatonClient, model: OfflineServer) -> None:
    def go_on() -> str:
        model.release()
        return ""

    script = [("you> ", "[words 20][hold 3]\n"), ("please", "[say and this]\n"), ("its turn", go_on), LEAVE]
    done = chat("--agent", "plain", script=script)
    assert "\nand this\n" in done.out
    assert roles(baton, session_of(done)) == ["user", "assistant", "user", "assistant"]


def test_a_session_is_gone_on_with_where_it_was_left(chat: Call, baton: BatonClient) -> None:
    session = baton.create_session()["id"]
    baton.run(session, "[say remember me]", agent="plain").text()
    done = chat(session[:8], script=[("remember me", ""), ("you> ", "[say of course]\n"), LEAVE])
    assert "of course" in done.out
    assert {run["agent"] for run in baton.runs(session=session)} == {"plain/root"}


def test_a_run_that_waits_is_answered_when_its_session_is_taken_up(chat: Call, baton: BatonClient) -> None:
    """An earlier question of it that has its answer is not asked again."""
    text = f'[call shell {{"cmd": "echo one"}}][then]{ECHO}'
    run = baton.run(baton.create_session()["id"], text, agent="tools")
    questions = (event for event in run if isinstance(event, ToolApprovalEvent))
    run.approve(next(questions).call_id)
    next(questions)
    run.detach()
    done = chat(run.session_id, script=[("Allow it?", "y\n"), LEAVE])
    assert done.out.count("Allow it?") == 1
    assert "done\n" in done.out
    assert baton.get_run(run.id)["status"] == "finished"


def test_a_message_for_a_busy_session_waits_and_is_answered(chat: Call, baton: BatonClient) -> None:
    run: RunStream
    session = baton.create_session()["id"]
    baton.run(session, "[say hello]", agent="tools").text()

    def begin() -> str:
        nonlocal run
        run = baton.run(session, ECHO, agent="tools")
        next(event for event in run if isinstance(event, ToolApprovalEvent))
        run.detach()
        return "[say me too]\n"

    done = chat(session, script=[("you> ", begin), ("Allow it?", "y\n"), LEAVE])
    assert "waits for its turn" in done.out
    assert "me too\n" in done.out


def test_a_broken_connection_is_taken_up_again(chat: Call, baton: BatonClient, process: BatonProcess) -> None:
    cut = iter([None, 2000])  # the second one is the run's
    with BreakingProxy(process.port, lambda: next(cut, None)) as proxy:
        script = [("you> ", "[words 200]\n"), LEAVE]
        done = chat("--agent", "plain", script=script, BATON_URL=proxy.url)
        assert proxy.cuts > 0
    [_, answer] = baton.session(session_of(done))["messages"]
    assert answer["message"]["content"] in done.out


def test_a_pipe_says_each_line_and_asks_nothing(call: Call, baton: BatonClient) -> None:
    done = call("chat", "--agent", "tools", said="[say one]\n[say two \\\nlines]\n")
    assert (done.code, done.out) == (exits.OK, "one\ntwo \nlines\n")
    done = call("chat", "--agent", "tools", said=f"{ECHO}\n[say never]\n")
    assert done.code == exits.WAITING
    run = baton.get_run(done.err.split("run ")[1].split()[0])
    assert run["status"] == "awaiting_approval"
    baton.cancel(run["session_id"], run_id=run["id"])


def test_every_command_is_explained(call: Call) -> None:
    done = call("chat", said="/help\n/horoscope\n/undo\n")
    assert all(f"{name} " in done.err and about in done.err for name, about in HELP.items())
    assert "there is no /horoscope" in done.err
    assert "say something first" in done.err


def test_commands_of_a_conversation(call: Call, baton: BatonClient) -> None:
    lines = [
        "/agent plain",
        "[say one]",
        "[say two]",
        "/undo",
        "/model",
        "/model anthropic/claude-haiku-4-5",
        "/agent",
        "/compact",
        "/retry",
        "/new",
        "[say elsewhere]",
    ]
    done = call("chat", said="\n".join(lines))
    assert done.code == exits.FAILED, "the retry was refused"
    assert done.out.startswith("one\ntwo\n")
    first, second = sessions_of(done)
    assert first != second
    assert "took back 2 messages" in done.err
    assert "* plain" in done.err
    assert "claude-haiku-4-5 from its next run on" in done.err
    assert "nothing to" in done.err, "the retry of a turn that did not fail"
    assert roles(baton, second) == ["user", "assistant"]


def test_a_turn_that_failed_is_done_again(call: Call, baton: BatonClient) -> None:
    done = call("chat", "--agent", "plain", said="[fail 403]\n/retry\n")
    assert (done.code, done.err.count("the run failed")) == (exits.FAILED, 2)
    [second, first] = baton.runs(session=session_of(done))
    assert second["retries"] == first["id"]


def test_the_history_is_the_users_alone_and_has_no_answers(chat: Call, tmp_path: Path) -> None:
    file = tmp_path / ".local" / "state" / "baton" / "history"
    file.parent.mkdir(parents=True)
    file.touch(0o644)
    chat("--agent", "tools", script=[("you> ", f"{ECHO}\n"), ("Allow it?", "y\n"), LEAVE])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().splitlines() == [ECHO, "/quit"]
    script = [("you> ", "\x1b[A\x1b[A\n"), ("Allow", "n\n"), ("Why", "\n"), LEAVE]
    assert "? shell" in chat("--agent", "tools", script=script).out


def test_what_goes_wrong_in_a_pipe_is_the_exit_code(call: Call) -> None:
    assert call("chat", "--agent", "nobody", said="[say one]\n").code == exits.NOT_FOUND
    assert call("chat", "0" * 32, said="[say one]\n").code == exits.NOT_FOUND
    assert call("chat", "--agent", "plain", said="/horoscope\n[say one]\n").code == exits.OK
