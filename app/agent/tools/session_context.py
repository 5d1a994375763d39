"""The `session_context` toolset: what was said in earlier sessions of the same owner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.toolset import ToolResult
from app.conversation.blocks import plain_text, result_text
from app.conversation.transcript import Message

DEFAULT_LISTED: Final = 20
MOST_LISTED: Final = 100
MAX_CHARACTERS: Final = 24_000


@dataclass(frozen=True, slots=True)
class EarlierSession:
    """`created_at` is in seconds since the epoch."""

    id: str
    title: str
    created_at: float
    messages: int
    starred: bool = False

    @property
    def created(self) -> str:
        return datetime.fromtimestamp(self.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class EarlierSessions(Protocol):
    """The other sessions of the run's owner; nobody else's."""

    def newest(self, limit: int) -> Sequence[EarlierSession]:
        """The newest first, without tasks of other sessions."""
        ...

    def read(self, session_id: str) -> tuple[EarlierSession, Sequence[Message]] | None:
        """None for one that is not there, or not the owner's."""
        ...


class NoSessions:
    """For toolsets that are built outside of a run."""

    def newest(self, limit: int) -> Sequence[EarlierSession]:  # noqa: ARG002 - there are none
        return ()

    def read(self, session_id: str) -> None:  # noqa: ARG002 - there are none
        return None


class SessionContextToolset(FunctionToolset):
    category = "session_context"
    instructions = (
        "When the user speaks of earlier work, look for it with list_sessions and read it with read_session, rather "
        "than ask for it again. Read a session only if it has to do with the task."
    )

    def __init__(self, sessions: EarlierSessions) -> None:
        self._sessions = sessions

    @tool(title="List Sessions", read_only=True)
    def list_sessions(
        self, limit: Annotated[int, "How many at most: 20, unless said otherwise, and no more than 100"] = 0
    ) -> ToolResult:
        """Lists earlier sessions, the newest first, with id, title, time and number of messages. This session is not
        among them."""
        most = min(limit, MOST_LISTED) if limit > 0 else DEFAULT_LISTED
        return ToolResult(
            json.dumps([_described(one) for one in self._sessions.newest(most)], ensure_ascii=False)
        )

    @tool(title="Read Session", read_only=True)
    def read_session(
        self,
        session_id: Annotated[
            str, "An id from list_sessions; or -1 for the newest session, -2 for the one before it"
        ],
    ) -> ToolResult:
        """Reads what was said in an earlier session. Of a long one the newest messages are shown."""
        wanted = session_id.strip()
        if not wanted:
            return ToolResult.error("session_id must not be empty")
        if wanted[0] == "-" and wanted[1:].isascii() and wanted[1:].isdigit():
            place = int(wanted[1:])
            newest = self._sessions.newest(place) if 0 < place <= MOST_LISTED else ()
            if len(newest) < place or not place:
                return ToolResult.error(f'cannot resolve session "{wanted}": there is none')
            wanted = newest[place - 1].id
        found = self._sessions.read(wanted)
        if found is None:
            return ToolResult.error(f'session "{wanted}" not found')
        return ToolResult(_transcript(*found))


def _described(session: EarlierSession) -> dict[str, object]:
    body: dict[str, object] = {
        "id": session.id,
        "title": session.title,
        "created_at": session.created,
        "num_messages": session.messages,
    }
    return {**body, "starred": True} if session.starred else body


def _transcript(session: EarlierSession, rows: Sequence[Message]) -> str:
    head = (
        f"# Session {session.id} — {session.title.strip() or '(untitled)'}\n"
        f"Created: {session.created}\nMessages: {session.messages}\n"
    )
    kept: list[str] = []
    left = MAX_CHARACTERS - len(head)
    said = [words for row in rows if (words := _words(row))]
    for words in reversed(said):
        left -= len(words) + 2
        if left < 0 and kept:
            break
        kept.append(words[:MAX_CHARACTERS])
    omitted = len(said) - len(kept)
    note = f"\n[{omitted} earlier messages are left out]\n" if omitted else ""
    return head + note + "".join(f"\n{words}\n" for words in reversed(kept))


def _words(row: Message) -> str:
    if row.role == "tool":
        text, head = result_text(row.content[0]), "## tool result"
    else:
        text, head = plain_text(row.content), f"## {row.role}"
    made = [(call["name"], json.dumps(call["input"], ensure_ascii=False)) for call in row.calls]
    calls = [f"→ called tool `{name}` with {arguments}" for name, arguments in made]
    parts = [part for part in (text.strip(), *calls) if part]
    return "\n".join([head, *parts]) if parts else ""
