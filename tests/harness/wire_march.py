"""The events of March 2026, with their fields, as docker-agent's `pkg/runtime/event.go` had them at 0d76412a.

A `?` behind a key says that an empty value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.harness.field_kinds import (
    Kind,
    Listed,
    Mapped,
    Pointer,
    Struct,
    anything,
    number,
    text,
    truth,
    whole,
)

TOOL_CALL: Final = Struct(
    {"id?": text, "type": text, "function": Struct({"name?": text, "arguments?": text})}
)
_HINTS: Final = ("destructiveHint?", "idempotentHint?", "openWorldHint?", "readOnlyHint?")
TOOL: Final = Struct(
    {
        "name": text,
        "category": text,
        "description?": text,
        "parameters": anything,
        "annotations": Struct({**dict.fromkeys(_HINTS, truth), "title?": text}),
        "outputSchema": anything,
    }
)
MEDIA: Final = Listed(Struct({"data": text, "mimeType": text}))
RESULT: Final[Mapping[str, Kind]] = {
    "output": text,
    "isError?": truth,
    "meta?": anything,
    "images?": MEDIA,
    "audios?": MEDIA,
    "structuredContent?": anything,
}
COUNTS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_input_tokens", "cached_write_tokens", "reasoning_tokens?"),
        whole,
    )
}
LAST_MESSAGE: Final[Mapping[str, Kind]] = {
    **COUNTS,
    **dict.fromkeys(("limit?", "remaining?", "reset?", "retry_after?"), whole),
    "Cost": number,
    "Model": text,
}
USAGE: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("input_tokens", "output_tokens", "context_length", "context_limit"), whole),
    "cost": number,
}
PART: Final[Mapping[str, Kind]] = {
    "type?": text,
    "text?": text,
    "image_url?": Pointer(Struct({"url?": text, "detail?": text})),
    "file?": Pointer(Struct({"path?": text, "file_id?": text, "mime_type?": text})),
}
AGENT: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("name", "description", "provider", "model"), text),
    "commands?": Mapped(Struct({"description?": text, "instruction?": text})),
}
CALL: Final[Mapping[str, Kind]] = {"tool_call": TOOL_CALL, "tool_definition": TOOL}
_RAG: Final[Mapping[str, Kind]] = {"rag_name": text, "strategy_name": text}

OWN_FIELDS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "agent_info": {"model": text, "description": text, "welcome_message?": text},
    "team_info": {"available_agents": Listed(Struct(AGENT)), "current_agent": text},
    "mcp_init_started": {},
    "mcp_init_finished": {},
    "toolset_info": {"available_tools": whole, "loading": truth},
    "warning": {"message": text},
    "user_message": {
        "message": text,
        "multi_content?": Listed(Struct(PART)),
        "session_id": text,
        "session_position": whole,
    },
    "stream_started": {"session_id?": text},
    "agent_choice": {"content": text, "session_id?": text},
    "agent_choice_reasoning": {"content": text, "session_id?": text},
    "partial_tool_call": {"tool_call": TOOL_CALL, "tool_definition?": TOOL},
    "tool_call_confirmation": CALL,
    "tool_call": CALL,
    "tool_call_response": {**CALL, "response": text, "result": Struct(RESULT)},
    "hook_blocked": {**CALL, "message": text},
    "token_usage": {
        "session_id": text,
        "usage": Pointer(Struct({**USAGE, "last_message?": Pointer(Struct(LAST_MESSAGE))})),
    },
    "session_title": {"session_id": text, "title": text},
    "session_compaction": {"session_id": text, "status": text},
    "session_summary": {"session_id": text, "summary": text},
    "max_iterations_reached": {"max_iterations": whole},
    "elicitation_request": {
        "message": text,
        "mode?": text,
        "schema?": anything,
        "url?": text,
        "elicitation_id?": text,
        "meta?": Mapped(anything),
    },
    "authorization_event": {"confirmation": text},
    "agent_switching": {"switching": truth, "from_agent?": text, "to_agent?": text},
    "error": {"error": text},
    "stream_stopped": {"session_id?": text},
    "shell": {"output": text},
    "rag_indexing_started": _RAG,
    "rag_indexing_completed": _RAG,
    "rag_indexing_progress": {**_RAG, "current": whole, "total": whole},
    "model_fallback": {
        **dict.fromkeys(("failed_model", "fallback_model", "reason"), text),
        **dict.fromkeys(("attempt", "max_attempts"), whole),
    },
    "message_added": {"session_id": text},
    "sub_session_completed": {"parent_session_id": text, "sub_session": anything},
}
"""`result` may be left out by the type, but that client looks into it without asking, so it has to be there. A piece of
a call had its definition each time; a stream for later clients has it once, which `promises` looks after."""

NOT_DECODED: Final = frozenset({"model_fallback", "message_added", "sub_session_completed"})
"""Sent, but not in the list of types that the client of that day (`pkg/runtime/client.go`) decodes: it skips them."""
