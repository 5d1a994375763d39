"""What the command says of itself, what that costs, and how it looks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import click
import pytest

from app.commands.completion import SHELLS
from app.commands.main import COMMANDS, cli
from app.commands.server_address import server_address
from app.commands.terminal_output import counted, written_out
from baton_client import BatonClient
from tests.commands.conftest import Call, environment
from tests.harness.process import free_port

SHORT = 60
HEAVY = {"flask", "sqlalchemy", "alembic", "anthropic", "httpx2", "pydantic", "gunicorn", "app.settings"}
SENDS = HEAVY | {"app.web", "app.store", "app.runtime", "app.agent", "yaml", "PIL"}


def imported(*words: str, **more: str) -> set[str]:
    code = (
        "import sys; from app.commands.main import main\n"
        f"sys.argv = ['baton', *{words!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment("http://127.0.0.1:1", **more),
        capture_output=True,
        text=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (("--help",), {}),
        (("--version",), {}),
        (("completion", "fish"), {}),
        ((), {"_BATON_COMPLETE": "bash_complete", "COMP_WORDS": "baton se", "COMP_CWORD": "1"}),
    ],
)
def test_help_and_completion_import_neither_the_server_nor_the_client(
    words: tuple[str, ...], more: dict[str, str]
) -> None:
    found = imported(*words, **more)
    assert "click" in found
    assert found & (HEAVY | {"requests", "rich", "baton_client"}) == set()


@pytest.mark.parametrize("command", ["chat", "send", "sessions", "runs", "queue"])
def test_commands_that_ask_a_server_import_none(command: str) -> None:
    found = imported(command, "--help")
    assert "click" in found
    assert found & SENDS == set()


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = import_module(f"app.commands.{name}").command
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {part}", one) for part, one in command.commands.items())


@pytest.mark.parametrize(("name", "command"), [pytest.param(*one, id=one[0]) for one in commands()])
def test_a_list_of_commands_cuts_no_sentence(name: str, command: click.Command) -> None:
    short = COMMANDS.get(name) or command.get_short_help_str(SHORT)
    assert len(short) <= SHORT
    assert re.fullmatch(r"[A-Z].*[^.]\.", short)
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_the_help_lists_every_command() -> None:
    shown = cli.get_help(click.Context(cli, terminal_width=80))
    assert all(f"  {name} " in shown and about in shown for name, about in COMMANDS.items())


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "", "NO_COLOR": ""}, False),
    ],
)
def test_a_pipe_is_coloured_if_that_is_wanted(call: Call, variables: dict[str, str], coloured: bool) -> None:
    done = call("send", "new", "[think hm][say hello]", "--agent", "plain", **variables)
    shown = call("sessions", "show", done.err.split()[1], **variables)
    assert ("\x1b[" in shown.out) is coloured


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_is_not_coloured_if_that_is_not_wanted(talk: Call, variables: dict[str, str]) -> None:
    shown = talk("send", "new", "[fail 403]", "--agent", "plain", script=[], **variables).out
    assert "model_failed" in shown
    assert "\x1b[" not in shown
    assert "\x1b[3" in talk("send", "new", "[fail 403]", "--agent", "plain", script=[]).out


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("", "http://127.0.0.1:8080"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://[::1]:9000"),
        ("baton.example:80", "http://baton.example:80"),
        ("unix:/run/baton.sock", None),
    ],
)
def test_the_server_is_where_the_settings_say(bind: str, url: str | None) -> None:
    assert server_address({"BATON_BIND": bind}) == url


def test_a_command_asks_where_the_settings_say_and_an_address_that_is_given_wins(
    call: Call, baton: BatonClient
) -> None:
    here = baton.url.removeprefix("http://")
    session = baton.create_session()["id"]
    assert session in call("sessions", "ls", BATON_URL="", BATON_BIND=here).out
    elsewhere = {"BATON_BIND": f"127.0.0.1:{free_port()}"}
    assert session in call("--url", baton.url, "sessions", "ls", **elsewhere).out
    found = call("doctor", "--no-here", BATON_URL="", BATON_BIND=here)
    assert f"server: {baton.url} is ready" in found.out
    assert "--url" in call("doctor", "--no-here", BATON_URL="", BATON_BIND="unix:/x").out
    assert "--url" in call("sessions", "ls", BATON_URL="", BATON_BIND="unix:/x").err


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_the_script_of_a_shell(call: Call, shell: str) -> None:
    script = call("completion", shell).out
    assert "_BATON_COMPLETE" in script
    assert f"{shell}_complete" in script


def completed(call: Call, words: str, **settings: str) -> set[str]:
    asked = {"_BATON_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = call(**asked, **settings)
    assert done.err == ""
    return {line.partition(",")[2] for line in done.out.splitlines() if line}


def test_ids_and_agents_are_completed_from_the_server(call: Call, baton: BatonClient) -> None:
    session = baton.create_session()["id"]
    run = baton.run(session, "[say hello]", agent="plain")
    run.text()
    assert completed(call, f"baton sessions show {session[:8]}") == {session}
    assert completed(call, f"baton runs show {run.id[:8]}") == {run.id}
    assert completed(call, "baton send new hello --agent pla") == {"plain"}
    assert completed(call, "baton send ne") == {"new"}


def test_completion_is_silent_without_a_server(call: Call) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    assert completed(call, "baton sessions show ", BATON_URL=away) == set()


def test_numbers_agree_with_their_nouns() -> None:
    assert [counted(number, "session") for number in (0, 1, 2)] == ["0 sessions", "1 session", "2 sessions"]


def test_invisible_characters_are_written_out() -> None:
    shown = written_out("rm\u202e\u200b \U000e0041\u3164\x1b[2J\tü漢\n")
    assert shown == "rm\\u202e\\u200b \\U000e0041\\u3164\\u001b[2J\\u0009ü漢\n"
