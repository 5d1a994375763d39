"""The events of later clients and servers, from v1.33 on, where they differ from March's.

Read in docker-agent's `pkg/runtime/event.go` at 055d2ddb and 71f377e5, `client.go` at 689e4eb1, `pkg/tools/tools.go` at
7c1086de and `pkg/chat/chat.go` at 396ec644. A (*) marks newer ones: `event.go` at 44246f3f and `client.go` at 0d13d096,
as the fork Benehiko/docker-agent has them. A (**) marks the newest, of the days of "canonical sessions", from a stored
version of `event.go` that names no commit. A `?` behind a key says that an empty value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.harness import wire_march as march
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
    {
        "id?": text,
        "type": text,
        "function": Struct({"name?": text, "arguments?": text}),
        "provider_id?": text,
    }
)
_DOCUMENT: Final = Struct({"name?": text, "uri?": text, "mimeType": text, "data?": text, "text?": text})
_RESULT: Final = Struct({**march.RESULT, "documents?": Listed(_DOCUMENT)})
_LAST_MESSAGE: Final = Struct({**march.COUNTS, "Cost": number, "Model": text, "finish_reason?": text})
_PART: Final = Struct({**march.PART, "document?": anything})
_AGENT: Final = Struct(
    {
        **march.AGENT,
        **dict.fromkeys(
            (
                "thinking?",
                "model_id?",
                "model_name?",
                "thinking_mode?",
                "thinking_level?",
            ),  # (**) but the first
            text,
        ),
        "thinking_levels?": Listed(text),  # (**)
        "can_cycle_thinking?": truth,  # (**)
        "primary_thinking?": anything,  # (**)
    }
)
_CALL: Final[Mapping[str, Kind]] = {"tool_call": TOOL_CALL, "tool_definition": march.TOOL}
_OF_SESSION: Final[Mapping[str, Kind]] = {"session_id": text}
_PERHAPS_OF_SESSION: Final[Mapping[str, Kind]] = {"session_id?": text}
_BUDGET: Final = Struct(
    {
        "name": text,
        "cost": number,
        "max_cost?": number,
        "tokens": whole,
        "max_tokens?": whole,
        "elapsed_seconds": number,
        "max_time_seconds?": number,
        "unpriced?": truth,
        "per_agent?": Listed(
            Struct({"agent_name": text, "cost": number, "tokens": whole, "active_seconds": number})
        ),
    }
)
_STOP_MESSAGE: Final = Struct(
    {"agent_name?": text, "message": Struct({"role": text, "content": text, "created_at?": text})}
)

OWN_FIELDS: Final[Mapping[str, Mapping[str, Kind]]] = {
    **march.OWN_FIELDS,
    "agent_info": {
        **march.OWN_FIELDS["agent_info"],
        "context_limit?": whole,
        "compaction_model?": text,  # (*)
        "primary_context_limit?": whole,  # (*)
    },
    "team_info": {"available_agents": Listed(_AGENT), "current_agent": text},
    "user_message": {
        **march.OWN_FIELDS["user_message"],
        "multi_content?": Listed(_PART),
        **dict.fromkeys(
            (
                "input_origin?",
                "sender_id?",
                "sender_name?",
                "report_outcome?",
                "input_mode?",
                "turn_id?",
            ),  # (**)
            text,
        ),
    },
    "agent_choice": {**march.OWN_FIELDS["agent_choice"], "message_id?": text},  # (*)
    "agent_choice_reasoning": {**march.OWN_FIELDS["agent_choice_reasoning"], "message_id?": text},  # (*)
    "partial_tool_call": {"tool_call": TOOL_CALL, "tool_definition?": Pointer(march.TOOL)},
    "tool_call_confirmation": {
        **_CALL,
        "metadata?": Mapped(text),
        "session_id?": text,  # (**)
        "request_id?": text,  # (**)
    },
    "tool_call": _CALL,
    "tool_call_output": {"tool_call_id": text, "tool_definition": march.TOOL, "output": text},
    "tool_call_response": {
        "tool_call_id?": text,  # not in what earlier versions of ours have stored
        "tool_definition": march.TOOL,
        "response": text,
        "result": _RESULT,
    },
    "hook_blocked": {**_CALL, "message": text},
    "hook_started": {**_OF_SESSION, "hook_event": text},
    "hook_finished": {
        **_OF_SESSION,
        "hook_event": text,
        "duration_ms": whole,
        "allowed": truth,
        "error?": text,
        "message?": text,
    },
    "token_usage": {
        **_OF_SESSION,
        "assistant_message_empty?": truth,  # (*)
        "usage": Pointer(
            Struct(
                {
                    **march.USAGE,
                    "last_message?": Pointer(_LAST_MESSAGE),
                    "compaction_threshold?": number,  # (*)
                    "snapshot_only?": truth,  # (*)
                }
            )
        ),
    },
    "session_compaction": {**_OF_SESSION, "status": text, "outcome?": text},
    "session_summary": {
        **_OF_SESSION,
        "summary": text,
        "first_kept_entry?": whole,
        "cost?": number,  # (*)
        "model?": text,  # (*)
        "usage?": Pointer(Struct(march.COUNTS)),  # (*)
    },
    "max_iterations_reached": {
        "max_iterations": whole,
        "session_id?": text,
        "request_id?": text,
    },  # (**) the ids
    "elicitation_request": {
        **march.OWN_FIELDS["elicitation_request"],
        **dict.fromkeys(
            ("server_elicitation_id?", "session_id?", "request_id?"), text
        ),  # (*), the last one (**)
    },
    "error": {"error": text, "session_id?": text, "code?": text},
    "shell": {
        **dict.fromkeys(("output?", "command_id?", "command?", "error?"), text),
        "done?": truth,
    },  # (*) but `output`
    "stream_stopped": {**_PERHAPS_OF_SESSION, "reason?": text, "finish_reason?": text},  # (*) the last one
    "session_recovered": _OF_SESSION,  # (*)
    "runtime_paused": _PERHAPS_OF_SESSION,
    "plan_updated": {**_OF_SESSION, "content?": text, "path?": text},
    "session_plan_updated": {**_OF_SESSION, "content?": text, "path?": text},
    "plan_changed": {**dict.fromkeys(("scope", "name", "action"), text), "version?": whole},  # (*)
    "budget_usage": {**_OF_SESSION, "budgets?": Listed(_BUDGET)},  # (*)
    "budget_exceeded": {
        **dict.fromkeys(("session_id", "budget", "limit", "used", "max", "config_path", "message"), text),
        "stop_message?": Pointer(_STOP_MESSAGE),
    },  # (*)
    "evaluation_usage": {**_OF_SESSION, "evaluation": anything},  # (*)
    "message_added": {
        **_OF_SESSION,
        "assistant_message_empty?": truth,  # (*)
        "has_tool_calls?": truth,  # (*)
        "session_position?": whole,  # (**)
        "message_role?": text,  # (**)
        "tool_call_ids?": Listed(text),  # (**)
    },
}

NOT_DECODED: Final = frozenset({"plan_updated", "session_plan_updated"})
"""Not in the list of types that the client decodes: it skips them."""

SHAPES_NOT_READ: Final = frozenset({"elicitation_closed", "agent_route", "routing_decision"})
"""The newest client decodes them; what is in them could not be read. Nothing may send what nobody has read."""

MADE_BY_THE_CLIENT: Final = frozenset({"connection_lost", "connection_restored"})
"""A server that sent them would lie about the client's connection."""
