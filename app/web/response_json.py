"""The wire shapes: what sessions, messages and runs look like in JSON, key for key as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, cast

import orjson
from flask import Response, request

from app.conversation.blocks import Block, plain_text, result_text, thinking_text
from app.conversation.queued_message import QueuedMessage
from app.conversation.run import WAITING, Question, Run
from app.conversation.session import Session, SessionSummary
from app.conversation.transcript import Message
from app.conversation.wire_content import wire_parts, wire_tool_call
from app.web import response_models

Json = dict[str, Any]
Shape = TypeVar("Shape")
QueuedStatus = Literal["queued", "queued_streaming", "queued_idle"]
Definitions = Mapping[str, Sequence[Mapping[str, Any]]]


def json_response(body: Any, status: int = 200) -> Response:
    """Compact JSON and a newline, as the contract's server writes it; `?pretty` indents."""
    return Response(
        json_text(body, indented="pretty" in request.args), status=status, content_type="application/json"
    )


def json_text(body: Any, *, indented: bool) -> bytes:
    option = orjson.OPT_INDENT_2 if indented else 0
    return orjson.dumps(body, option=option | orjson.OPT_APPEND_NEWLINE)


def time_text(seconds: float, *, whole: bool = True) -> str:
    """RFC 3339 in UTC; whole seconds as stored sessions have them."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds" if whole else "microseconds").replace("+00:00", "Z")


def created_session(session: Session) -> response_models.CreatedSessionJson:
    """The answer to a creation."""
    body: response_models.CreatedSessionJson = {
        "id": session.id,
        "title": session.title,
        "messages": None,
        "created_at": time_text(session.created_at, whole=False),
        "tools_approved": session.tools_approved,
        "thinking": session.thinking,
        "hide_tool_results": False,
        "working_dir": session.working_dir,
        "SendUserMessage": True,
        "max_iterations": session.max_iterations,
        "starred": session.starred,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "cost": session.cost,
        "permissions": session.permissions,
    }
    if session.permissions is None:
        del body["permissions"]
    return _without_empty(body, "working_dir")


def session_summary(summary: SessionSummary) -> response_models.SessionSummaryJson:
    session = summary.session
    body: response_models.SessionSummaryJson = {
        "id": session.id,
        "title": session.title,
        "created_at": time_text(session.created_at),
        "num_messages": summary.num_messages,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "working_dir": session.working_dir,
        "owner": session.owner,  # ours: for those who see everybody's
    }
    return _without_empty(body, "working_dir", "owner")


def session_detail(session: Session, run: Run | None) -> tuple[Json, Json]:
    """One session: what stands before its messages, and what stands after them. `run` is ours: who has the baton,
    and what it waits for."""
    after: Json = {
        "created_at": time_text(session.created_at),
        "tools_approved": session.tools_approved,
        "thinking": session.thinking,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
    }
    if session.working_dir:
        after["working_dir"] = session.working_dir
    if session.owner:
        after["owner"] = session.owner
    if session.model:
        after["model"] = session.model
    if session.budget is not None:
        after["budget"] = session.budget
    if session.permissions is not None:
        after["permissions"] = session.permissions
    if run is not None:
        after["run"] = run_payload(run)
    return {"id": session.id, "title": session.title}, after


def task_payload(session: Session) -> response_models.TaskJson:
    """Ours: the contract puts a task's messages between those of who gave it away."""
    return {
        "id": session.id,
        "title": session.title,
        "agent": session.agent.partition("/")[2],
        "created_at": time_text(session.created_at),
    }


def message_payload(message: Message, definitions: Definitions) -> response_models.StoredMessageJson:
    body: response_models.StoredMessageJson = {
        "agentName": message.agent if message.role != "user" else "",
        "message": _chat_message(message, definitions),
    }
    if message.implicit:
        body["implicit"] = True
    if message.partial:
        body["partial"] = message.partial  # ours: why the message was cut
    return body


def run_in_view(run: Run, tool: str | None) -> response_models.RunInViewJson:
    """A run, and what it does at this moment: `tool` is the one that it is inside of."""
    body = cast("response_models.RunInViewJson", run_payload(run))
    if run.live:
        body["phase"] = "waiting" if run.status in WAITING else "tool" if tool else "model"
        if tool and run.status not in WAITING:
            body["tool"] = tool
    return body


