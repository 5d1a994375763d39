"""The points at which hooks run, and what a hook can do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class HookPoint:
    """`told`: readers get `hook_started` and `hook_finished`. A field that is False takes that part of an answer
    away: it has no effect there, and readers are warned of it."""

    by_tool: bool = False  # hooks stand behind matchers for the tool's name
    chained: bool = False  # one hook after the other, each with what the one before has changed
    blocks: bool = False
    closed: bool = False  # a hook that breaks has said no
    context: bool = False  # text for the model
    permits: bool = False  # decides a question that would be asked
    metadata: bool = False  # something for the person who is asked
    asks: bool = False  # wants a person to be asked
    arguments: bool = False
    output: bool = False
    summary: bool = False
    told: bool = False


POINTS: Final[Mapping[str, HookPoint]] = {
    "pre_tool_use": HookPoint(by_tool=True, blocks=True, closed=True, arguments=True, told=True),
    "post_tool_use": HookPoint(by_tool=True, blocks=True, told=True),
    "tool_input_transform": HookPoint(by_tool=True, chained=True, blocks=True, arguments=True, told=True),
    "tool_guard": HookPoint(by_tool=True, blocks=True, closed=True, asks=True, metadata=True, told=True),
    "permission_request": HookPoint(by_tool=True, blocks=True, permits=True, metadata=True, told=True),
    "tool_response_transform": HookPoint(by_tool=True, chained=True, output=True, told=True),
    "session_start": HookPoint(context=True, told=True),
    "user_prompt_submit": HookPoint(blocks=True, context=True, told=True),
    "user_steering_messages_submit": HookPoint(blocks=True, context=True, told=True),
    "user_followup_submit": HookPoint(blocks=True, context=True, told=True),
    "turn_start": HookPoint(context=True, told=True),
    "turn_end": HookPoint(told=True),
    "before_llm_call": HookPoint(blocks=True),
    "after_llm_call": HookPoint(),
    "session_end": HookPoint(),
    "pre_compact": HookPoint(blocks=True, context=True, told=True),
    "before_compaction": HookPoint(blocks=True, summary=True, told=True),
    "after_compaction": HookPoint(told=True),
    "subagent_stop": HookPoint(),
    "on_user_input": HookPoint(),
    "stop": HookPoint(told=True),
    "notification": HookPoint(),
    "on_error": HookPoint(),
    "on_max_iterations": HookPoint(),
    "on_agent_switch": HookPoint(),
    "on_session_resume": HookPoint(),
    "on_tool_approval_decision": HookPoint(),
}

_CONTEXT: Final = tuple(name for name, point in POINTS.items() if point.context)
BUILTINS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            *("add_date", "add_environment_info", "add_prompt_files", "add_user_info"),
            *("add_directory_listing", "add_git_status", "add_git_diff", "add_recent_commits"),
        ),
        _CONTEXT,
    ),
    "max_iterations": ("before_llm_call",),
    "redact_secrets": (
        *("before_llm_call", "tool_input_transform", "pre_tool_use"),
        "tool_response_transform",
    ),
}
"""The hooks that come with the server, and the points where each has something to say."""
