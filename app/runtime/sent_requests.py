"""The request that a model answered with a stored message, made again from what is stored: its frozen prompt byte for
byte, and the messages as they stood before that answer. Its options follow from the agent's file as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.agent.model_client import ModelRequest
from app.agent.redaction import redacted_row, redacted_value
from app.agent.request_builder import RequestBuilder
from app.agent.turn_options import most_tokens, turn_options
from app.conversation.compaction import condensed, fill
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.healing import heal
from app.conversation.old_results import with_old_results_cut
from app.conversation.recent_messages import recent
from app.conversation.run import Run
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import AppError, MessageNotFound
from app.runtime.model_overrides import asked
from app.store.store import Store
from app.team.agent import Agent
from app.team.model_definition import ModelSpec
from app.team.team import Teams

MOST_BYTES: Final = 4_000_000
CUT_TO: Final = 2_000  # characters of each text of a request that is larger
SHOWN_OF_DATA: Final = 60  # characters of a picture's data


@dataclass(frozen=True, slots=True)
class SentRequest:
    """`is_masked`: it had secrets, which are not shown. `is_shortened`: pictures, or long texts, are cut. Without
    `has_options` the agent or its model is not known any more, and what follows from them is missing."""

    body: Mapping[str, Any]
    is_masked: bool
    is_shortened: bool
    has_options: bool


class SentRequests:
    """Reads; any thread may call it."""

    def __init__(self, store: Store, teams: Teams) -> None:
        self._store = store
        self._teams = teams

    def of(self, run: Run, session_id: str, position: int | None) -> SentRequest:
        """For the model's message at that position, or the run's last one. MessageNotFound if the run has no such
        message there, or no model has said it."""
        said = self._said(run, session_id, position)
        prompt = self._store.timelines.prompt(session_id, said.prompt)
        if prompt is None:
            raise MessageNotFound("no model was asked for this message")
        session = self._store.sessions.get(session_id)
        agent = self._agent(run, session, said.agent)
        spec = _spec(agent, prompt)
        rows, size = self._before(session_id, said.position)
        if agent is not None and agent.redacts_prompts:
            rows = [redacted_row(row) for row in rows]
        shown: Sequence[Message] = recent(rows, agent.num_history_items) if agent is not None else rows
        shown = with_old_results_cut(shown, agent.max_old_tool_call_tokens if agent is not None else 0).rows
        most, options = 0, dict[str, Any]()
        if agent is not None and spec is not None:
            most = most_tokens(spec, size)
            options = turn_options(
                agent, spec, prompt, shown, thinks=lambda: session.thinking, has_tools=True, max_tokens=most
            )
        request = RequestBuilder(prompt).build(shown, model=prompt.model, max_tokens=most, options=options)
        return _for_people(_body(request), has_options=spec is not None)

    def _said(self, run: Run, session_id: str, position: int | None) -> Message:
        places = [
            turn.position for turn in self._store.timelines.parts(run).turns if turn.session_id == session_id
        ]
        wanted = [place for place in places if position in (None, place)]
        if not wanted:
            raise MessageNotFound()
        found = self._store.sessions.page_of_messages(session_id, first=max(wanted), last=max(wanted))
        if not found:
            raise MessageNotFound()  # taken back meanwhile
        return found[0]

    def _agent(self, run: Run, session: Session, name: str) -> Agent | None:
        key, _ = run.key_and_name
        try:
            team = self._teams.get(key)
            return asked(team, session, team.agent(name))
        except AppError:
            return None

    def _before(self, session_id: str, position: int) -> tuple[list[Message], int]:
        """What the model was shown of the conversation before that position, and about how many tokens it took."""
        page = self._store.sessions.page_of_messages(session_id, first=0, last=position - 1)
        summary = self._store.timelines.summary_at(session_id, position)
        rows = heal(condensed([row for row in page if not row.is_hidden], summary)).rows
        return list(rows), fill(rows, since=summary.made_at if summary is not None else 0)


def _body(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"model": request.model}
    if request.max_tokens:
        body["max_tokens"] = request.max_tokens
    for name, encoded in (("system", request.system), ("tools", request.tools)):
        if encoded:
            body[name] = orjson.loads(encoded)
    return body | request.options | {"messages": [orjson.loads(message) for message in request.messages]}


def _spec(agent: Agent | None, prompt: FrozenPrompt) -> ModelSpec | None:
    known = (*agent.models, *agent.fallback_models) if agent is not None else ()
    return next((spec for spec in known if spec.model == prompt.model), None)


def _for_people(body: dict[str, Any], *, has_options: bool) -> SentRequest:
    masked = redacted_value(body)
    shown = _without_pictures(masked)
    if len(orjson.dumps(shown)) > MOST_BYTES:
        shown = _cut(shown)
    return SentRequest(shown, masked is not body, shown != masked, has_options)


def _without_pictures(value: Any) -> Any:
    match value:
        case {"type": "base64", "data": str(data)} if len(data) > SHOWN_OF_DATA:
            return {**value, "data": f"{data[:SHOWN_OF_DATA]}… ({len(data):,} characters)"}
        case dict():
            return {name: _without_pictures(inner) for name, inner in value.items()}
        case list():
            return [_without_pictures(inner) for inner in value]
    return value


def _cut(value: Any) -> Any:
    match value:
        case str() if len(value) > CUT_TO:
            return f"{value[:CUT_TO]}… ({len(value):,} characters)"
        case dict():
            return {name: _cut(inner) for name, inner in value.items()}
        case list():
            return [_cut(inner) for inner in value]
    return value
