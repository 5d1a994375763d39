"""Routes of a conversation's messages: say something without a run, change what was said, sum it up."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from flask import Response
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app import errors
from app.conversation.transcript import Message
from app.runtime.conversation_editor import ConversationEditor
from app.store.store import Store
from app.web.access import require_visible
from app.web.posted_messages import SAYS_SOMETHING, WrittenChat, user_message
from app.web.request_body import read
from app.web.request_models import MAX_TEXT, NO_NUL, Name, RequestModel, Tokens, no_nul
from app.web.resource import UPDATED, Resource, ResponseSpec, patch, post
from app.web.response_json import json_response


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("it says nothing")
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


class PutSummary(RequestModel):
    """`tokens`: how much of the model's window the summary takes, if that is known."""

    summary: Annotated[
        str,
        AfterValidator(no_nul),
        AfterValidator(_says_something),
        Field(max_length=MAX_TEXT, json_schema_extra={"allOf": [NO_NUL, {"pattern": SAYS_SOMETHING}]}),
    ]
    tokens: Tokens | None = None


class AddedJson(TypedDict):
    """`id`: the message's position in its session, counted from 0."""

    status: Literal["added"]
    id: int


class SummaryAddedJson(TypedDict):
    status: Literal["added"]


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
            conversation.summarize(body.summary, tokens=body.tokens)
        return json_response({"status": "added"}, 201)
