"""All tool calls of a turn, in the model's order. Calls that only read and stand next to each other are made side by
side; every other call waits for those before it, and those after it wait for it.

However they are made, results are stored and told in the order of the calls, and a call's handler begins after the
ledger knows of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

from app.agent.history import History
from app.agent.loop_steps import Steps
from app.agent.model_client import Cancellation
from app.agent.tool_runner import UNREADABLE, ApprovedCall, ToolRunner
from app.agent.tool_threads import CallCancellation, RunningCall, ToolThreads
from app.agent.toolset import ToolResult
from app.conversation.blocks import Block
from app.errors import RunCancelled

SIDE_BY_SIDE: Final = 8
"""Calls of one run that are under way at the same time: a model that asks for forty pages should not open forty
connections at once."""


class TurnCalls:
    """Made for one turn. Owned by the run's thread, which alone stores and tells; handlers may be on other threads."""

    def __init__(
        self, tool_runner: ToolRunner, tool_threads: ToolThreads, history: History, cancellation: Cancellation
    ) -> None:
        self._tool_runner = tool_runner
        self._tool_threads = tool_threads
        self._history = history
        self._cancellation = cancellation
        self._leave = CallCancellation(cancellation)
        self._under_way: deque[tuple[ApprovedCall, RunningCall]] = deque()

    def make(self, calls: Sequence[Block], broken: Collection[str]) -> Steps:
        """Also goes on where a dead process stopped. `broken` are the ids of calls whose arguments are not JSON.

        RunCancelled comes when every handler that had begun has ended, with its result stored.
        """
        try:
            yield from self._make(calls, broken)
        except RunCancelled:
            yield from self._collect_cancelled()
            raise
        finally:
            self._leave.take()
            for _, handling in self._under_way:
                handling.drop()

    def _make(self, calls: Sequence[Block], broken: Collection[str]) -> Steps:
        for place, block in enumerate(calls):
            if block["id"] not in self._history.open_calls:
                self._tool_runner.recall(block)
                continue
            if self._cancellation.is_set():
                raise RunCancelled()
            # A thread is worth its while only if there is another call to run meanwhile.
            has_company = bool(self._under_way) or any(
                map(self._tool_runner.only_reads, calls[place + 1 :][:1])
            )
            beside = self._tool_runner.beside(block) if has_company and block["id"] not in broken else None
            if beside is None:
                yield from self._collect()
                yield from self._make_alone(block, broken)
                continue
            yield from self._collect(leave=SIDE_BY_SIDE - 1)
            begun = yield from self._tool_runner.begin(*beside, beside=True)
            work = partial(self._tool_runner.work, begun, self._leave)
            self._under_way.append((begun, self._tool_threads.start(work)))
        yield from self._collect()

    def _make_alone(self, block: Block, broken: Collection[str]) -> Steps:
        if block["id"] in broken:
            row = yield from self._tool_runner.end(block, ToolResult.error(UNREADABLE), "failed")
        else:
            row = yield from self._tool_runner.call(block)
        self._history.add(row)

    def _collect(self, *, leave: int = 0) -> Steps:
        """Waits for the oldest calls, until not more than that are under way."""
        while len(self._under_way) > leave:
            begun, handling = self._under_way[0]
            try:
                row = yield from self._tool_runner.finish(begun, handling.outcome)
            except RunCancelled:
                self._under_way.popleft()
                raise
            self._under_way.popleft()
            self._history.add(row)

    def _collect_cancelled(self) -> Steps:
        """Each handler was told, and says how far it got."""
        while self._under_way:
            try:
                yield from self._collect()
            except RunCancelled:
                pass
