"""The route that shows what a session's run asks, with all that helps a person to answer."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import errors
from app.store.store import Store
from app.web.access import owner
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response
from app.web.run_json import QuestionJson, question_payload


class WholeQuestionJson(QuestionJson):
    """`schema` is that of the form, or of the call's arguments; null for a tool that takes none."""

    id: str
    run_id: str


class SessionQuestionResource(Resource):
    """Shows questions to those who may see the session."""

    name = "looking"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store) -> None:
        self._store = store

    @get(
        "/question",
        "Shows what the session's run waits for",
        answers={200: ResponseSpec("The question.", WholeQuestionJson)},
        refusals=(errors.SessionNotFound, errors.NothingToAnswer),
    )
    def question(self, session_id: str) -> Response:
        self._store.sessions.get(session_id, owner=owner())
        run = self._store.runs.live_run(session_id)
        question = run.waiting_for if run is not None else None
        if run is None or question is None:
            raise errors.NothingToAnswer()
        body: dict[str, Any] = {**question_payload(question, whole=True), "id": question.id, "run_id": run.id}
        if "definition" in question.details:
            body["schema"] = question.details["definition"].get("parameters")
        return json_response(body)
