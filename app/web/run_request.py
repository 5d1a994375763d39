"""The route that shows the request that a model answered, to operators."""

from __future__ import annotations

from typing import Any, Final, Literal

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.runtime.sent_requests import SentRequests
from app.store.store import Store
from app.web.access import require_operator
from app.web.own_run import own_run
from app.web.query_parameters import PRETTY, SESSION_ID, Matching
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response

POSITION: Final = Matching(
    "position",
    "The position of the model's message; the last one of the run unless said.",
    "[0-9]{0,9}",
    "position, that of a message, is a whole number",
)
SESSION: Final = Matching(
    "session", "The session of a task within the run.", SESSION_ID, "session is the id of a session"
)


class ModelRequestJson(TypedDict):
    """`made`: `rebuilt` from the stored prompt and messages; options by the agent's file as it is now, unless there are
    none (`has_options`). `masked`: it had secrets. `shortened`: pictures or very long texts are cut."""

    run_id: str
    session_id: str
    made: Literal["rebuilt"]
    has_options: bool
    masked: bool
    shortened: bool
    request: Any


class RunRequestResource(Resource):
    """Shows operators what a model was sent."""

    name = "run_request"
    prefix = "/api/runs/<session:run_id>"

    def __init__(self, store: Store, requests: SentRequests) -> None:
        self._store = store
        self._requests = requests

    @get(
        "/request",
        "Shows the request that a model answered; operators only",
        parameters=(PRETTY, POSITION, SESSION),
        answers={200: ResponseSpec("The request, made again.", ModelRequestJson)},
        refusals=(errors.RunNotFound, errors.MessageNotFound, errors.InvalidRequest),
    )
    def request(self, run_id: str) -> Response:
        position, session_id = POSITION.read(), SESSION.read()
        require_operator()
        run = own_run(self._store, run_id)
        session_id = session_id or run.session_id
        found = self._requests.of(run, session_id, int(position) if position else None)
        body: ModelRequestJson = {
            "run_id": run.id,
            "session_id": session_id,
            "made": "rebuilt",
            "has_options": found.has_options,
            "masked": found.is_masked,
            "shortened": found.is_shortened,
            "request": found.body,
        }
        return json_response(body)
