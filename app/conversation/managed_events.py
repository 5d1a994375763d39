"""Bodies of events of the Managed Agents API, of whatever wrote them: a run, or the process that closed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from app.conversation.run_outcome import RunOutcome

Json = dict[str, Any]

END_TURN: Final[Json] = {"type": "end_turn"}
RETRIES_EXHAUSTED: Final[Json] = {"type": "retries_exhausted"}
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

_ERRORS: Final = {
    "model_overloaded": "model_overloaded_error",
    "model_rate_limited": "model_rate_limited_error",
    "model_failed": "model_request_failed_error",
}


def idle_body(stop_reason: Json) -> Json:
    return {"stop_reason": stop_reason, "stop_details": None}


def error_body(outcome: RunOutcome) -> Json:
    """Of a run that has failed."""
    kind = _ERRORS.get(outcome.code, "unknown_error")
    said = {"type": kind, "message": outcome.error or outcome.code, "retry_status": {"type": "exhausted"}}
    return {"error": said}


def result_body(use_id: str, block: Mapping[str, Any]) -> Json:
    """Of a tool's result; `use_id` is the event of its call."""
    content, is_error = _content(block.get("content")), bool(block.get("is_error"))
    return {"tool_use_id": use_id, "content": content, "is_error": is_error}


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
