"""Judges arguments that a person puts in place of a call's own, before the answer is given: in any process, by the
question as it is stored. The run's own process judges them again, hooks included, before the call runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from app.agent.approval import judge
from app.agent.tool_arguments import Unfit, check, fitted
from app.agent.toolset import Tool, ToolResult
from app.conversation.run import Answer, Question, Run
from app.errors import CallDenied, InvalidRequest
from app.store.store import Store
from app.team.team import Teams

_FOR_ONE: Final = "arguments go with the confirmation approve and a call_id: they are for one call"


class ChangedArguments:
    """Reads; any thread may call it."""

    def __init__(self, store: Store, teams: Teams, *, deny_wins: bool = True) -> None:
        self._store = store
        self._teams = teams
        self._deny_wins = deny_wins

    def fit(self, session_id: str, call_id: str, answer: Answer, arguments: Mapping[str, Any]) -> Answer:
        """The approval of that call, with these arguments as its tool wants them, for the question that waits now and
        no other. NothingToAnswer, AnsweredAlready, InvalidRequest with the argument's name, CallDenied; also what a
        file that does not load any more raises."""
        run = self._store.runs.live_run(session_id)
        question = run.waiting_for if run is not None else None
        if run is None or question is None or question.kind != "approval":
            raise self._store.answers.too_late(session_id, call_id)
        if answer.decision != "approve" or not call_id:
            raise InvalidRequest(_FOR_ONE)
        if question.call_id != call_id:
            raise self._store.answers.too_late(session_id, call_id)
        tool = _tool(question)
        fit = fitted(tool.parameters, arguments)
        try:
            check(tool.parameters, fit, strictly=True)
        except Unfit as problem:
            raise InvalidRequest(f"the changed arguments do not fit {tool.name}: {problem}") from problem
        self._refuse_denied(run, question, tool, fit)
        return replace(answer, question_id=question.id).changing(fit)

    def _refuse_denied(self, run: Run, question: Question, tool: Tool, arguments: Mapping[str, Any]) -> None:
        key, _ = run.key_and_name
        sessions = [self._store.sessions.get(question.session_id or run.session_id)]
        while above := sessions[-1].parent_id:
            sessions.append(self._store.sessions.get(above))
        verdict = judge(
            tool,
            arguments,
            sessions,
            self._teams.get(key).permissions,
            deny_wins=self._deny_wins,
            working_dir=Path(sessions[0].working_dir),
        )
        if verdict.outcome == "deny":
            raise CallDenied(verdict.words)


def _tool(question: Question) -> Tool:
    """As much of the tool as the question tells. A process of an earlier version tells nothing, and would run the call
    with its own arguments."""
    known = question.details.get("definition")
    if not isinstance(known, Mapping):
        raise InvalidRequest("this run's process can't change arguments: it is of an earlier version")
    return Tool(
        question.name,
        "",
        "",
        lambda _arguments, _context: ToolResult(""),
        parameters=known.get("parameters"),
        read_only=bool(known.get("read_only")),
        destructive=known.get("destructive"),
    )
