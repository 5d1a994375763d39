"""Routes that show what a session's agent has to work with, and that restart a tool server."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from flask import Response, request
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app import errors
from app.runtime.agent_tools import AgentTools, SkillFound, ToolsetStatus
from app.runtime.conversation_editor import ConversationEditor
from app.runtime.session_agents import SessionAgents
from app.store.store import Store
from app.web.access import owner
from app.web.request_body import read, skip_body
from app.web.request_models import NO_NUL, RequestModel, no_nul
from app.web.resource import DONE, Resource, ResponseSpec, get, post
from app.web.response_json import Json, json_response, without_empty

_OF_AN_AGENT = (
    errors.SessionNotFound,
    errors.RunNotFound,
    errors.AgentNotFound,
    errors.InvalidAgentConfig,
)
_RESTART = (*_OF_AN_AGENT, errors.PartNotFound, errors.SessionBusy, errors.ToolsetBusy)


class ToolJson(TypedDict):
    """As `tool_definition` in events; `parameters` is a JSON Schema."""

    name: str
    category: str
    description: NotRequired[str]
    parameters: Json | None
    annotations: Json
    outputSchema: Any


class ToolsetJson(TypedDict):
    """`kind` is missing for toolsets that are a part of this server. `last_error` only says that there was one."""

    name: str
    kind: NotRequired[str]
    description: NotRequired[str]
    state: Literal["stopped", "starting", "ready", "restarting", "failed"]
    last_error: NotRequired[str]
    restart_count: int
    restartable: bool


class SkillJson(TypedDict):
    """`files` are those beside its instructions."""

    name: str
    description: str
    files: NotRequired[list[str]]


class RestartToolset(RequestModel):
    name: Annotated[
        str, AfterValidator(no_nul), Field(min_length=1, max_length=4096, json_schema_extra=NO_NUL)
    ]


class SessionToolsResource(Resource):
    """The tools and toolsets of the agent that has a session."""

    name = "tools"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(
        self, store: Store, agents: SessionAgents, tools: AgentTools, editor: ConversationEditor
    ) -> None:
        self._store = store
        self._agents = agents
        self._tools = tools
        self._editor = editor

    @get(
        "/tools",
        "Lists the tools of the agent that has a session",
        answers={200: ResponseSpec("As its next run would offer them to the model.", list[ToolJson])},
        refusals=(*_OF_AN_AGENT, errors.ServerFull),
    )
    def tools(self, session_id: str) -> Response:
        """Starts tool servers, and waits for them for a bounded time; tools of one that is not there are left out."""
        found = self._agents.find(session_id, owner=owner())
        tools = self._tools.tools(found, dict(request.headers))
        return json_response([tool.definition() for tool in tools])

    @get(
        "/skills",
        "Lists the skills of the agent that has a session",
        answers={200: ResponseSpec("By name.", dict[str, SkillJson])},
        refusals=(*_OF_AN_AGENT, errors.ServerFull),
    )
    def skills(self, session_id: str) -> Response:
        """They are looked for now, for a bounded time."""
        found = self._agents.find(session_id, owner=owner())
        skills = self._tools.skills(found, dict(request.headers))
        return json_response({skill.name: _described(skill) for skill in skills})

    @get(
        "/toolsets",
        "Shows how the toolsets of the agent are that has a session",
        answers={200: ResponseSpec("In the agent file's order.", list[ToolsetJson])},
        refusals=_OF_AN_AGENT,
    )
    def toolsets(self, session_id: str) -> Response:
        """In this process, as they are now; starts none."""
        found = self._agents.find(session_id, owner=owner())
        return json_response([_shown(one) for one in self._tools.toolsets(found, dict(request.headers))])

    @post(
        "/toolsets/restart",
        "Restarts a tool server",
        body=RestartToolset,
        answers={200: DONE},
        refusals=_RESTART,
    )
    def restart(self, session_id: str) -> Response:
        """Never while a run has the session, or while the server has a call of another session's run."""
        return self._restart(session_id, read(RestartToolset).name)

    @post(
        "/toolsets/<path:name>/restart",
        "Restarts a tool server, by its name in the path",
        unread_body=True,
        answers={200: DONE},
        refusals=(*_RESTART, errors.InvalidRequest),
    )
    def restart_named(self, session_id: str, name: str) -> Response:
        skip_body()
        return self._restart(session_id, name)

    def _restart(self, session_id: str, name: str) -> Response:
        found = self._agents.find(session_id, owner=owner())
        with self._editor.quiet(self._agents.conversation(found.session)):
            self._tools.restart(found, name, dict(request.headers))
        self._store.audit.note("restart_toolset", session_id, detail=name)
        return json_response({"message": "toolset restarted"})


def _described(skill: SkillFound) -> SkillJson:
    body: SkillJson = {
        "name": skill.name,
        "description": skill.description,
        "files": list(skill.files),
    }
    return without_empty(SkillJson, body)


def _shown(status: ToolsetStatus) -> ToolsetJson:
    body: ToolsetJson = {
        "name": status.name,
        "kind": status.kind,
        "description": status.description,
        "state": status.server.state,
        "last_error": "toolset unavailable" if status.server.state == "failed" else "",
        "restart_count": status.server.restarts,
        "restartable": status.restartable,
    }
    return without_empty(ToolsetJson, body)
