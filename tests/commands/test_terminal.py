"""The commands on a terminal: questions, answers, tables, Ctrl-C."""

from __future__ import annotations

from app.commands import exits
from baton_client import BatonClient
from tests.commands.conftest import CTRL_C, Call

ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'


def test_a_call_is_approved_on_the_terminal(talk: Call) -> None:
    done = talk("send", "new", ECHO, "--agent", "tools", script=[("Allow it?", "y\n")])
    assert done.code == exits.OK
    assert "  hands" in done.out
    assert "done\n" in done.out


def test_a_call_is_rejected_with_a_reason(talk: Call, baton: BatonClient) -> None:
    script = [("Allow it?", "n\n"), ("Why not", "not today\n")]
    done = talk("send", "new", ECHO, "--agent", "tools", script=script)
    assert done.code == exits.OK
    assert "Reason: not today" in done.out


def test_a_run_is_stopped_instead_of_an_answer(talk: Call) -> None:
    done = talk("send", "new", ECHO, "--agent", "tools", script=[("Allow it?", "c\n")])
    assert done.code == exits.FAILED
    assert "the run was cancelled" in done.out


def test_a_form_is_filled_in(talk: Call) -> None:
    question = '[call user_prompt {"message": "Which colour?"}][then][say thanks]'
    done = talk("send", "new", question, "--agent", "tools", script=[("Answer", '{"colour": "blue"}\n')])
    assert done.code == exits.OK
    assert "blue" in done.out.partition("→ user_prompt")[2]


def test_ctrl_c_stops_the_run(talk: Call, baton: BatonClient) -> None:
    done = talk("send", "new", "[words 2000][pace 50]", "--agent", "plain", script=[("please", CTRL_C)])
    assert done.code == exits.INTERRUPTED
    session = done.out.split("session ")[1].split()[0]
    assert [run["status"] for run in baton.runs(session=session)] == ["cancelled"]


def test_lists_are_tables_with_a_head(talk: Call, baton: BatonClient) -> None:
    run = baton.run(baton.create_session()["id"], "[say hello]", agent="plain")
    run.text()
    shown = talk("runs", "ls", script=[]).out
    assert "STATUS" in shown
    assert run.id[:8] in shown
    assert run.id not in shown


def test_runs_at_work_are_watched_live_until_ctrl_c(talk: Call, baton: BatonClient) -> None:
    with baton.run(baton.create_session()["id"], "[words 3][hold 1]", agent="plain") as run:
        next(iter(run))
        done = talk("runs", "watch", script=[(run.id[:8], ""), (run.id[:8], CTRL_C)])
    assert done.code == exits.INTERRUPTED


def test_a_dumb_terminal_is_shown_the_list_whenever_it_changes(talk: Call, baton: BatonClient) -> None:
    with baton.run(baton.create_session()["id"], "[words 3][hold 1]", agent="plain") as run:
        next(iter(run))
        done = talk("runs", "watch", script=[(run.id[:8], CTRL_C)], TERM="dumb")
    assert done.code == exits.INTERRUPTED
    assert "\x1b" not in done.out
