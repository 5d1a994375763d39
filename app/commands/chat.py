"""`baton chat`: a conversation with an agent in the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

import click

from app.commands import exits
from app.commands.chat_runs import ChatRuns, Leave
from app.commands.completion import complete_agent, complete_session
from app.commands.event_printer import EventPrinter
from app.commands.line_input import LineInput, history_file
from app.commands.message_lines import message_lines
from app.commands.refusals import exit_code
from app.commands.server_options import (
    STREAM_RETRY_SECONDS,
    ServerOptions,
    pass_asking,
    session_id,
)
from baton_client import LIVE, BatonClient, BatonError, UnavailableError

PROMPT: Final = "you> "
DEFAULT_AGENT: Final = "assistant"
SHOWN_MESSAGES: Final = 6
HELP: Final = {
    "/help": "show this",
    "/new": "begin a new session",
    "/agent [NAME]": "list the agents; talk to another one",
    "/model [NAME]": "list the models; choose another one",
    "/undo": "take back your last message, and all that came after it",
    "/retry": "do the last turn again, if it failed",
    "/compact": "let the model sum up the conversation",
    "/quit": "leave; Ctrl-D, or Ctrl-C twice, does the same",
}


@click.command("chat")
@click.argument("session", required=False, shell_complete=complete_session)
@click.option("--agent", shell_complete=complete_agent, help="The agent: FILE or FILE/NAME.")
@click.option("--working-dir", help="For a new session: where its tools work.")
@pass_asking
@click.pass_context
def command(
    context: click.Context,
    asking: ServerOptions,
    session: str | None,
    agent: str | None,
    working_dir: str | None,
) -> None:
    """Talk to an agent in the terminal.

    Goes on with SESSION, or begins a new one. A message that is typed while the agent works waits for its turn. Ctrl-C
    stops the run, twice leaves. /help lists what else there is. A line that ends with a backslash goes on in the next.
    """
    with (
        asking.baton(retry_seconds=STREAM_RETRY_SECONDS) as reading,
        asking.baton() as asked,
    ):
        chat = Chat(reading, asked, agent, working_dir)
        if session:
            chat.take_up(session_id(asked, session))
        context.exit(chat.talk())


class Chat:
    def __init__(
        self, reading: BatonClient, asked: BatonClient, agent: str | None, working_dir: str | None
    ) -> None:
        self._asked = asked
        self._agent = agent
        self._working_dir = working_dir
        self._session = ""
        self._code: int = exits.OK
        self._printer = EventPrinter(as_json=False)
        self._runs = ChatRuns(reading, asked, self._printer)
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/new": self._new,
            "/agent": self._choose_agent,
            "/model": self._choose_model,
            "/undo": self._undo,
            "/retry": self._retry,
            "/compact": self._compact,
            "/quit": self._quit,
        }

    def take_up(self, session: str) -> None:
        """Goes on with a session: shows its newest messages, and the run at work, if there is one."""
        found = self._asked.session(session)
        self._session = session
        if self._agent is None:
            runs = self._asked.runs(session=session)
            self._agent = str(runs[0]["agent"]) if runs else None
        for line in message_lines(list(found.get("messages") or ())[-SHOWN_MESSAGES:]):
            click.echo(line)
        if run := found.get("run"):
            self._runs.attach(self._session, str(run["id"]))

    def talk(self) -> int:
        """Until the person leaves, or the input ends; returns the exit code. In a pipe it tells what went wrong
        last, as nobody reads along."""
        lines = LineInput(history_file(os.environ), list(self._commands))
        interrupted = False
        while True:
            try:
                text = lines.read(PROMPT)
                interrupted = False
                self._heed(text)
            except EOFError:
                click.echo(err=True)
                break
            except (KeyboardInterrupt, click.Abort):
                if interrupted:
                    return exits.INTERRUPTED
                interrupted = True
                self._printer.note("Ctrl-C again leaves; so does /quit")
            except Leave as leave:
                if leave.code != exits.OK:
                    return leave.code
                break
        if self._session:
            self._printer.note(f"`baton chat {self._session}` goes on here", dim=True)
        return exits.OK if sys.stdin.isatty() else self._code

    def _heed(self, text: str) -> None:
        """A refusal is told, and the conversation goes on. Only a server that is away from the beginning ends
        it. An empty line follows the run at work, if there is one."""
        name, _, rest = text.partition(" ")
        try:
            if name in self._commands:
                self._commands[name](rest.strip())
            elif name.startswith("/"):
                self._printer.note(f"there is no {name}; /help lists the commands", fg="yellow")
            elif text:
                self._say(text)
            elif self._session and (live := self._asked.runs(session=self._session, status=LIVE)):
                self._runs.attach(self._session, live[0]["id"])
            if self._runs.failed:
                self._code = exits.FAILED
        except UnavailableError as error:
            if not self._session:
                raise
            self._code = exit_code(error)
            self._printer.note(f"! {error}; an empty line tries again to follow the run", fg="red")
        except BatonError as error:
            self._code = exit_code(error)
            self._printer.note(f"! {error}", fg="red")

    # what is said, and what comes of it

    def _say(self, text: str) -> None:
        if not self._session:
            self._session = str(self._asked.create_session(working_dir=self._working_dir)["id"])
            self._printer.note(f"session {self._session}", dim=True)
        self._agent = self._agent or self._first_agent()
        self._runs.say(self._session, text, self._agent)

    def _first_agent(self) -> str:
        """The one that other commands take, or the first one that there is."""
        names = [str(agent["name"]) for agent in self._asked.agents()]
        return DEFAULT_AGENT if DEFAULT_AGENT in names or not names else names[0]

    # commands

    def _help(self, _: str) -> None:
        for name, about in HELP.items():
            self._printer.note(f"{name:15} {about}")

    def _new(self, _: str) -> None:
        self._session = ""
        self._printer.note("a new session begins with your next message")

    def _choose_agent(self, name: str) -> None:
        if name:
            self._agent = name
            return
        for agent in self._asked.agents():
            mark = "*" if agent["name"] == (self._agent or "").partition("/")[0] else " "
            self._printer.note(f"{mark} {agent['name']:20} {agent.get('description') or ''}")

    def _choose_model(self, name: str) -> None:
        self._need_session()
        if name:
            chosen = self._asked.choose_model(self._session, name)
            self._printer.note(f"{chosen.get('agent_name')} asks {chosen.get('model')} from its next run on")
            return
        for model in self._asked.models(self._session):
            mark = "*" if model.get("is_current") else " "
            self._printer.note(f"{mark} {model.get('ref') or model.get('name')}")

    def _undo(self, _: str) -> None:
        self._need_session()
        removed = self._asked.undo(self._session)
        self._printer.note(f"took back {removed} {'message' if removed == 1 else 'messages'}")

    def _retry(self, _: str) -> None:
        self._need_session()
        self._runs.attach(self._session, self._asked.retry(self._session))

    def _compact(self, words: str) -> None:
        self._need_session()
        self._runs.attach(self._session, self._asked.compact(self._session, words))
        self._printer.note("summed up")

    def _quit(self, _: str) -> None:
        raise Leave(exits.OK)

    def _need_session(self) -> None:
        if not self._session:
            raise BatonError("say something first")
