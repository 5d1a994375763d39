"""A run's writes while it has the baton, and its reads of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, exists, func, insert, select, update

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.pictures import LEFT_OUT
from app.conversation.queued_message import QUEUE_KINDS
from app.conversation.run import Baton, CallState, Question, ToolCall
from app.conversation.session import Session
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.store.call_ledger import changing_call, ledger_row, set_call
from app.store.clock import now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.fence import Fence
from app.store.joined_writes import Write
from app.store.prepared_statements import MAX_ROWS, Prepared
from app.store.quotas import spend, spending_on
from app.store.row_mapping import call_of, dump, summary_of
from app.store.run_reads import Look, look_of, looking
from app.store.session_rows import (
    NEXT_POSITION,
    add_session,
    add_summary,
    append_messages,
    appending,
    change_session,
    set_pause,
)
from app.store.tables import (
    messages,
    prompts,
    queued_messages,
    runs,
    sessions,
    summaries,
    tool_calls,
)
from app.store.tool_state_rows import keeping

_something_waits: Final = exists().where(
    queued_messages.c.session_id == bindparam("here"),
    queued_messages.c.taken_by.is_(None),
    one_of(queued_messages.c.kind, QUEUE_KINDS),
)
_COUNT: Final = Prepared(
    update(sessions)
    .where(sessions.c.id == bindparam("here"))
    .values(
        cost=sessions.c.cost + bindparam("spent"),
        input_tokens=func.coalesce(bindparam("read", type_=BigInteger), sessions.c.input_tokens),
        output_tokens=func.coalesce(bindparam("written", type_=BigInteger), sessions.c.output_tokens),
    )
    .returning(_something_waits)
)
_ADD_PROMPT: Final = Prepared(
    insert(prompts).values(created_at=now()), columns=[column.key for column in prompts.c]
)
_ADD_CALLS: Final = Prepared(
    insert(tool_calls).values(position=NEXT_POSITION),
    columns=[
        *(column.key for column in tool_calls.c if not column.nullable and column.key != "position"),
        "broken",
    ],
)
_WAIT: Final = Prepared(
    update(runs)
    .where(runs.c.id == bindparam("asking_run"))
    .values(
        status=bindparam("how"),
        waiting_for_json=bindparam("what"),
        answer_json=None,
        worked_seconds=bindparam("worked"),
    )
)
_NOW: Final = Prepared(select(now()))
_TURNS: Final = Prepared(
    select(func.count()).where(
        messages.c.session_id == bindparam("of_session"),
        messages.c.run_id == bindparam("of_run"),
        messages.c.role == "assistant",
    )
)
_in_session: Final = messages.c.session_id == bindparam("of_session")
_MARK: Final = Prepared(
    update(messages).where(_in_session, messages.c.position == bindparam("there")), columns=["partial"]
)
_LAST_ANSWER: Final = Prepared(
    select(func.max(messages.c.position)).where(_in_session, messages.c.role != "user")
)
_REFUSE: Final = Prepared(
    update(messages).where(_in_session, messages.c.position > bindparam("after")).values(partial="refused")
)
_SET_AGENT: Final = Prepared(update(runs).where(runs.c.id == bindparam("of_run")), columns=["agent"])
_SUMMARY: Final = Prepared(
    select(summaries)
    .where(summaries.c.session_id == bindparam("session_id"))
    .order_by(summaries.c.number.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class TurnStored:
    """Where a turn's message stands; and whether something was waiting in the session's queue when it was stored."""

    position: int
    waiting: bool


class RunJournal:
    """Each method is one transaction behind the fence: BatonLost if somebody took over, WrittenAlready if the
    baton's numbered write is in the store. `keeps_accounts` says that it is counted what each name spends."""

    def __init__(self, database: Database, fence: Fence, *, keeps_accounts: bool = False) -> None:
        self._database = database
        self._fence = fence
        self._keeps_accounts = keeps_accounts

    def add_messages(self, baton: Baton, session_id: str, new: Sequence[Message]) -> int:
        """The position of the first."""
        if len(new) == 1:
            return int(self._write(baton, [appending(session_id, new[0], baton.run_id)])[0])
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            return append_messages(connection, session_id, new, baton.run_id)

    def tell(self, baton: Baton) -> None:
        """Stores what the baton brings to be told, and nothing else."""
        self._write(baton, [])

    def tell_soon(self, baton: Baton) -> None:
        """The same, without waiting for the disk."""
        with self._database.writing_undurably() as connection:
            self._fence.check(connection, baton)

    def _write(self, baton: Baton, writes: Sequence[Write]) -> list[Any]:
        return self._fence.write(self._database, baton, writes)

    def add_turn(
        self,
        baton: Baton,
        session_id: str,
        message: Message,
        *,
        tokens: tuple[int, int] | None,
        prompt: FrozenPrompt | None = None,
        broken: Collection[str] = (),
    ) -> TurnStored:
        """An assistant message, its calls in the ledger as `pending`, and the session's token counts; with the
        prompt that it was written under, if that is new. `broken` are the calls that must not run: their arguments
        are not JSON."""
        writes = [] if prompt is None else [_freezing(session_id, prompt)]
        if message.calls:  # before the message, at whose position they are
            calls = [ledger_row(baton, session_id, call, broken) for call in message.calls]
            writes += [Write(_ADD_CALLS, calls[at : at + MAX_ROWS]) for at in range(0, len(calls), MAX_ROWS)]
        place = len(writes)
        writes += [appending(session_id, message, baton.run_id)]
        writes += self._counting(session_id, message.cost, tokens)
        position, waiting = self._write(baton, writes)[place : place + 2]
        return TurnStored(int(position), waiting=bool(waiting))

    def add_cost(
        self, baton: Baton, session_id: str, cost: float, *, tokens: tuple[int, int] | None = None
    ) -> None:
        """Adds costs of the session that have no message to show for them. `tokens` are its counts from now on."""
        self._write(baton, self._counting(session_id, cost, tokens))

    def _counting(self, session_id: str, cost: float, tokens: tuple[int, int] | None) -> list[Write]:
        read, written = tokens or (None, None)
        values = {"here": session_id, "spent": cost, "read": read, "written": written}
        counted = Write(_COUNT, [values], "value")
        return (
            [counted, *spending_on(self._database.kind, session_id, cost)]
            if self._keeps_accounts
            else [counted]
        )

    def add_summary(
        self, baton: Baton, session_id: str, summary: Summary, *, without_pictures: Collection[int] = ()
    ) -> None:
        """The model is shown it from now on in place of older messages, which stay where they are. Tokens that it
        wrote are all that the model's window is known to hold. `without_pictures` are the positions of messages
        whose pictures it is not shown any more."""
        written = summary.usage.output_tokens if summary.usage else 0
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            add_summary(connection, summary, session_id, baton.run_id)
            for position in without_pictures:
                _MARK.run(connection, {"of_session": session_id, "there": position, "partial": LEFT_OUT})
            values = {"here": session_id, "spent": summary.cost, "read": written, "written": 0}
            _COUNT.run(connection, values)
            change_session(connection, session_id, compactions=summary.number)
            if self._keeps_accounts:
                spend(connection, session_id, summary.cost)

    def refuse_last(self, baton: Baton, session_id: str) -> None:
        """Marks the user rows at the transcript's end as refused: the model is not shown them again."""
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            last = _LAST_ANSWER.scalar(connection, {"of_session": session_id})
            after = -1 if last is None else last
            _REFUSE.run(connection, {"of_session": session_id, "after": after})

    def change_agent(self, baton: Baton, session_id: str, agent: str) -> None:
        """Later runs that name no agent of the team begin with this one ("key/name"), and the run is its run."""
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            change_session(connection, session_id, agent=agent, handed_to=agent)
            if session_id == baton.session_id:  # and not that of a task within the run
                _SET_AGENT.run(connection, {"of_run": baton.run_id, "agent": agent})

    def add_child(self, baton: Baton, child: Session, new: Sequence[Message]) -> None:
        """A session for a delegated task, written under the baton of the run that delegates."""
        with self._database.writing() as connection:
            self._fence.check(connection, replace(baton, told=()))
            add_session(connection, child)
            append_messages(connection, child.id, new, baton.run_id)
            for further in baton.told:  # of a session that is there now
                further.do(connection)

    def start_call(self, baton: Baton, session_id: str, call_id: str) -> None:
        """The call's handler is about to run; from here on its outcome is unknown until it is recorded."""
        self._write(baton, [changing_call(session_id, call_id, state="running", now_is="started_at")])

    def add_result(
        self,
        baton: Baton,
        session_id: str,
        message: Message,
        state: CallState,
        *,
        toolset_states: Mapping[str, Any] | None = None,
        look: bool = False,
    ) -> Look | None:
        """A call's result, its place in the ledger, and what its toolset wants to remember. With `look`, a look at the
        session, as `RunReads.look`."""
        call_id = message.content[0]["tool_use_id"]
        writes = [changing_call(session_id, call_id, state=state, now_is="ended_at")]
        writes += [keeping(session_id, key, dump(value)) for key, value in (toolset_states or {}).items()]
        writes.append(appending(session_id, message, baton.run_id))
        if not look:
            self._write(baton, writes)
            return None
        row = self._write(baton, [*writes, looking(session_id)])[-1]
        return None if row is None else look_of(row)

    def ask(
        self, baton: Baton, question: Question, *, handler_ended: bool = False, worked: float = 0.0
    ) -> bool:
        """The run waits for a person from now on; the answer may come through any process. It is asked at this moment,
        by the database's clock. `handler_ended` says that the answer becomes the call's result: no handler waits for
        it, so no effect of the call is unknown. `worked`: for how many seconds the run has been at work. False for a
        pause that nobody wants any more: it does not wait."""
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            if question.kind == "pause" and not set_pause(connection, baton.session_id, wanted=False):
                return False
            question = replace(question, asked_at=_NOW.scalar(connection))
            what = dump(asdict(question))
            values = {"asking_run": baton.run_id, "how": question.status, "what": what, "worked": worked}
            _WAIT.run(connection, values)
            if question.call_id:
                set_call(connection, question.session_id, question.call_id, state=question.status)
                if handler_ended:
                    set_call(connection, question.session_id, question.call_id, started_at=None)
            return True

    def ledger(
        self, session_id: str, *, run_id: str | None = None, call_id: str | None = None
    ) -> dict[str, ToolCall]:
        """The session's tool calls as far as they are known, by id; those of one run, or one call, alone."""
        query = select(tool_calls).where(tool_calls.c.session_id == session_id)
        if run_id is not None:
            query = query.where(tool_calls.c.run_id == run_id)
        if call_id is not None:
            query = query.where(tool_calls.c.id == call_id)
        with self._database.reading() as connection:
            return {call.id: call for call in map(call_of, connection.execute(query))}

    def turns(self, session_id: str, run_id: str) -> int:
        """How many turns the session's model has had in this run."""
        with self._database.glance() as connection:
            return int(_TURNS.scalar(connection, {"of_session": session_id, "of_run": run_id}))

    def summary(self, session_id: str) -> Summary | None:
        """The newest; None for a conversation that was never compacted."""
        with self._database.glance() as connection:
            row = _SUMMARY.first(connection, {"session_id": session_id})
        return None if row is None else summary_of(row)


def _freezing(session_id: str, prompt: FrozenPrompt) -> Write:
    row = {
        "session_id": session_id,
        "digest": prompt.digest,
        "agent": prompt.agent,
        "definition": prompt.definition,
        "model": prompt.model,
        "system_json": prompt.system,
        "tools_json": prompt.tools,
        "definitions_json": dump(prompt.definitions),
    }
    return Write(_ADD_PROMPT, [row])