def run_payload(run: Run) -> response_models.RunJson:
    body: response_models.RunJson = {
        "id": run.id,
        "session_id": run.session_id,
        "agent": run.agent,
        "started_by": run.options.get("started_by", ""),
        "status": run.status,
        "started_at": time_text(run.started_at, whole=False),
        "ended_at": time_text(run.ended_at, whole=False) if run.ended_at else None,
        "waiting_for": question_payload(run.waiting_for) if run.waiting_for else None,
        "holder": str(run.owner),
        "host": run.owner.host,
        "pid": run.owner.pid,
        "lease_expires_at": time_text(run.lease_expires_at, whole=False) if run.live else None,
        "code": run.code,
        "error": run.error,
        "stopped_by": run.stopped_by,
    }
    return _without_empty(
        body, "started_by", "ended_at", "waiting_for", "lease_expires_at", "code", "error", "stopped_by"
    )


def queued_answer(status: QueuedStatus, messages: Sequence[QueuedMessage]) -> response_models.QueuedJson:
    return {"status": status, "messages": [queued_payload(message) for message in messages]}


def queued_payload(message: QueuedMessage) -> response_models.QueuedMessageJson:
    body: response_models.QueuedMessageJson = {
        "id": message.id,
        "kind": message.kind,
        "content": plain_text(message.content),
        "created_at": time_text(message.created_at, whole=False),
        "created_by": message.created_by,
    }
    if any(block.get("type") != "text" for block in message.content):
        body["multi_content"] = wire_parts(message.content)
    return body


def question_payload(question: Question) -> response_models.QuestionJson:
    body: response_models.QuestionJson = {
        "kind": question.kind,
        "call_id": question.call_id,
        "tool": question.name,
    }
    details = cast("response_models.QuestionJson", question.details)
    return {**_without_empty(body, "call_id", "tool"), **details}


def _chat_message(message: Message, definitions: Definitions) -> response_models.ChatMessageJson:
    blocks = message.content
    result = blocks[0] if message.role == "tool" else None
    text = result_text(result) if result else plain_text(blocks)
    body: response_models.ChatMessageJson = {
        "role": message.role,
        "content": text,
        "created_at": time_text(message.created_at),
    }
    if any(block.get("type") == "image" for block in _inner(blocks, result)):
        body["multi_content"] = wire_parts(_inner(blocks, result))
    body = {**body, **_thinking(blocks)}
    if called := message.calls:
        body["tool_calls"] = [_wire_call(call) for call in called]
        known = {tool["name"]: tool for tool in definitions.get(message.prompt, ())}
        offered = [known[call["name"]] for call in called if call["name"] in known]
        if offered:
            body["tool_definitions"] = offered
    if result:
        body["tool_call_id"] = result["tool_use_id"]
        if result.get("is_error"):
            body["is_error"] = True
    return {**body, **_accounts(message)}


def _wire_call(call: Block) -> response_models.WireCallJson:
    return cast("response_models.WireCallJson", wire_tool_call(call))


def _inner(blocks: Sequence[Block], result: Block | None) -> Sequence[Block]:
    if result is None:
        return blocks
    content = result.get("content")
    return content if isinstance(content, list) else []


def _thinking(blocks: Sequence[Block]) -> response_models.ThinkingJson:
    text = thinking_text(blocks)
    signatures = [block.get("signature") for block in blocks if block.get("type") == "thinking"]
    body: response_models.ThinkingJson = {"reasoning_content": text} if text else {}
    if signatures and signatures[-1]:
        body["thinking_signature"] = signatures[-1]
    return body


def _accounts(message: Message) -> response_models.AccountsJson:
    body: response_models.AccountsJson = {}
    if message.usage is not None:
        body["usage"] = {
            "input_tokens": message.usage.input_tokens,
            "output_tokens": message.usage.output_tokens,
            "cached_input_tokens": message.usage.cache_read_tokens,
            "cached_write_tokens": message.usage.cache_write_tokens,
        }
    if message.role == "assistant" and message.model:
        body["model"] = message.model
    if message.cost:
        body["cost"] = message.cost
    return body


def _without_empty(body: Shape, *optional: str) -> Shape:
    """`optional` are keys that the shape does not require."""
    filled = {key: value for key, value in cast("Json", body).items() if value or key not in optional}
    return cast("Shape", filled)
