"""Messages from an agent to others that answer in threads of their own, and keep them in mind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from app.agent.tools.function_tool import function_tool, tool
from app.agent.toolset import Delegation, Tool, ToolResult
from app.conversation.session_thread import MAX_THREADS, SessionThread
from app.managed_ids import thread_id
from app.team.colleague import Colleague

SEND: Final = "send_to_agent"
LIST: Final = "list_agents"
TOOLS: Final = frozenset({SEND, LIST})
NEW: Final = "new"


@dataclass(frozen=True, slots=True)
class ToThread(Delegation):
    """A message, the `task`, to a thread of the agent: its newest one, if `thread` is empty, the one with that id, or a
    new one."""

    thread: str = ""


def messaging_tools(roster: Sequence[Colleague]) -> list[Tool]:
    """The tools of an agent that has a roster."""
    messenger = Messenger(tuple(roster))
    return [
        function_tool(messenger.list_agents, "threads"),
        function_tool(messenger.send_to_agent, "threads"),
    ]


@dataclass(frozen=True, slots=True)
class Messenger:
    roster: tuple[Colleague, ...]

    @tool(read_only=True, in_order=True, output_schema=None)
    def list_agents(self) -> ToolResult:
        """Lists the agents that you can send messages to."""
        return ToolResult(self._listed())

    @tool(read_only=True, in_order=True, output_schema=None)
    def send_to_agent(
        self,
        agent: Annotated[str, "The name or the id of the agent, as list_agents shows it."],
        message: Annotated[str, "What you have to say to it."],
        thread: Annotated[
            str,
            "Empty: go on in the agent's newest thread, if it has one. Else the id of one of its threads, or `new` for "
            "one that knows nothing of the others.",
            {"default": ""},
        ] = "",
    ) -> ToolResult | Delegation:
        """Sends a message to another agent and waits for its answer. It works in the same directory as you do, in a
        thread of its own: it sees nothing of this conversation, but remembers what you have sent to that thread before
        and what it has done there."""
        found = [one for one in self.roster if agent in (one.name, one.id)]
        if not found:
            return ToolResult.error(f'There is no agent "{agent}". There are:\n{self._listed()}')
        if len(found) > 1:
            return ToolResult.error(f'Several agents are called "{agent}"; use an id:\n{self._listed()}')
        if not message.strip():
            return ToolResult.error("The message must not be empty.")
        return ToThread(found[0].key, message, thread=thread.strip())

    def _listed(self) -> str:
        lines = (
            f"- {one.name} ({one.id})" + (f": {one.description}" if one.description else "")
            for one in self.roster
        )
        return "\n".join(lines)


def chosen_thread(message: ToThread, threads: Sequence[SessionThread]) -> SessionThread | ToolResult | None:
    """The thread that a message goes to; None for a new one, a result in words if there can't be one."""
    own = [one for one in threads if one.agent == message.agent]
    alive = [one for one in own if one.status != "terminated"]
    if message.thread in ("", NEW):
        if alive and not message.thread:
            return alive[-1]
        if sum(one.status != "terminated" for one in threads) >= MAX_THREADS:
            return ToolResult.error(
                f"There are {MAX_THREADS} threads, and can't be more: go on in one of them, or let one be archived."
            )
        return None
    for one in own:
        if thread_id(one.session.id) == message.thread:
            return one if one in alive else ToolResult.error(f"The thread {message.thread} has ended.")
    return ToolResult.error(f"This agent has no thread {message.thread}.")


def answer_of(thread: str, words: str) -> str:
    """An agent's answer as the one that has asked reads it; `thread` is the id of the session where it was given."""
    return f"{words or '(no output)'}\n\n[from the thread {thread_id(thread)}]"
