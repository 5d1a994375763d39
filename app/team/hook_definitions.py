"""Hooks: shell commands that run at points of an agent's life."""

from __future__ import annotations

import re

from pydantic import model_validator

from app.team.fields import AgentFilePart, Count, Flag, Text, misused


class Hook(AgentFilePart):
    type: Text = ""
    command: Text = ""
    timeout: Count = 0
    """Seconds; 0 is the default of 60."""
    network: Flag = False
    """Whether it has a network in a cage."""

    @model_validator(mode="after")
    def _is_a_command(self) -> Hook:
        if not self.type:
            raise misused("type is required", "type")
        if self.type != "command":
            raise misused(f"unsupported hook type '{self.type}' (only 'command' is supported)", "type")
        if not self.command:
            raise misused("command is required for command hooks", "command")
        return self


class HookMatcher(AgentFilePart):
    matcher: Text = ""
    """A regular expression that must match the whole tool name; empty or `*` matches every tool."""
    hooks: tuple[Hook, ...] = ()

    @model_validator(mode="after")
    def _has_a_hook(self) -> HookMatcher:
        if not self.hooks:
            raise misused("at least one hook is required", "hooks")
        return self

    @model_validator(mode="after")
    def _can_match(self) -> HookMatcher:
        try:
            if self.matcher != "*":
                re.compile(self.matcher)
        except (re.error, OverflowError, RecursionError) as error:
            raise misused(f"not a regular expression: {error}", "matcher") from None
        return self


class Hooks(AgentFilePart):
    pre_tool_use: tuple[HookMatcher, ...] = ()
    post_tool_use: tuple[HookMatcher, ...] = ()
    session_start: tuple[Hook, ...] = ()
    session_end: tuple[Hook, ...] = ()
    on_user_input: tuple[Hook, ...] = ()
