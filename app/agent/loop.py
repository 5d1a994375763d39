"""The loop: ask the model, store what it says, call its tools, go round.

A generator. It knows no thread, no database and no HTTP: it yields events for readers, facts to be stored and
questions to be answered (`app.agent.loop_steps`), and learns that it should stop from a cancellation it is given.
It ends by returning, or with an exception that says how: RunCancelled, or one of FAILURES.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, Final

from app.agent import model_catalogue
from app.agent.compactor import UNKNOWN_WINDOW, Compactor
from app.agent.history import History
from app.agent.kept_answers import KeptAnswers
from app.agent.loop_context import LoopContext
from app.agent.loop_events import agent_info, check_budgets, team_info
from app.agent.loop_hooks import LoopHooks
from app.agent.loop_steps import FAILURES, AgentChanged, SafePoint, Step, Steps
from app.agent.messaging import ToThread
from app.agent.model_caller import ModelCaller
from app.agent.outcome_judge import OutcomeJudge
from app.agent.repetition import Repetition
from app.agent.result_limit import ResultLimit
from app.agent.resumption import Resumption
from app.agent.routing import routed
from app.agent.summarizer import Summarizer
from app.agent.task_runner import TaskRunner
from app.agent.thread_runner import ThreadRunner
from app.agent.tool_listing import ToolListing
from app.agent.tool_runner import TRUNCATED, ToolRunner
from app.agent.toolset import Delegation, ModelChange, Tool, ToolResult
from app.agent.turn_calls import TurnCalls
from app.agent.turn_limit import TurnLimit
from app.agent.turn_runner import Said, TurnRunner
from app.conversation import events
from app.conversation.blocks import Block, plain_text
from app.conversation.hook_context import is_hook_context
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.conversation.wire_content import user_message_event
from app.errors import RunCancelled, SessionFull, ThreadInterrupted
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

MAX_PAUSES: Final = 10


class AgentLoop:
    """Agents at work on one session for one run. Owned by the run's thread."""

    def __init__(
        self,
        context: LoopContext,
        session: Session,
        agent: Agent,
        rows: Sequence[Message],
        *,
        resumption: Resumption | None = None,
        depth: int = 0,
        retries: bool = False,
    ) -> None:
        """`retries`: readers know the user's message already, which another run failed to answer."""
        self._context = context
        self._session = session
        self._resumption = resumption or Resumption()
        self._depth = depth
        self._retries = retries
        self._kept = KeptAnswers(context, session)
        summary = context.find_summary(session.id) if session.compactions else None
        kept = None if depth else context.kept
        self._history = History(rows, summary, cost=session.cost, kept=kept)
        if self._resumption.turns:
            self._history.begun_at = 0  # in another process
        ledger = self._resumption.ledger
        self._broken = frozenset(call.id for call in ledger.values() if call.broken)
        self._listing = ToolListing(session.id, self._resumption)
        self._take_over(agent)
        if self._resumption.turns:
            for row in [row for row in rows if row.role == "assistant"][-self._resumption.turns :]:
                context.budgets.spend(agent, row.usage, row.cost)

    def _take_over(self, agent: Agent) -> None:
        """This agent speaks from now on, with its own tools and its own prompt."""
        context, session, history = self._context, self._session, self._history
        agent = context.prefer(session, agent)
        self._toolbox = context.equip(session, agent)
        self._listing.take(self._toolbox, agent.name)
        self._hooks = LoopHooks(context, session, agent, history, context.hook(session, agent))
        self._repetition = Repetition(agent.max_consecutive_tool_calls)
        self._result_limit = ResultLimit(self._window_for, agent.max_tool_result_tokens)
        self._tool_runner = ToolRunner(
            context,
            session,
            agent.name,
            history,
            self._toolbox,
            self._hooks,
            self._resumption,
            self._delegate,
            self._switch,
            self._repetition,
            self._result_limit,
            agent.redact_secrets,
        )
        self._own = agent
        self._speak_as(agent)

    def _speak_as(self, agent: Agent) -> None:
        """The agent's next turns are those of its models."""
        context, session, history = self._context, self._session, self._history
        self._agent = agent
        self._switched_to: Agent | None = None
        self._digesting: tuple[ModelSpec, ...] = ()
        model_caller = ModelCaller(context, session, agent, self._toolbox, history, self._toolbox.definition)
        self._turn_runner = TurnRunner(context, session, agent, history, model_caller)
        self._judge = OutcomeJudge(context, session.id, history, model_caller)
        summarizer = Summarizer(context, agent, model_caller)
        self._compactor = Compactor(
            context, session.id, agent, history, model_caller, self._hooks, summarizer
        )

    @property
    def agent(self) -> Agent:
        """The agent that has the session, with its own models."""
        return self._own

    @property
    def last_words(self) -> str:
        """The agent's last message."""
        return self._history.last_words

    def run(self) -> Steps:
        """The whole stream of a run except its last event, which is sent when the session is free again."""
        try:
            was_in_prologue = not self._resumption.turns and self._listing.has_answer
            resumed = self._resumption.question is not None and not was_in_prologue
            yield from self._listing.steps() if resumed else self._prologue()
            yield from self._turns(listed=resumed)
            yield from self._epilogue("finished")
        except FAILURES as error:
            yield from self._hooks.failed(error)
            yield from self._epilogue("failed")
            raise
        finally:
            self._put_away()

    def compact(self, words: str) -> Steps:
        """The same of a run that only compacts the session; `words` are for the model that sums it up.
        CompactionFailed."""
        try:
            yield agent_info(self._agent)
            yield from self._listing.steps()
            yield events.StreamStarted(agent_name=self._agent.name, session_id=self._session.id)
            yield from self._compactor.compact_now(words)
        finally:
            self._put_away()

    def _put_away(self) -> None:
        """Stops the tools, also if the hooks don't stop."""
        try:
            self._hooks.stop()
        finally:
            self._toolbox.stop()

    # ---- the beginning

    def _prologue(self) -> Steps:
        agent = self._agent
        yield agent_info(agent)
        yield team_info(self._context.team, agent)
        queued = yield from self._queued_message()
        try:
            yield from self._listing.steps()
        except RunCancelled:
            yield from self._tell(queued)
            raise
        yield from self._greet(queued)
        if not queued and not self._retries:
            yield from self._user_message()
        yield events.StreamStarted(agent_name=agent.name, session_id=self._session.id)
        if self._depth == 0:
            yield from self._hooks.begin()

    def _epilogue(self, reason: str) -> Steps:
        """The run is over, and the user's turn comes. A run that was stopped has none."""
        if self._depth == 0:
            yield from self._hooks.end(reason)

    def _queued_message(self) -> Generator[Step, Any, Sequence[Message]]:
        """Lets in what a run that was started for the queue has to answer. Before the tools are listed: an interrupt
        that comes while a tool server starts would leave the message in the queue, for the next run to answer."""
        if self._depth or self._history.open_calls or not self._history.is_answered:
            return ()
        return (yield from self._arrivals(ending=True))

    def _user_message(self) -> Steps:
        if self._history.is_answered:
            return
        said = (row for row in reversed(self._history.rows) if row.role == "user" and not row.implicit)
        if (newest := next(said, None)) is not None:
            yield user_message_event(self._session.id, newest)

    # ---- round and round

    def _turns(self, *, listed: bool) -> Steps:
        """`listed`: the tools are those of the next turn already."""
        most = self._session.max_iterations or self._agent.max_iterations
        limit, pauses = TurnLimit(self._session.id, most, self._resumption), 0
        while True:
            yield from self._call_tools()
            idle = self._history.is_answered
            arrived = yield from self._safe_point(ending=idle)
            yield from self._hooks.end_turn("steered" if arrived else "normal" if idle else "continue")
            if idle and not arrived and not (yield from self._goes_on()):
                return
            if not listed:
                yield from self._listing.steps()
            listed = False
            if not (yield from limit.allows_turn(self._hooks)):
                yield from self._turn_runner.say(limit.words, aloud=False)
                return
            self._check_size()
            if not self._history.transcript.unserved:
                self._context.check_budget()
                yield from check_budgets(self._context.budgets, self._agent, self._session.id)
            yield from self._compactor.make_room()
            said = yield from self._take_turn(limit.turns)
            self._broken = said.broken_calls
            if said.stop_reason == "pause_turn" and pauses < MAX_PAUSES:
                pauses += 1
            elif said.stop_reason != "tool_use" or not self._history.open_calls:
                self._kept.keep(said.stop_reason, self._history.last_words)
                yield from self._cut_calls(said)
                yield from self._hooks.stopped()
                arrived = yield from self._safe_point(ending=True)
                yield from self._hooks.end_turn("steered" if arrived else "normal")
                if not arrived and not (yield from self._goes_on()):
                    return

    def _goes_on(self) -> Generator[Step, Any, bool]:
        """Is there something to revise, although the agent is done?"""
        return not self._depth and (yield from self._judge.goes_on())

    def _check_size(self) -> None:
        """Between turns, so that each call has its result when there is no room for more."""
        most = self._context.session_bytes
        if most and self._history.size >= most:
            self._context.tell_full(self._session.id)
            raise SessionFull.of(self._history.size, most)

    def _take_turn(self, number: int) -> Generator[Step, Any, Said]:
        """What the agent says next: what it said to the same question before, or what its model says."""
        known = yield from self._kept.say(
            self._agent, self._history.rows, partial(self._turn_runner.say, aloud=True)
        )
        if known is not None:
            return known
        yield from self._route()
        yield from self._hooks.begin_turn((self._digesting or self._agent.models)[0].id, number)
        first, self._digesting = self._digesting, ()
        said = yield from self._turn_runner.speak(first, self._compactor, self._listing.steps)
        yield from self._hooks.answered()
        return said

    def _route(self) -> Steps:
        """The user's newest message may be one for another of the agent's models."""
        users = (
            row for row in reversed(self._history.rows) if row.role == "user" and not is_hook_context(row)
        )
        said = next(users, None)
        agent = routed(self._own, plain_text(said.content) if said else "", self._context.team.models)
        if agent.models != self._agent.models:
            digesting = self._digesting
            self._speak_as(agent)
            self._digesting = digesting
            yield agent_info(agent)

    def _call_tools(self) -> Steps:
        """Every call of the last turn, in the model's order. Also goes on where a dead process stopped."""
        if not self._history.open_calls:
            return
        last = next(row for row in reversed(self._history.rows) if row.role == "assistant")
        self._result_limit.begin_turn()
        context = self._context
        calls = TurnCalls(self._tool_runner, context.tool_threads, self._history, context.cancellation)
        yield from calls.make(last.calls, self._broken)
        self._repetition.end_turn()
        self._hooks.check_stop()
        if self._switched_to is not None:
            self._own = self._switched_to
            self._speak_as(self._own)
        self._digesting = self._models_for(last.calls)
        yield from self._compactor.make_room()
        if self._tool_runner.handed_to is not None:
            yield from self._hand_over(self._context.team.agent(self._tool_runner.handed_to))

    def _models_for(self, calls: Sequence[Block]) -> tuple[ModelSpec, ...]:
        """The models that a toolset wants its results to be shown to, for one turn; of several the first one's."""
        tools = (self._toolbox.find(call["name"]) for call in calls)
        wanted = next((tool.model for tool in tools if tool is not None and tool.model), "")
        return self._context.team.models(wanted) if wanted else ()

    def _window_for(self, tool: Tool | None) -> int:
        """The smallest window of the models that a tool's result is shown to."""
        digesting = self._context.team.models(tool.model) if tool is not None and tool.model else ()
        known = [model_catalogue.facts(spec.model).window for spec in digesting]
        return min([self._compactor.window or UNKNOWN_WINDOW, *filter(None, known)])

    def _switch(self, change: ModelChange) -> Generator[Step, Any, ToolResult]:
        own = self._context.as_chosen(self._session, self._context.team.agent(self._agent.name))
        self._switched_to = own.with_(models=tuple(change.models)) if change.models else own
        yield agent_info(self._switched_to)
        return ToolResult(change.words)

    def _hand_over(self, target: Agent) -> Steps:
        yield AgentChanged(self._session.id, f"{self._context.team.key}/{target.name}")
        yield from self._hooks.end_turn("continue")
        yield from self._hooks.switched(self._own, target, "handoff")
        self._put_away()
        self._take_over(target)
        yield agent_info(self._agent)

    def _cut_calls(self, said: Said) -> Steps:
        """A turn that ended for another reason than its calls: they may be cut, so none of them runs."""
        if said.stop_reason in ("max_tokens", "model_context_window_exceeded"):
            words = "The answer was cut off: it reached the limit of what the model may write."
            if said.stop_reason == "model_context_window_exceeded":
                words = "The answer was cut off: the model's context window is full."
            yield events.Warning(agent_name=self._agent.name, message=words)
        last = self._history.rows[-1] if self._history.rows else None
        for block in last.calls if last and self._history.open_calls else ():
            row = yield from self._tool_runner.end(block, ToolResult.error(TRUNCATED), "failed")
            self._history.add(row)

    def _safe_point(self, *, ending: bool) -> Generator[Step, Any, bool]:
        """Lets new user messages in and tells of them; says whether there were any."""
        arrived = yield from self._arrivals(ending=ending)
        yield from self._greet(arrived)
        return bool(arrived)

    def _arrivals(self, *, ending: bool) -> Generator[Step, Any, Sequence[Message]]:
        """Lets new user messages in. A paused turn that goes on lets nobody in."""
        if self._context.cancellation.is_set():
            raise RunCancelled()
        if self._depth and not ending and self._context.is_interrupted(self._session.id):
            raise ThreadInterrupted()
        if self._history.transcript.unserved and not ending:
            return ()
        arrived: Sequence[Message] = (yield SafePoint(self._session.id, ending, self._agent.name)) or ()
        if arrived:
            self._history.arrive(arrived)
            self._repetition.forget()
        return arrived

    def _greet(self, arrived: Sequence[Message]) -> Steps:
        yield from self._tell(arrived)
        if arrived:
            yield from self._hooks.arrived(arrived)

    def _tell(self, arrived: Sequence[Message]) -> Steps:
        for row in arrived:
            yield user_message_event(self._session.id, row)

    def _delegate(self, call_id: str, task: Delegation | None) -> Generator[Step, Any, ToolResult]:
        to_thread = isinstance(task, ToThread) or (task is None and bool(self._own.roster))
        runner = (ThreadRunner if to_thread else TaskRunner)(
            self._context,
            self._session,
            self._own,
            self._agent,
            self._hooks,
            self._resumption,
            self._depth,
            AgentLoop,
        )
        return (yield from runner.run(call_id, task))
