"""A session's conversation as its model is shown it, while a run adds to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from app.agent.kept_history import KeptHistory
from app.conversation.blocks import plain_text
from app.conversation.compaction import condensed, fill
from app.conversation.healing import heal
from app.conversation.pictures import has_pictures, marked
from app.conversation.summary import Summary
from app.conversation.system_words import is_context
from app.conversation.transcript import Message, Transcript, size_of


class History:
    """Owned by a run's thread. `rows` are all that are stored, `summary` is the newest one.

    Positions are counted here: nobody else writes to the session while the run has it.
    """

    def __init__(
        self,
        rows: Sequence[Message],
        summary: Summary | None,
        *,
        cost: float,
        kept: KeptHistory | None = None,
    ) -> None:
        """`kept` is what earlier runs have made of these rows."""
        self.kept = kept or KeptHistory()
        self.kept.see(rows)
        self.size = self.kept.seen.size  # bytes of the session's messages, stored
        self.cost = cost  # USD, of the session's own model calls
        self.tried_at = (
            -1
        )  # how much of the conversation there was at this run's last attempt at a compaction
        self.in_vain = 0  # how many of them in a row have won nothing
        self.done: set[bytes] = set()  # digests of the calls and results before it
        self.summary = summary
        self.has_pictures = self.kept.seen.has_pictures  # in any of them
        self.next_position = self.kept.seen.next_position
        self.begun_at = self.next_position  # where what this run adds begins
        self._used_ids = set(self.kept.seen.call_ids)
        self.transcript: Transcript = self.kept.transcript(condensed(self.kept.seen.shown, summary))

    @property
    def rows(self) -> tuple[Message, ...]:
        return self.transcript.rows

    @property
    def is_answered(self) -> bool:
        """Is there nothing to answer? That is the case when a run is started for messages that wait in the queue."""
        last = next((row for row in reversed(self.rows) if not is_context(row)), None)
        return last is None or (last.role == "assistant" and last.stop_reason != "pause_turn")

    @property
    def last_words(self) -> str:
        """The agent's last message."""
        said = next((row for row in reversed(self.rows) if row.role == "assistant"), None)
        return plain_text(said.content).strip() if said else ""

    @property
    def has_calls(self) -> bool:
        """Is there a tool call? In a valid transcript it has its result, unless it is open."""
        return self.transcript.has_calls

    @property
    def open_calls(self) -> tuple[str, ...]:
        return self.transcript.open_calls

    @property
    def fill(self) -> int:
        """About how many tokens of the model's window the conversation takes."""
        return fill(self.rows, since=self.summary.made_at if self.summary else 0)

    def add(self, row: Message) -> None:
        """A row of this run, made with `next_position`."""
        self.transcript = self.transcript.add(row)
        self._grow((row,))
        self.next_position += 1

    def arrive(self, rows: Sequence[Message]) -> None:
        """Messages that somebody else put in at a safe point."""
        self.transcript = heal([*self.rows, *rows])
        self._grow(rows)
        self.next_position = max([self.next_position, *(row.position + 1 for row in rows)])

    def _grow(self, rows: Sequence[Message]) -> None:
        self.size += sum(map(size_of, rows))
        self.has_pictures = self.has_pictures or any(map(has_pictures, rows))

    def condense(self, summary: Summary) -> None:
        """From now on the model is shown this instead of what it stands for."""
        self.summary = summary
        self.cost += summary.cost
        self.transcript = heal(condensed(self.rows, summary))

    def leave_out_pictures(self, positions: Collection[int], summary: Summary) -> None:
        """From now on the model is not shown the pictures of these rows; the summary begins its new prompt."""
        self.summary = summary
        self.transcript = heal(condensed(marked(self.rows, positions), summary))

    def ids_to_come(self, wanted: Iterable[str]) -> list[str]:
        """The ids that `free_ids` would give now."""
        return self.transcript.free_ids(wanted, taken=self._used_ids)

    def free_ids(self, wanted: Iterable[str]) -> list[str]:
        """Ids for new tool calls that the session has not used yet, not even in what is only summarized."""
        free = self.ids_to_come(wanted)
        self._used_ids.update(free)
        return free
