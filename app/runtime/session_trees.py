"""A session and the tasks that were given away in it, each as a node with its own numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from app.agent import model_catalogue
from app.agent.delegation import child_id
from app.conversation.run import CallState, QuestionKind, Run, RunStatus
from app.conversation.session import Session
from app.conversation.usage import Usage
from app.errors import AppError
from app.runtime.model_overrides import asked
from app.store.store import Store
from app.store.tree_store import TreeRows
from app.team.team import Teams

NodeState = Literal["starting", "running", "idle", "completed", "failed", "stopped"]
Need = Literal["", "failed", "approve tool", "answer question"]

_BY_RUN: Final[Mapping[RunStatus, NodeState]] = {
    "running": "running",
    "awaiting_approval": "running",
    "awaiting_input": "running",
    "finished": "completed",
    "failed": "failed",
    "interrupted": "failed",
    "cancelled": "stopped",
}
_BY_CALL: Final[Mapping[CallState, NodeState]] = {
    "pending": "starting",
    "awaiting_approval": "starting",
    "awaiting_input": "running",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "unknown": "failed",
    "rejected": "stopped",
    "cancelled": "stopped",
}
_NEEDS: Final[Mapping[QuestionKind, Need]] = {
    "approval": "approve tool",
    "elicitation": "answer question",
    "max_iterations": "answer question",
    "pause": "",
}


@dataclass(frozen=True, slots=True)
class Node:
    """The numbers are those of this session alone. `key` is that of its agent's file."""

    session: Session
    key: str
    agent: str
    state: NodeState
    need: Need
    error: str
    usage: Usage
    tool_calls: int
    updated_at: float

    @property
    def at_work(self) -> bool:
        return self.state in ("starting", "running")


class SessionTrees:
    """Reads; any thread may call it."""

    def __init__(self, store: Store, directory: Teams) -> None:
        self._store = store
        self._directory = directory

    def nodes(self, session_id: str, *, owner: str | None) -> list[Node]:
        """The session's own node, then those of all tasks below it, the oldest first. SessionNotFound."""
        rows = self._store.trees.read(session_id, owner=owner)
        states = {child_id(above, call): state for (above, call), state in rows.transfers.items()}
        questions = {
            run.waiting_for.session_id: run.waiting_for.kind
            for run in self._live(rows)
            if run.waiting_for is not None
        }
        return [_node(one, rows, states, questions) for one in rows.sessions]

    def window(self, node: Node) -> int:
        """The tokens that fit into the window of the node's model; 0 if that is not known."""
        try:
            team = self._directory.get(node.key)
            agent = asked(team, node.session, team.agent(node.agent))
        except AppError:
            return 0  # its file has changed since
        return model_catalogue.facts(agent.models[0].model).window

    def _live(self, rows: TreeRows) -> list[Run]:
        """Also the run above a task that was asked for alone: it is the one that does the task."""
        live = [run for run in rows.runs.values() if run.live]
        top = rows.sessions[0]
        while not live and top.parent_id:
            run = self._store.runs.live_run(top.parent_id)
            if run is not None:
                return [run]
            top = self._store.sessions.get(top.parent_id)
        return live


def _node(
    session: Session,
    rows: TreeRows,
    transfers: Mapping[str, CallState],
    questions: Mapping[str, QuestionKind],
) -> Node:
    run, call = rows.runs.get(session.id), transfers.get(session.id)
    state: NodeState = "idle"
    if run is not None:
        state = _BY_RUN[run.status]
        if state == "completed" and session.parent_id is None:
            state = "idle"  # the user may go on
    elif call is not None:
        state = _BY_CALL[call]
    need: Need = "failed" if state == "failed" else ""
    if not need and (kind := questions.get(session.id)) is not None:
        need = _NEEDS[kind]
    key, _, agent = (run.agent if run is not None else session.agent).partition("/")
    agent = session.holder(key) or agent
    return Node(
        session,
        key,
        agent,
        state,
        need,
        run.error if run is not None and state == "failed" else "",
        rows.usage.get(session.id, Usage()),
        rows.calls.get(session.id, 0),
        rows.written_at.get(session.id, session.created_at),
    )
