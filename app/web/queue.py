"""Routes of what waits for a run: steer, follow up, look, edit, withdraw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NotRequired

from flask import Response
from pydantic import Field
from typing_extensions import TypedDict

from app import errors
from app.conversation.blocks import Block, plain_text
from app.conversation.framing import FRAMINGS, framed, unframed
from app.conversation.queued_message import CAPACITY, QueuedMessage
from app.conversation.wire_content import wire_parts
from app.runtime.run_control import RunControl, queued_messages
from app.store.idempotency import KeyUse, KeyUsed, answered
from app.store.store import Store
from app.web.access import requester, require_visible
from app.web.idempotent import idempotency_key, session_key
from app.web.posted_messages import MessagesBody, messages_of, read_messages
from app.web.query_parameters import IDEMPOTENCY_KEY, PRETTY
from app.web.request_body import posted_json, skip_body, validated
from app.web.request_models import Name, RequestModel
from app.web.resource import DONE, Resource, ResponseSpec, delete, get, patch, post
from app.web.response_json import Json, Time, json_response, time_text, without_empty
from app.web.wire_generation import WIRE, Generation, generation

QueuedStatus = Literal["queued", "queued_streaming", "queued_idle", "duplicate"]

_REPEATED: Final = {"duplicate": True}


class QueuedMessageJson(TypedDict):
    id: str
    kind: Literal["steer", "followup"]
    content: str
    created_at: Time
    created_by: str
    multi_content: NotRequired[Sequence[Json]]


class QueuedJson(TypedDict):
    """`duplicate`: the request's `Idempotency-Key` was used before; `status` may say it too."""

    status: QueuedStatus
    messages: list[QueuedMessageJson]
    duplicate: NotRequired[bool]


class DepthJson(TypedDict):
    depth: int
    capacity: int


class BegunJson(TypedDict):
    """`streaming`: a run is at work now."""

    streaming: bool


class QueueJson(TypedDict):
    steer: DepthJson
    followup: DepthJson
    messages: list[QueuedMessageJson]


class SteerOptions(RequestModel):
    """`framing`: how the agent is told to read the messages: as they are, after its work, or instead of it."""

    framing: Annotated[Name, Field(json_schema_extra={"enum": ["", *FRAMINGS]})] | None = None


def _read_steers() -> list[Sequence[Block]]:
    """The messages' contents, with words for the model before each that has a framing."""
    value = posted_json()
    framing = (validated(SteerOptions, value).framing if isinstance(value, dict) else None) or "plain"
    if framing not in FRAMINGS:
        raise errors.InvalidRequest(f"framing must be one of {', '.join(FRAMINGS)}")
    return [framed(message.content, framing) for message in messages_of(value, exactly_one=False)]


QUEUED: Final = ResponseSpec("It waits.", QueuedJson)


def store_follow_ups(
    store: Store,
    control: RunControl,
    session_id: str,
    contents: Sequence[Sequence[Block]],
    use: KeyUse | None,
    *,
    agent: str | None = None,
) -> QueuedJson:
    """Stores messages for afterwards; the answer says whether a run is at work that will come to them. QueueFull,
    KeyUsed; SessionBusy if they are meant for another `agent` than the one that would come to them."""
    follow_ups = queued_messages(session_id, "followup", contents, by=requester(), at=store.database.now())
    answer = queued_answer("queued_streaming", follow_ups)
    if not control.follow_up(follow_ups, agent=agent, idempotency=answered(use, answer)):
        answer = queued_answer("queued_idle", follow_ups)
        store.idempotency.correct(use, answer)
    return answer


