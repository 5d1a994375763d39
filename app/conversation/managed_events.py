"""Bodies of events of the Managed Agents API, of whatever wrote them: a run, or the process that closed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from app.conversation.outcome import Outcome
from app.conversation.run_outcome import RunOutcome
from app.conversation.usage import Usage

Json = dict[str, Any]

END_TURN: Final[Json] = {"type": "end_turn"}
RETRIES_EXHAUSTED: Final[Json] = {"type": "retries_exhausted"}
BLOCKS: Final = "blocks"
"""The key of an answer that has the result of a client's tool as content blocks."""
WORKER_TOOLS: Final = ("bash", "read", "write", "edit", "glob", "grep")
"""The tools of agent_toolset_20260401 that a worker runs if the session's environment is self-hosted."""
NOTHING_USED: Final[Json] = {
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": None,
    "active_seconds": 0.0,
    "list_cost": {"amount": "0", "currency": "USD"},
    "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
}

_SHOWN: Final = ("title", "url", "page_age")

_ERRORS: Final[Mapping[str, str]] = {
    "model_failed": "model_request_failed_error",
    "context_full": "compaction_limit_reached_error",
    "calls_repeated": "tool_use_limit_reached_error",
    "budget_reached": "billing_error",
}
"""By the code of the failure; what is not here is an `unknown_error`."""
_BY_STATUS: Final[Mapping[int | None, str]] = {
    402: "billing_error",
    429: "model_rate_limited_error",
    503: "model_overloaded_error",
    529: "model_overloaded_error",
}
"""By the answer of the model's API, more exactly."""
_CATEGORIES: Final = ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")


def idle_body(stop_reason: Json, stop_details: Json | None = None) -> Json:
    return {"stop_reason": stop_reason, "stop_details": stop_details}


def ending_body(outcome: RunOutcome) -> Json:
    """Why the session is idle after a run that ended so."""
    if outcome.status in ("finished", "cancelled"):
        return idle_body(END_TURN)
    if outcome.code != "refused":
        return idle_body(RETRIES_EXHAUSTED)
    category, explanation = outcome.details.get("category"), outcome.details.get("explanation")
    details = {
        "type": "refusal",
        "category": category if category in _CATEGORIES else None,
        "explanation": explanation if isinstance(explanation, str) else outcome.error,
    }
    return idle_body({"type": "refusal"}, details)


def tells_error(outcome: RunOutcome) -> bool:
    """Is the end of a run a `session.error`? A refusal is none."""
    return outcome.status not in ("finished", "cancelled") and outcome.code != "refused"


def clone_error(kind: str, url: str, words: str) -> Json:
    """The error for a repository that could not be cloned; the session goes on without it."""
    said = {"type": f"repository_{kind}_error", "message": words, "repository_url": url}
    return {**said, "retry_status": {"type": "retrying"}}


def error_body(outcome: RunOutcome) -> Json:
    """Of a run that has failed."""
    return _error(
        _ERRORS.get(outcome.code, "unknown_error"),
        outcome.details.get("status"),
        outcome.error or outcome.code,
        "exhausted",
    )


def retrying_body(words: str, status: int | None) -> Json:
    """Of a request to a model that is made again."""
    return _error("model_request_failed_error", status, words, "retrying")


def _error(kind: str, status: int | None, words: str, retry: str) -> Json:
    kind = _BY_STATUS.get(status, kind)
    return {"error": {"type": kind, "message": words, "retry_status": {"type": retry}}}


def server_error_body(server: str, words: str, *, is_unauthorized: bool) -> Json:
    """The error for an MCP server that can't be had; the turn goes on without it."""
    what = "authentication" if is_unauthorized else "connection"
    error = {
        "type": f"mcp_{what}_failed_error",
        "message": words,
        "mcp_server_name": server,
        "retry_status": {"type": "exhausted"},
    }
    return {"error": error}


def answered_body(start: str, usage: Usage | None, *, is_error: bool) -> Json:
    """The body for the end of a request to a model."""
    return {
        "model_request_start_id": start,
        "model_usage": usage_body(usage or Usage()),
        "is_error": is_error,
    }


def unanswered_body(start: str) -> Json:
    """The same of one of which no message is kept."""
    return answered_body(start, None, is_error=True)


def usage_body(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def judged_body(
    outcome: Outcome, result: str, explanation: str, usage: Usage | None = None, *, start: str | None = None
) -> Json:
    """The body for the end of an evaluation; `start` is the event of its beginning, if the outcome does not know it."""
    return {
        "outcome_evaluation_start_id": outcome.start_id if start is None else start,
        "outcome_id": outcome.id,
        "iteration": outcome.iteration,
        "result": result,
        "explanation": explanation,
        "usage": usage_body(usage or Usage()),
    }


def given_up_body(outcome: Outcome, end: RunOutcome) -> Json:
    """The same of an outcome that is not reached any more, since the run has ended so."""
    if end.status == "cancelled":
        return judged_body(outcome, "interrupted", "The work was interrupted.")
    why = end.error or end.code or "the agent has no more turns"
    return judged_body(outcome, "failed", f"The work ended before the outcome was reached: {why}")


def result_body(use_id: str, block: Mapping[str, Any]) -> Json:
    """Of a tool's result; `use_id` is the event of its call."""
    content, is_error = _content(block.get("content")), bool(block.get("is_error"))
    return {"tool_use_id": use_id, "content": content, "is_error": is_error}


def remote_result_body(use_id: str, block: Mapping[str, Any]) -> Json:
    """The same of a tool of an MCP server."""
    said = result_body(use_id, block)
    return {"mcp_tool_use_id": said.pop("tool_use_id"), **said}


def is_self_hosted(settings: Mapping[str, Any]) -> bool:
    """Do workers of its environment run the tools of a session with these settings?"""
    return settings.get("environment_type") == "self_hosted"


def client_result_body(kind: str, use_id: str, block: Mapping[str, Any]) -> Json:
    """The same of a call that a client should have made, if somebody else has ended it; `kind` is the event's type."""
    said = result_body(use_id, block)
    if kind == "user.tool_result":
        return said
    return {"custom_tool_use_id": said.pop("tool_use_id"), **said}


def served_result_body(use_id: str, block: Mapping[str, Any]) -> Json:
    """Of what a tool has found that the model's API runs itself: places on the web as JSON, or why there are none."""
    found = block.get("content")
    if not isinstance(found, list):
        why = str((found or {}).get("error_code", "unavailable"))
        return {"tool_use_id": use_id, "content": [{"type": "text", "text": why}], "is_error": True}
    shown = [{name: one[name] for name in _SHOWN if one.get(name)} for one in found if isinstance(one, dict)]
    text = orjson.dumps(shown).decode()
    return {"tool_use_id": use_id, "content": [{"type": "text", "text": text}], "is_error": False}


def _content(content: Any) -> list[Json]:
    """Texts, pictures and documents."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [
        {name: value for name, value in block.items() if name != "cache_control"}
        for block in content or ()
        if block.get("type") in ("text", "image", "document") and (block["type"] != "text" or block["text"])
    ]
