"""The routes of how much a session's agent thinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.session import Session, with_choice
from app.runtime.session_agents import SessionAgent, SessionAgents
from app.runtime.thinking_levels import NONE, following
from app.store.store import Store
from app.web.access import owner
from app.web.request_body import read, skip_body
from app.web.request_models import Name, RequestModel
from app.web.resource import Resource, ResponseSpec, get, patch, post
from app.web.response_json import json_response, without_empty
from app.web.session_agent import REFUSALS, SessionMetadataJson, metadata


class SetThinkingLevel(RequestModel):
    level: Name


class ThinkingLevelJson(TypedDict):
    """`levels`, from the least to the most. `current` is left out if the agent thinks at none of them: by a number of
    tokens, or as much as it likes."""

    levels: Sequence[str]
    current: NotRequired[str]
    metadata: SessionMetadataJson


_SHOWN: Final = {200: ResponseSpec("The levels to choose from, and the current one.", ThinkingLevelJson)}
_REFUSALS: Final = (*REFUSALS, errors.InvalidRequest)


class ThinkingLevelResource(Resource):
    """Shows and chooses how much the agent that has a session thinks."""

    name = "models"
    prefix = "/api/sessions/<session:session_id>/thinking-level"

    def __init__(self, store: Store, agents: SessionAgents) -> None:
        self._store = store
        self._agents = agents

    @get("", "Shows how much the agent that has a session thinks", answers=_SHOWN, refusals=_REFUSALS)
    def level(self, session_id: str) -> Response:
        return _shown(self._agents.find(session_id, owner=owner()))

    @patch(
        "",
        "Chooses how much the agent that has a session thinks",
        body=SetThinkingLevel,
        answers=_SHOWN,
        refusals=_REFUSALS,
    )
    def set_level(self, session_id: str) -> Response:
        """Counts from the next run on. InvalidRequest for a level that the model does not have."""
        level = read(SetThinkingLevel).level
        found = self._agents.find(session_id, owner=owner())
        if level not in found.levels:
            known = ", ".join(found.levels)
            raise errors.InvalidRequest(
                f"thinking level {level!r} is not supported by this model (supported: {known})", status=422
            )
        return self._choose(found, lambda _now: level)

    @post(
        "/cycle",
        "Has the agent of a session think at the next level",
        unread_body=True,
        answers=_SHOWN,
        refusals=_REFUSALS,
    )
    def cycle(self, session_id: str) -> Response:
        """The least comes after the most. Requests at the same time go on one after the other."""
        skip_body()
        found = self._agents.find(session_id, owner=owner())
        known = found.levels
        return self._choose(found, lambda now: following(now.level, known))

    def _choose(self, found: SessionAgent, choose: Callable[[SessionAgent], str]) -> Response:
        """Whoever chooses a level lets the session think, too."""

        def change(session: Session) -> Session:
            level = choose(found.after(session))
            levels = with_choice(session.choices.thinking_levels, found.names, level)
            choices = replace(session.choices, thinking_levels=levels)
            return replace(session, choices=choices, thinking=session.thinking or level != NONE)

        changed = self._store.sessions.choose(
            found.session.id,
            change,
            "thinking_level",
            lambda now: f"{found.own.name} {found.after(now).level}",
        )
        return _shown(found.after(changed))


def _shown(found: SessionAgent) -> Response:
    body: ThinkingLevelJson = {
        "levels": found.levels,
        "current": found.level,
        "metadata": metadata(found),
    }
    return json_response(without_empty(ThinkingLevelJson, body))