class QueueResource(Resource):
    """The messages that wait for a session's runs."""

    name = "queue"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, control: RunControl) -> None:
        self._store = store
        self._control = control

    @post(
        "/steer",
        "Leaves a message for the run at work",
        body=MessagesBody(options=SteerOptions),
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={202: QUEUED},
        refusals=(
            errors.InvalidRequest,
            errors.SessionNotFound,
            errors.NotRunning,
            errors.IdempotencyConflict,
            errors.QueueFull,
            errors.InvalidTranscript,
        ),
    )
    def steer(self, session_id: str) -> Response:
        contents = _read_steers()
        require_visible(self._store, session_id, "steer session")
        use = idempotency_key(contents)
        if (again := self._again(use, _REPEATED)) is not None:
            return again
        steers = queued_messages(session_id, "steer", contents, by=requester(), at=self._store.database.now())
        answer = queued_answer("queued", steers)
        try:
            self._control.steer(steers, idempotency=answered(use, answer))
        except errors.NotRunning:
            raise errors.NotRunning("failed to steer session: session not found or not running") from None
        except KeyUsed:
            return self._again(use, _REPEATED) or json_response(answer, 202)
        return json_response(answer, 202)

    @post(
        "/followup",
        "Leaves a message for afterwards",
        body=MessagesBody(),
        parameters=(PRETTY, IDEMPOTENCY_KEY, WIRE),
        answers={202: QUEUED},
        refusals=(
            errors.SessionNotFound,
            errors.IdempotencyConflict,
            errors.QueueFull,
            errors.InvalidTranscript,
            errors.ServerFull,
            errors.Draining,
        ),
    )
    def follow_up(self, session_id: str) -> Response:
        """Later clients expect that a key counts for the session, whatever the body says, and that a repeat says so in
        its status; those of March 2026 that it counts for its sender, and for this body alone."""
        later = generation() is Generation.LATER
        contents = [message.content for message in read_messages()]
        require_visible(self._store, session_id, "follow up session")
        use = session_key(session_id) if later else idempotency_key(contents)
        again: dict[str, Any] = {"duplicate": True, **({"status": "duplicate"} if later else {})}
        if (known := self._again(use, again)) is not None:
            return known
        try:
            answer = store_follow_ups(self._store, self._control, session_id, contents, use)
        except KeyUsed:  # the same request, a moment before
            if (known := self._again(use, again)) is None:
                raise
            return known
        return json_response({**answer, "duplicate": False} if later else answer, 202)

    @get(
        "/queue",
        "Shows what waits",
        answers={200: ResponseSpec("The messages, in the order of their turns.", QueueJson)},
        refusals=(errors.SessionNotFound,),
    )
    def look(self, session_id: str) -> Response:
        require_visible(self._store, session_id, "read the queue")
        waiting = self._store.queue.waiting(session_id)
        depths = {
            kind: {"depth": sum(message.kind == kind for message in waiting), "capacity": CAPACITY}
            for kind in ("steer", "followup")
        }
        return json_response({**depths, "messages": [queued_payload(message) for message in waiting]})

    @post(
        "/queue/begin",
        "Begins with what waits, if no run is at work",
        unread_body=True,
        answers={200: ResponseSpec("Whether a run is at work now.", BegunJson)},
        refusals=(errors.SessionNotFound,),
    )
    def begin(self, session_id: str) -> Response:
        """As the run at work would when it ends. What waits stays there if nothing can be begun."""
        skip_body()
        require_visible(self._store, session_id, "follow up session")
        return json_response({"streaming": self._control.begin_queued(session_id)})

    @patch(
        "/queue/<session:message_id>",
        "Changes a message that waits",
        body=MessagesBody(exactly_one=True),
        answers={200: ResponseSpec("The message.", QueuedMessageJson)},
        refusals=(errors.SessionNotFound, errors.QueuedMessageNotFound, errors.TakenAlready),
    )
    def edit(self, session_id: str, message_id: str) -> Response:
        contents = [message.content for message in read_messages(exactly_one=True)]
        require_visible(self._store, session_id, "edit the queue")
        edited = self._store.queue.edit(session_id, message_id, contents[0])
        return json_response(queued_payload(edited))

    @delete(
        "/queue/<session:message_id>",
        "Withdraws a message that waits",
        unread_body=True,
        answers={200: DONE},
        refusals=(errors.SessionNotFound, errors.QueuedMessageNotFound, errors.TakenAlready),
    )
    def withdraw(self, session_id: str, message_id: str) -> Response:
        skip_body()
        require_visible(self._store, session_id, "edit the queue")
        self._store.queue.withdraw(session_id, message_id)
        return json_response({"message": "message withdrawn"})

    def _again(self, use: KeyUse | None, changes: Mapping[str, Any]) -> Response | None:
        """What the first request with this key was answered, with what a repeat says otherwise."""
        outcome = self._store.idempotency.outcome(use) if use is not None else None
        return json_response({**outcome.response, **changes}, 202) if outcome is not None else None


def queued_answer(status: QueuedStatus, messages: Sequence[QueuedMessage]) -> QueuedJson:
    return {"status": status, "messages": [queued_payload(message) for message in messages]}


def queued_payload(message: QueuedMessage) -> QueuedMessageJson:
    content = unframed(message.content)
    plain = all(block.get("type") == "text" for block in content)
    body: QueuedMessageJson = {
        "id": message.id,
        "kind": message.kind,
        "content": plain_text(content),
        "created_at": time_text(message.created_at, whole=False),
        "created_by": message.created_by,
        "multi_content": [] if plain else wire_parts(content),
    }
    return without_empty(QueuedMessageJson, body)
