"""Makes room in a model's window: what is older in the conversation gives way to a summary of it."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from itertools import takewhile
from typing import Any, Final, Protocol

import orjson

from app.agent import model_catalogue
from app.agent.history import History
from app.agent.loop_context import LoopContext
from app.agent.loop_hooks import LoopHooks
from app.agent.loop_steps import Condensed, PicturesLeftOut, Step, Steps
from app.agent.model_caller import SUMMARY_TOKENS, ModelAnswer, ModelCaller
from app.agent.model_client import ModelError
from app.agent.picture_limits import excess
from app.conversation import events
from app.conversation.compaction import (
    Cut,
    estimate,
    find_cut,
    with_fewer_pictures,
)
from app.conversation.pictures import pictures_of
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.errors import CompactionFailed, RunCancelled
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

Compacting = Generator[Step, Any, bool]

FULL: Final = 0.9
"""Share of the window: where it counts as nearly full."""
KEPT: Final = 0.1
"""Share of the window: how much of the newest is kept in its own words; a compaction must win as much, too."""
UNKNOWN_WINDOW: Final = 100_000
"""Tokens, for a model that nothing is known of and that has said that its window is full."""
MOST_IN_VAIN: Final = 2
"""Compactions in a row that did not help the model to get on; there is no third one."""
MANUAL: Final = "manual"
"""Why a compaction is made that somebody asked for, as hooks are told."""


class SummaryWriter(Protocol):
    """`app.agent.summarizer.Summarizer`, which the loop brings."""

    @property
    def writers(self) -> Sequence[ModelSpec]: ...

    def summary_of(
        self, rows: Sequence[Message], tokens: int, words: str
    ) -> Generator[Step, Any, tuple[ModelAnswer, str]]: ...


class Compactor:
    """Works on one session for one agent. Owned by the run's thread."""

    def __init__(
        self,
        context: LoopContext,
        session_id: str,
        agent: Agent,
        history: History,
        model_caller: ModelCaller,
        hooks: LoopHooks,
        summaries: SummaryWriter,
    ) -> None:
        self._hooks = hooks
        self._context = context
        self._session_id = session_id
        self._agent = agent
        self._history = history
        self._model_caller = model_caller
        self._summaries = summaries

    def make_room(self) -> Compacting:
        """Compacts the conversation if the window is nearly full and that would help; says whether it did so."""
        if self._agent.session_compaction is False:
            return False
        window = self.window
        may_be_many = self._history.has_pictures and not self._history.transcript.unserved
        if may_be_many and (gone := excess(self._history.rows, window)):
            yield from self._leave_out_pictures(gone, "The model's API takes no more of them.")
        fill = self._history.fill
        if not window or fill <= int(window * self._full) or self._history.transcript.unserved:
            return False
        if self._history.tried_at == self._history.next_position:
            return False
        cut = _best(self._cuts(int(window * KEPT)), window)
        if cut is None or fill - cut.kept_tokens < window * KEPT:
            return False
        if not self._is_worth_it():
            return False
        return (yield from self._compact(cut, window - min(SUMMARY_TOKENS, window // 20), "threshold"))

    def compact_now(self, words: str) -> Steps:
        """Compacts as much as can be, however much room there is; `words` are for the model, beside those of hooks.
        CompactionFailed."""
        history, window = self._history, self.window or UNKNOWN_WINDOW
        cut = None
        if not history.open_calls and not history.transcript.unserved:
            cut = _best([*self._cuts(int(window * KEPT)), *self._cuts(0)], window)
        room = window - min(SUMMARY_TOKENS, window // 20)
        if cut is None or not (yield from self._compact(cut, room, MANUAL, words)):
            yield self._progress("started")
            yield self._progress("completed", "skipped")

    def recover(self) -> Compacting:
        """Compacts a conversation that did not fit into the window; says whether it is shorter now."""
        if self._agent.session_compaction is False:
            return False
        window = self.window or UNKNOWN_WINDOW
        cut = _best([*self._cuts(int(window * KEPT)), *self._cuts(0)], window)
        if cut is None or not self._is_worth_it():
            return False
        yield self._warning("The conversation does not fit into the model's context window; it is compacted.")
        return (yield from self._compact(cut, min(window, self._history.fill) // 2, "overflow"))

    def leave_out_refused(self, words: str) -> Compacting:
        """Leaves out the picture that the API has refused in these words, or all if it named none; says whether there
        was one."""
        rows = self._history.rows
        named = self._model_caller.named_rows(words) or rows
        if (
            "many-image" in words
        ):  # it names the first, and nobody here knows how large those at an address are
            named = [*named, *(row for row in rows if row not in named and _has_addresses(row))]
        gone = [row.position for row in named if row.position >= 0 and any(pictures_of(row))]
        if not gone:
            return False
        yield from self._leave_out_pictures(gone, "The model's API refuses it.")
        return True

    @property
    def is_newest_too_long(self) -> bool:
        """Is what the user has said last most of the conversation?"""
        said = list(takewhile(lambda row: row.role == "user", reversed(self._history.rows)))
        return sum(map(estimate, said)) > sum(map(estimate, self._history.rows)) / 2

    def _leave_out_pictures(self, positions: Sequence[int], why: str) -> Steps:
        history = self._history
        summary = with_fewer_pictures(history.summary, next_position=history.next_position)
        history.leave_out_pictures(positions, summary)
        yield PicturesLeftOut(self._session_id, positions, summary)
        yield self._warning(
            f"The pictures of {len(positions)} messages are not shown to the model any more. {why}"
        )

    def _is_worth_it(self) -> bool:
        """An attempt was made in vain if the next one is due before the model has had a second turn, or when it has
        only done again what it had done before. After some of these in a row none is made until it does better."""
        history = self._history
        since = [row for row in history.rows if row.position >= history.tried_at]
        turns, done = sum(row.role == "assistant" for row in since), set(_done(since))
        is_vain = turns <= 1 or (bool(done) and done <= history.done)
        in_vain = history.in_vain + 1 if history.tried_at >= 0 and is_vain else 0
        if in_vain >= MOST_IN_VAIN:
            return False
        history.tried_at, history.in_vain = history.next_position, in_vain
        history.done |= done
        return True

    @property
    def window(self) -> int:
        """The window of the model that will speak, as far as that is known; 0 if nothing is known of it."""
        windows = [model_catalogue.facts(spec.model).window for spec in self._model_caller.chain.first]
        summarizing = [model_catalogue.facts(spec.model).window for spec in self._summaries.writers]
        return min([*windows, *filter(None, summarizing)])

    @property
    def _full(self) -> float:
        """The part of the window at which it counts as nearly full."""
        own = [spec.compaction_threshold for spec in self._model_caller.chain.first]
        return next(filter(None, own), self._agent.compaction_threshold or FULL)

    def _cuts(self, keep_tokens: int) -> list[Cut]:
        """The best first. Results that the model has not seen stay, unless an earlier run has left them, and there is
        no room with them: it may have failed for that very reason."""
        history = self._history
        results = [row.position for row in history.rows if row.role == "tool"]
        choices = (True, False) if results and results[-1] < history.begun_at else (True,)
        cuts = (
            find_cut(
                history.rows, keep_tokens=keep_tokens, next_position=history.next_position, keeps_unseen=keeps
            )
            for keeps in choices
        )
        return [cut for cut in cuts if cut is not None]

    def _compact(self, cut: Cut, tokens: int, reason: str, words: str = "") -> Compacting:
        """`tokens` is how much of the conversation the model is shown at first. CompactionFailed if somebody asked for
        it; else that is told, and the run goes on."""
        self._context.check_budget()
        wish = yield from self._hooks.before_compaction(reason, self.window)
        if wish is None:
            self._history.in_vain = max(0, self._history.in_vain - 1)
            return False
        yield self._progress("started")
        try:
            asked, text = None, wish.summary
            if not text:
                words = "\n".join(filter(None, (wish.words, words)))
                asked, text = yield from self._summaries.summary_of(cut.older, tokens, words)
        except ModelError as error:
            yield from self._model_caller.settle()
            if error.kind == "cancelled":
                raise RunCancelled() from error
            failure = CompactionFailed(f"failed to compact the conversation: {error}")
            if reason != MANUAL:
                yield events.Error(error=failure.message, session_id=self._session_id, code=failure.code)
            yield self._progress("completed", "failed")
            yield self._token_usage()
            if reason == MANUAL:
                raise failure from error
            return False
        yield from self._model_caller.settle()
        summary = self._summary(cut, asked, text)
        self._history.condense(summary)
        self._context.budgets.spend(self._agent, summary.usage, summary.cost)
        yield Condensed(self._session_id, summary)
        yield events.SessionSummaryEvent(
            agent_name=self._agent.name,
            session_id=self._session_id,
            summary=text,
            first_kept_entry=cut.through + 1,
        )
        yield self._progress("completed", "applied")
        yield from self._hooks.after_compaction(wish, text)
        yield self._token_usage()
        return True

    def _summary(self, cut: Cut, asked: ModelAnswer | None, text: str) -> Summary:
        """Without an answer of a model a hook has written it."""
        before = self._history.summary
        return Summary(
            number=before.number + 1 if before else 1,
            text=text,
            through=cut.through,
            newest_from=cut.newest_from,
            newest_to=cut.newest_to,
            made_at=self._history.next_position,
            agent=self._agent.name,
            model=asked.turn.model or asked.spec.id if asked else "",
            usage=asked.turn.usage if asked else None,
            cost=asked.cost if asked else 0.0,
        )

    def _progress(self, status: str, outcome: str = "") -> Step:
        return events.SessionCompaction(
            agent_name=self._agent.name, session_id=self._session_id, status=status, outcome=outcome
        )

    def _warning(self, words: str) -> Step:
        return events.Warning(agent_name=self._agent.name, message=words)

    def _token_usage(self) -> Step:
        session = self._context.look(self._session_id)
        body = {
            "input_tokens": session.input_tokens,
            "output_tokens": session.output_tokens,
            "context_length": session.input_tokens + session.output_tokens,
            "context_limit": self.window,
            "cost": self._history.cost,
        }
        return events.TokenUsage(agent_name=self._agent.name, session_id=self._session_id, usage=body)


def _best(cuts: Sequence[Cut], window: int) -> Cut | None:
    """The first that leaves what fits into the window, else the first."""
    return next((cut for cut in cuts if cut.kept_tokens <= window * FULL), cuts[0] if cuts else None)


def _has_addresses(row: Message) -> bool:
    return any(picture.get("source", {}).get("type") != "base64" for picture in pictures_of(row))


def _done(rows: Sequence[Message]) -> Iterator[bytes]:
    """Each call with its result, to be compared."""
    made = {block["id"]: [block["name"], block["input"]] for row in rows for block in row.calls}
    for row in rows:
        if row.role == "tool" and (call := made.get(row.content[0]["tool_use_id"])):
            text = orjson.dumps([call, row.content[0].get("content")], option=orjson.OPT_SORT_KEYS)
            yield hashlib.sha256(text).digest()
