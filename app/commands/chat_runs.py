"""The runs of a conversation in the terminal, from a message to its answer."""

from __future__ import annotations

import click

from app.commands import exits
from app.commands.event_printer import EventPrinter
from app.commands.followed_run import FollowedRun, Interrupt, RunHandle
from app.commands.message_lines import message_lines
from app.commands.questions import QUESTIONS, answer
from baton_client import (
    BatonClient,
    BatonError,
    ConflictError,
    FormEvent,
    Json,
    MoreIterationsEvent,
    RunStream,
    SessionBusyError,
    StreamEvent,
    ToolApprovalEvent,
    UserMessageEvent,
)


class Leave(Exception):
    """The person leaves, or has to, with that exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ChatRuns:
    """`reading` follows runs, in a thread of its own; everything else is asked of `asked`: each client belongs to one
    thread at a time. What is raised, except `Leave`, is a BatonError."""

    def __init__(self, reading: BatonClient, asked: BatonClient, printer: EventPrinter) -> None:
        self._reading = reading
        self._asked = asked
        self._printer = printer
        self.failed = False
        """Did a run end otherwise than finished?"""

    def say(self, session: str, text: str, agent: str) -> None:
        """Says something and follows the run to its end. In a busy session the message waits, and the run at work is
        followed, up to the answer."""
        try:
            run = self._reading.run(session, text, agent=agent)
        except SessionBusyError as busy:
            self._asked.follow_up(session, text)
            self._printer.note(f"{busy}; your message waits for its turn", fg="yellow")
            if holder := busy.holder.get("id"):
                self.attach(session, str(holder))
            return
        self._follow(run)

    def attach(self, session: str, run_id: str) -> None:
        """Follows a run that was started elsewhere. Of one that has ended meanwhile, shows what became of it."""
        try:
            run = self._reading.attach(run_id)
        except ConflictError:
            messages = list(self._asked.session(session).get("messages") or ())
            for line in message_lines(messages[-1:]):
                click.echo(line)
            self._tell_end(run_id)
            return
        self._follow(run, attached=True)

    def _follow(self, run: RunStream, *, attached: bool = False) -> None:
        """To its end. The first Ctrl-C stops the run; a second one leaves while it ends."""
        handle = RunHandle(self._asked, run.session_id, run.id)
        stopping = False
        own = not attached
        with FollowedRun(run) as followed:
            for news in followed:
                interrupted = news is Interrupt.PRESSED
                if isinstance(news, str):
                    self._meanwhile(run.session_id, news)
                elif isinstance(news, StreamEvent):
                    if isinstance(news, UserMessageEvent) and own:
                        own = False  # the person sees it above
                    else:
                        self._tell(news)
                    if isinstance(news, QUESTIONS) and not (attached and not self._is_open(run.id, news)):
                        interrupted = not self._answer(followed, handle, news)
                if interrupted and stopping:
                    raise Leave(exits.INTERRUPTED)
                if interrupted:
                    stopping = True
                    self._stop(handle)
        self._printer.finish()
        self._tell_end(run.id)

    def _tell(self, event: StreamEvent) -> None:
        if isinstance(event, UserMessageEvent):
            self._printer.note(f"> {event.text}", bold=True)
        self._printer.tell(event)

    def _answer(self, followed: FollowedRun, handle: RunHandle, event: StreamEvent) -> bool:
        """False if Ctrl-C or Ctrl-D was the answer."""
        try:
            with followed.asked():
                if answer(handle, event, "ask", self._printer):
                    return True
        except (KeyboardInterrupt, click.Abort):
            return False
        self._printer.note(f"run {handle.id} waits for an answer")
        raise Leave(exits.WAITING)

    def _stop(self, handle: RunHandle) -> None:
        self._printer.note("stopping; Ctrl-C again leaves", fg="yellow")
        try:
            handle.cancel()
        except BatonError as error:  # it has ended by itself, or the server is away
            self._printer.note(f"! {error}", fg="yellow")

    def _is_open(self, run_id: str, event: StreamEvent) -> bool:
        """Of a run that began earlier, questions are shown that were answered long ago."""
        question: Json = {}
        question |= self._asked.get_run(run_id).get("waiting_for") or {}
        match event:
            case ToolApprovalEvent(call_id=call_id):
                return bool(question.get("call_id") == call_id)
            case MoreIterationsEvent():
                return bool(question.get("kind") == "max_iterations")
            case FormEvent():
                return bool(question.get("kind") == "elicitation")
        return False

    def _meanwhile(self, session: str, line: str) -> None:
        """A line that was typed while the run is at work."""
        if line == "/quit":
            raise Leave(exits.OK)
        if line.startswith("/"):
            self._printer.note("the agent is at work; Ctrl-C stops it, /quit leaves it at work", fg="yellow")
            return
        try:
            self._asked.follow_up(session, line)
        except BatonError as error:
            self._printer.note(f"! {error}", fg="red")
            return
        self._printer.note("your message waits for its turn", dim=True)

    def _tell_end(self, run_id: str) -> None:
        status = self._asked.get_run(run_id)["status"]
        if status != "finished":
            self.failed = True
            words = "the run failed; /retry does it again" if status == "failed" else f"the run was {status}"
            self._printer.note(words, fg="red")
