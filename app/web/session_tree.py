"""Routes that show a session together with the tasks that were given away in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.runtime.session_trees import Node, NodeState, SessionTrees
from app.web.access import owner
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Time, json_response, time_text, without_empty


class NodeJson(TypedDict):
    """One session. Its numbers are its own, without those of the nodes below it; `cost` is in dollars. `waiting_on`:
    `failed`, `approve tool` or `answer question`; `needs_attention` says that there is one of these."""

    id: str
    agent: str
    description: NotRequired[str]
    parent: NotRequired[str]
    session_id: str
    state: NodeState
    needs_attention: bool
    waiting_on: NotRequired[str]
    error: NotRequired[str]
    cost: float
    input_tokens: int
    output_tokens: int
    tool_calls: int
    created_at: Time
    updated_at: Time


class NodeInTreeJson(TypedDict):
    node: NodeJson
    children: NotRequired[list[NodeInTreeJson]]


class SessionTreeJson(TypedDict):
    """`root`: the id of the one node in `nodes`."""

    version: Literal[1]
    durability: Literal["durable"]
    root: str
    nodes: list[NodeInTreeJson]


class LiveSessionJson(TypedDict):
    """Tokens are those of the last model call; `context_limit` is the model's window, 0 if that is not known.
    `current`: the session that was asked about, which is there at work or not."""

    session_id: str
    agent_name: str
    input_tokens: int
    output_tokens: int
    context_limit: int
    current: bool


class SessionTreeResource(Resource):
    """A session's tasks."""

    name = "trees"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, trees: SessionTrees) -> None:
        self._trees = trees

    @get(
        "/tree",
        "Shows a session and the tasks that were given away in it",
        answers={200: ResponseSpec("As a tree.", SessionTreeJson)},
        refusals=(errors.SessionNotFound,),
    )
    def tree(self, session_id: str) -> Response:
        """Tasks of tasks too. A task's own address shows the tree from it on."""
        nodes = self._trees.nodes(session_id, owner=owner())
        top = nodes[0]
        body: SessionTreeJson = {
            "version": 1,
            "durability": "durable",
            "root": _node_id(top),
            "nodes": [_branch(top, nodes, {node.session.id: _node_id(node) for node in nodes})],
        }
        return json_response(body)

    @get(
        "/live-sessions",
        "Lists a session and those of its tasks that are being done",
        answers={200: ResponseSpec("The session first, then by agent.", list[LiveSessionJson])},
        refusals=(errors.SessionNotFound,),
    )
    def live(self, session_id: str) -> Response:
        first, *below = self._trees.nodes(session_id, owner=owner())
        at_work = sorted(
            (node for node in below if node.at_work), key=lambda node: (node.agent, node.session.id)
        )
        return json_response([self._row(node, node is first) for node in (first, *at_work)])

    def _row(self, node: Node, is_current: bool) -> LiveSessionJson:
        return {
            "session_id": node.session.id,
            "agent_name": node.agent,
            "input_tokens": node.session.input_tokens,
            "output_tokens": node.session.output_tokens,
            "context_limit": self._trees.window(node),
            "current": is_current,
        }


def _node_id(node: Node) -> str:
    return node.session.id if node.session.parent_id else f"root:{node.session.id}"


def _branch(top: Node, nodes: Sequence[Node], ids: dict[str, str]) -> NodeInTreeJson:
    children = [_branch(node, nodes, ids) for node in nodes if node.session.parent_id == top.session.id]
    body: NodeInTreeJson = {"node": _shown(top, ids), "children": children}
    return without_empty(NodeInTreeJson, body)


def _shown(node: Node, ids: dict[str, str]) -> NodeJson:
    session = node.session
    body: NodeJson = {
        "id": _node_id(node),
        "agent": node.agent,
        "description": session.title,
        "parent": ids.get(session.parent_id or "", ""),
        "session_id": session.id,
        "state": node.state,
        "needs_attention": bool(node.need),
        "waiting_on": node.need,
        "error": node.error,
        "cost": session.cost,
        "input_tokens": node.usage.prompt_tokens,
        "output_tokens": node.usage.output_tokens,
        "tool_calls": node.tool_calls,
        "created_at": time_text(session.created_at, whole=False),
        "updated_at": time_text(node.updated_at, whole=False),
    }
    return without_empty(NodeJson, body)
