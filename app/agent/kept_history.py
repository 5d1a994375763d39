"""Messages that a run has checked and encoded, kept for the session's next run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import is_

from app.conversation.blocks import Block
from app.conversation.healing import heal
from app.conversation.pictures import has_pictures
from app.conversation.transcript import Message, Transcript, size_of
from app.errors import InvalidTranscript


@dataclass(slots=True)
class Group:
    """Rows of one role in a row: one message of the API, and one of the role `system` behind it if there is something
    for that. `end` is how many rows there were after its last one."""

    role: str
    content: list[Block] = field(default_factory=list)
    system: list[Block] = field(default_factory=list)
    encoded: bytes = b""
    end: int = 0

    def copy(self) -> Group:
        return Group(self.role, list(self.content), list(self.system), self.encoded, self.end)


@dataclass(slots=True)
class Seen:
    """Facts about a session's messages, in whatever order they are shown."""

    rows: Sequence[Message] = ()
    shown: list[Message] = field(default_factory=list)  # those that are not hidden from the model
    size: int = 0  # bytes
    next_position: int = 0
    call_ids: frozenset[str] = frozenset()
    has_pictures: bool = False

    def go_on(self, rows: Sequence[Message]) -> None:
        """There are more rows behind those."""
        new = rows[len(self.rows) :]
        self.rows = rows
        self.shown += [row for row in new if not row.is_hidden]
        self.size += sum(map(size_of, new))
        self.next_position = max([self.next_position, *(row.position + 1 for row in new)])
        self.call_ids |= {str(block.get("id")) for row in new for block in row.calls}
        self.has_pictures = self.has_pictures or any(map(has_pictures, new))


class KeptHistory:
    """Owned by one run at a time. Whatever is kept counts only for the very same message objects as before, in the same
    order from the beginning; what differs is made anew."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._valid: Sequence[Message] = ()
        self._transcript = Transcript()
        self._prompt = ""
        self._sent: Sequence[Message] = ()
        self._groups: Sequence[Group] = ()

    def see(self, rows: Sequence[Message]) -> None:
        """All of the session's messages, as they are stored."""
        if common(rows, self.seen.rows) < len(self.seen.rows):
            self.seen = Seen()
        self.seen.go_on(rows)

    def transcript(self, rows: Sequence[Message]) -> Transcript:
        """As `heal`."""
        known = len(self._valid)
        if common(rows, self._valid) < known:
            self._transcript, known = Transcript(), 0
        self._valid = ()
        try:
            valid = self._transcript.extended(rows[known:])
        except InvalidTranscript:
            self._transcript = Transcript()
            return heal(rows)
        self._valid, self._transcript = valid.rows, valid
        return valid

    def groups(self, rows: Sequence[Message], prompt: str) -> list[Group]:
        """The first groups of a request with these rows, as far as they are known; the caller may add to the last."""
        if prompt != self._prompt:
            return []
        same = common(rows, self._sent)
        known = [group for group in self._groups if group.end <= same]
        return [*known[:-1], *(group.copy() for group in known[-1:])]

    def keep_groups(self, rows: Sequence[Message], prompt: str, groups: Sequence[Group]) -> None:
        """All groups of a request with these rows, after they were encoded."""
        self._sent, self._prompt = rows, prompt
        self._groups = [*groups[:-1], *(group.copy() for group in groups[-1:])]


def common(rows: Sequence[Message], others: Sequence[Message]) -> int:
    """How many messages at the beginning of both are the same objects."""
    if all(map(is_, rows, others)):
        return min(len(rows), len(others))
    return next(
        index for index, (one, other) in enumerate(zip(rows, others, strict=False)) if one is not other
    )
