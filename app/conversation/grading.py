"""Words about an outcome: to the agent that works towards it, and to the grader; and what the grader says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

from app.conversation.blocks import Block, plain_text, result_text
from app.conversation.outcome import Outcome
from app.conversation.transcript import Message

PURPOSE: Final = (
    "You grade the work of another agent against a rubric. You are given the task, the rubric, and a record of what "
    "the agent said and did. Judge by the rubric alone, criterion by criterion, and believe what the record shows "
    "rather than what the agent claims. Answer with one JSON object and nothing else: "
    '{"result": "...", "explanation": "..."}. The result is `satisfied` if every criterion is met, `needs_revision` if '
    "one is not, and `failed` only if the rubric does not apply to such work at all. The explanation names the "
    "criteria that are not met and what is missing, for the agent that has to revise its work."
)

_TASK: Final = (
    "{description}\n\nYour work is graded when you are done. You are asked to revise it until it meets this rubric:\n\n"
    "{rubric}"
)
_ASKED: Final = "The task:\n\n{description}\n\nThe rubric:\n\n{rubric}"
_RECORD: Final = "The record of the agent's work:\n\n{record}"
_REVISE: Final = (
    "The work does not meet the rubric yet. The grader says:\n\n{explanation}\n\nRevise the work."
)
_GIVE_UP: Final = (
    "The work does not meet the rubric, and there are no revisions left. The grader says:\n\n{explanation}\n\nSay in a "
    "few words where the work stands; do nothing more."
)
_MARK: Final = "outcome"
_VERDICT: Final = re.compile(r"\b(satisfied|needs_revision|failed)\b")
_JSON: Final = re.compile(r"\{[^{}]*\}", re.DOTALL)
_CALL_LENGTH: Final = 4_000
_RESULT_LENGTH: Final = 8_000
_RECORD_LENGTH: Final = 400_000


class Verdict(NamedTuple):
    result: str
    explanation: str


def outcome_block(outcome_id: str, description: str, rubric: str) -> Block:
    """The task as the agent is given it. The mark is no field of the API's, and is not sent."""
    return {"type": "text", "text": _TASK.format(description=description, rubric=rubric), _MARK: outcome_id}


def outcome_in(content: Sequence[Block]) -> str:
    """The id of the outcome that a message defines; empty for any other message."""
    return str(content[0].get(_MARK, "")) if content else ""


def question(outcome: Outcome, rows: Sequence[Message]) -> list[Block]:
    """The grader's question about the rows since the outcome was defined."""
    start = next(
        (
            place
            for place, row in enumerate(rows)
            if row.role == "user" and outcome_in(row.content) == outcome.id
        ),
        -1,
    )
    record = "\n\n".join(line for row in rows[start + 1 :] for line in _record(row))
    asked = _ASKED.format(description=outcome.description, rubric=outcome.rubric)
    shown = _RECORD.format(record=record[-_RECORD_LENGTH:] or "(The agent has done nothing.)")
    return [{"type": "text", "text": shown}, {"type": "text", "text": asked}]


def read_verdict(text: str) -> Verdict | None:
    """None if the grader has not come to one."""
    for found in reversed(_JSON.findall(text)):
        said = _object(found)
        if said.get("result") in ("satisfied", "needs_revision", "failed"):
            return Verdict(said["result"], str(said.get("explanation") or "").strip())
    words = _VERDICT.findall(text)
    return Verdict(words[-1], text.strip()) if words else None


def revision(explanation: str, *, last: bool) -> str:
    """The words to the agent; the `last` time there is nothing more to do."""
    return (_GIVE_UP if last else _REVISE).format(explanation=explanation or "(nothing)")


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _record(row: Message) -> Iterator[str]:
    if row.role == "tool":
        yield f"Result: {_clipped(result_text(row.content[0]), _RESULT_LENGTH)}"
    elif row.role == "assistant":
        if words := plain_text(row.content).strip():
            yield f"Agent: {words}"
        for call in row.calls:
            given = orjson.dumps(call["input"]).decode()
            yield f"Call: {call['name']} {_clipped(given, _CALL_LENGTH)}"


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]} [truncated]"
