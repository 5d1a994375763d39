"""Routes of the list of what is to be done, which an agent keeps with its toolset `todo`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Self

from flask import Response
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from app import errors
from app.agent.tools import registry
from app.agent.tools.todo import MAX_CHARACTERS, TodoStatus, TodoToolset
from app.runtime.conversation_editor import ConversationEditor
from app.runtime.session_agents import SessionAgents
from app.store.store import Store
from app.web.access import owner
from app.web.posted_documents import SAYS_SOMETHING
from app.web.request_body import read, skip_body
from app.web.request_models import NO_NUL, Name, RequestModel, no_nul
from app.web.resource import Resource, ResponseSpec, delete, get, patch
from app.web.response_json import json_response


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("it says nothing")
    return text


_Description = Annotated[
    str,
    AfterValidator(no_nul),
    AfterValidator(_says_something),
    Field(max_length=MAX_CHARACTERS, json_schema_extra={"allOf": [NO_NUL, {"pattern": SAYS_SOMETHING}]}),
]
_TEXT: Final = {"type": "string"}
_NOTHING: Final = {"type": "null"}
_EITHER: Final[dict[str, Any]] = {
    "oneOf": [
        {
            "required": ["status"],
            "properties": {
                "status": _TEXT,
                "description": _NOTHING,
                "expected_description": _NOTHING,
            },
        },
        {
            "required": ["description", "expected_description"],
            "properties": {
                "status": _NOTHING,
                "description": _TEXT,
                "expected_description": _TEXT,
            },
        },
    ]
}


class TodoJson(TypedDict):
    id: str
    description: str
    status: str


class ChangeTodo(RequestModel):
    """A status, or else a description together with the one that it has now."""

    model_config = ConfigDict(json_schema_extra=_EITHER)

    status: TodoStatus | None = None
    description: _Description | None = None
    expected_description: Name | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.status is None) == (self.description is None):
            raise ValueError("exactly one of status and description is needed")
        if (self.description is None) != (self.expected_description is None):
            raise ValueError("description and expected_description belong together")
        return self


class SessionTodosResource(Resource):
    """The todos of the agent that has a session."""

    name = "todos"
    prefix = "/api/sessions/<session:session_id>/todos"

    def __init__(self, store: Store, agents: SessionAgents, editor: ConversationEditor) -> None:
        self._store = store
        self._agents = agents
        self._editor = editor

    @get(
        "",
        "Lists what the agent that has a session wants to do",
        answers={200: ResponseSpec("The oldest first.", list[TodoJson])},
        refusals=(errors.SessionNotFound, errors.AgentNotFound, errors.InvalidAgentConfig),
    )
    def todos(self, session_id: str) -> Response:
        """As it was stored last, which a run does after each turn; none before the first run."""
        session, key = self._place(session_id)
        state = self._store.sessions.tool_states(session).get(key) if key else None
        return json_response(TodoToolset(state=state).all())

    @patch(
        "/<todo_id>",
        "Changes the status or the words of a todo",
        body=ChangeTodo,
        answers={200: ResponseSpec("All todos.", list[TodoJson])},
        refusals=(
            *(errors.SessionNotFound, errors.AgentNotFound, errors.InvalidAgentConfig),
            *(errors.PartNotFound, errors.TodoChanged, errors.SessionBusy),
        ),
    )
    def change(self, session_id: str, todo_id: str) -> Response:
        """Never while a run has the session; nothing is said to the agent, who finds the list so in its next run."""
        body = read(ChangeTodo)

        def change(todos: TodoToolset) -> None:
            if body.status is not None:
                todos.set_status(todo_id, body.status)
            elif body.description is not None and body.expected_description is not None:
                todos.set_description(todo_id, expected=body.expected_description, new=body.description)

        return self._edited(session_id, change, f"{todo_id} {body.status or 'description'}")

    @delete(
        "/<todo_id>",
        "Removes a todo",
        unread_body=True,
        answers={200: ResponseSpec("Those that are left.", list[TodoJson])},
        refusals=(
            *(errors.SessionNotFound, errors.AgentNotFound, errors.InvalidAgentConfig),
            *(errors.PartNotFound, errors.SessionBusy),
        ),
    )
    def remove(self, session_id: str, todo_id: str) -> Response:
        skip_body()
        return self._edited(session_id, lambda todos: todos.remove(todo_id), f"{todo_id} removed")

    def _edited(self, session_id: str, change: Callable[[TodoToolset], None], done: str) -> Response:
        session, key = self._place(session_id)
        if not key:
            raise errors.PartNotFound()
        with self._editor.editing(session) as conversation:
            todos = TodoToolset(state=conversation.tool_state(key))
            change(todos)
            conversation.set_todos(key, todos.all(), done=done)
        return json_response(todos.all())

    def _place(self, session_id: str) -> tuple[str, str]:
        """The session that the list is stored with, and its key there; no key if the agent keeps none. A list that
        agents share is the conversation's, also in a task that was given away in it."""
        try:
            found = self._agents.find(session_id, owner=owner())
        except errors.RunNotFound:
            return session_id, ""
        for index, spec in enumerate(found.own.toolsets):
            if spec.type == "todo":
                home = self._agents.conversation(found.session) if spec.shared else session_id
                return home, registry.key(spec, index, found.own.name)
        return session_id, ""
