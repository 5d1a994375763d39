"""Routes of a conversation's messages: say something without a run, change what was said, sum it up."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from flask import Response
from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict

from app import errors
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.runtime.conversation_editor import ConversationEditor
from app.store.store import Store
from app.web.access import require_visible
from app.web.posted_documents import SAYS_SOMETHING
from app.web.posted_messages import WrittenChat, user_message
from app.web.request_body import read
from app.web.request_models import MAX_TEXT, NO_NUL, Name, RequestModel, Tokens, no_nul, whole
from app.web.resource import UPDATED, Resource, ResponseSpec, patch, post
from app.web.response_json import json_response


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("it says nothing")
    return text


_PLAIN: Final[dict[str, Any]] = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}


def _no_control(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("control characters are not allowed here")
    return text


class WrittenMessage(RequestModel):
    """As a session shows its messages."""

    message: WrittenChat
    agent: Name | None = Field(default=None, validation_alias="agentName")


class PutMessage(RequestModel):
    message: WrittenChat | WrittenMessage

    def value(self) -> Message:
        """InvalidRequest if it says nothing."""
        given = self.message
        chat = given.message if isinstance(given, WrittenMessage) else given
        agent = (given.agent or "") if isinstance(given, WrittenMessage) and chat.role != "user" else ""
        return replace(user_message(chat, 0), role=chat.role, agent=agent)


class SummaryUsage(RequestModel):
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cached_input_tokens: Tokens = 0
    cached_write_tokens: Tokens = 0

    def value(self) -> Usage | None:
        """None for what took no tokens: it was no call of a model."""
        usage = Usage(
            self.input_tokens, self.output_tokens, self.cached_input_tokens, self.cached_write_tokens
        )
        return usage if usage != Usage() else None


class PutSummary(RequestModel):
    """`first_kept_entry`: the first message, counted from 0, that the model is shown on in its own words; 0: none but
    what nobody has answered. `tokens` is its name in older clients, and counts less. `model`, `usage` and `cost`
    (dollars): what making the summary took."""

    summary: Annotated[
        str,
        AfterValidator(no_nul),
        AfterValidator(_says_something),
        Field(max_length=MAX_TEXT, json_schema_extra={"allOf": [NO_NUL, {"pattern": SAYS_SOMETHING}]}),
    ]
    first_kept_entry: Tokens | None = None
    tokens: Tokens | None = None
    model: Annotated[str, AfterValidator(_no_control), Field(max_length=256, json_schema_extra=_PLAIN)] = ""
    usage: SummaryUsage | None = None
    cost: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 0.0


class Undo(RequestModel):
    """`user_message_index`: the user's message, counted from 0, that is taken back with all that came after it; the
    newest one without it. `message_id`: the same by the name that events give it; it counts more."""

    user_message_index: Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(whole)] | None = None
    message_id: Name | None = None


class AddedJson(TypedDict):
    """`id`: the message's position in its session, counted from 0."""

    status: Literal["added"]
    id: int


class SummaryAddedJson(TypedDict):
    status: Literal["added"]


class UndoneJson(TypedDict):
    """`num_messages` are left, `removed` are gone."""

    status: Literal["undone"]
    num_messages: int
    removed: int


class MessageResource(Resource):
    """The messages of a session."""

    name = "messages"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, editor: ConversationEditor) -> None:
        self._store = store
        self._editor = editor

    @post(
        "/messages",
        "Adds a message without a run",
        body=PutMessage,
        answers={201: ResponseSpec("It is in the conversation.", AddedJson)},
        refusals=(errors.SessionNotFound, errors.SessionBusy, errors.InvalidTranscript, errors.SessionFull),
    )
    def add(self, session_id: str) -> Response:
        message = read(PutMessage).value()
        require_visible(self._store, session_id, "add message")
        with self._editor.editing(session_id) as conversation:
            position = conversation.add(message)
        return json_response({"status": "added", "id": position}, 201)

    @patch(
        "/messages/<message:position>",
        "Changes the words of a message",
        body=PutMessage,
        answers={200: UPDATED},
        refusals=(
            errors.SessionNotFound,
            errors.MessageNotFound,
            errors.SessionBusy,
            errors.InvalidTranscript,
            errors.SessionFull,
        ),
    )
    def update(self, session_id: str, position: int) -> Response:
        message = read(PutMessage).value()
        require_visible(self._store, session_id, "update message")
        with self._editor.editing(session_id) as conversation:
            conversation.edit(position, message)
        return json_response({"status": "updated"})

    @post(
        "/summaries",
        "Puts a summary in the place of what was said, for the model",
        body=PutSummary,
        answers={201: ResponseSpec("The model is shown it from now on.", SummaryAddedJson)},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    )
    def summarize(self, session_id: str) -> Response:
        body = read(PutSummary)
        require_visible(self._store, session_id, "add summary")
        with self._editor.editing(session_id) as conversation:
            conversation.summarize(
                body.summary,
                first_kept=body.first_kept_entry or body.tokens or None,
                model=body.model,
                usage=body.usage.value() if body.usage else None,
                cost=body.cost,
            )
        return json_response({"status": "added"}, 201)

    @post(
        "/undo",
        "Takes back a message of the user, and all that came after it",
        body=Undo,
        answers={200: ResponseSpec("It was never said.", UndoneJson)},
        refusals=(errors.SessionNotFound, errors.SessionBusy, errors.InvalidRequest, errors.MessageNotFound),
    )
    def undo(self, session_id: str) -> Response:
        """What tools have done outside the conversation stays done."""
        body = read(Undo)
        require_visible(self._store, session_id, "undo")
        with self._editor.editing(session_id) as conversation:
            left, gone = conversation.undo(body.user_message_index, body.message_id or "")
        return json_response({"status": "undone", "num_messages": left, "removed": gone})
