"""Hooks: commands, and code of the server's, that run at points of an agent's life."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from app.team.fields import AgentFilePart, Count, Flag, Text, TextMap, Texts, misused
from app.team.hook_points import BUILTINS, POINTS

_ON_ERROR: Final = ("warn", "ignore", "block")


class Hook(AgentFilePart):
    type: Text = ""
    """`command` for a shell command, `builtin` for a hook of the server's."""
    command: Text = ""
    """The shell command, or the name of the builtin."""
    name: Text = ""
    """What warnings call it."""
    args: Texts = ()
    """For a builtin."""
    timeout: Count = 0
    """Seconds; 0 is the default of 60."""
    env: TextMap = Field(default_factory=dict)
    """More variables for the command; `${env.X}` in them is the server's variable at that moment."""
    working_dir: Text = ""
    """A directory below the session's, where the command runs."""
    on_error: Text = ""
    """If the hook breaks: `warn` (the default) tells readers, `ignore` only the log, `block` counts as a no. A hook
    before a call has then always said no."""
    network: Flag = False
    """Whether it has a network in a cage."""

    @model_validator(mode="after")
    def _can_run(self) -> Hook:
        if not self.type:
            raise misused("type is required", "type")
        if self.type not in ("command", "builtin"):
            words = f"unsupported hook type '{self.type}' (only 'command' and 'builtin' are supported)"
            raise misused(words, "type")
        if not self.command:
            missing = "command is required for command hooks"
            raise misused(missing if self.type == "command" else "command must name the builtin", "command")
        if self.on_error and self.on_error not in _ON_ERROR:
            raise misused(f"must be one of {', '.join(_ON_ERROR)}", "on_error")
        if self.type == "builtin":
            self._check_builtin()
        elif self.args:
            raise misused("only a builtin has args; write them into the command", "args")
        if self.working_dir.startswith("/") or ".." in self.working_dir.split("/"):
            raise misused("must be a path below the session's directory", "working_dir")
        return self

    def _check_builtin(self) -> None:
        if self.command not in BUILTINS:
            known = ", ".join(sorted(BUILTINS))
            raise misused(f"no builtin of this server is called '{self.command}'; it has {known}", "command")
        for name in ("env", "working_dir", "network"):
            if getattr(self, name):
                raise misused("only a command has this", name)
        if self.command == "max_iterations" and not self.number:
            raise misused("max_iterations needs a number of model calls", "args")
        if self.command == "add_prompt_files" and not self.args:
            raise misused("add_prompt_files needs the names of files", "args")

    @property
    def masks_secrets(self) -> bool:
        return (self.type, self.command) == ("builtin", "redact_secrets")

    @property
    def number(self) -> int:
        """The builtin's first argument as a count; 0 if it is none."""
        return int(self.args[0]) if self.args and re.fullmatch(r"[0-9]{1,9}", self.args[0]) else 0


def _listed(value: Any) -> Any:
    """A single one need not be a list."""
    return [value] if isinstance(value, Mapping) else value


HookList = Annotated[
    tuple[Hook, ...], BeforeValidator(_listed, json_schema_input_type=Hook | tuple[Hook, ...])
]


class HookMatcher(AgentFilePart):
    matcher: Text = ""
    """A regular expression that must match the whole tool name; empty or `*` matches every tool."""
    hooks: HookList = ()

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


HookMatchers = Annotated[
    tuple[HookMatcher, ...],
    BeforeValidator(_listed, json_schema_input_type=HookMatcher | tuple[HookMatcher, ...]),
]


class Hooks(AgentFilePart):
    pre_tool_use: HookMatchers = ()
    """When a call may run, after any approval."""
    post_tool_use: HookMatchers = ()
    """When a call's result is stored."""
    tool_input_transform: HookMatchers = ()
    """Before anything is decided about a call."""
    tool_guard: HookMatchers = ()
    """Before permissions decide about a call."""
    permission_request: HookMatchers = ()
    """Before a person is asked about a call."""
    tool_response_transform: HookMatchers = ()
    """Before a call's result is stored."""
    session_start: HookList = ()
    """At the beginning of a run."""
    user_prompt_submit: HookList = ()
    """At the beginning of a run that a person's message has begun."""
    user_steering_messages_submit: HookList = ()
    """When messages come into a run that is at work."""
    user_followup_submit: HookList = ()
    """When a run goes on with a message that waited for its end."""
    turn_start: HookList = ()
    """Before each turn of the model."""
    turn_end: HookList = ()
    """After each turn, when its calls have their results."""
    before_llm_call: HookList = ()
    """Before each turn of the model, after `turn_start`."""
    after_llm_call: HookList = ()
    """When the model's answer is stored."""
    session_end: HookList = ()
    """At the end of a run that was not stopped."""
    pre_compact: HookList = ()
    """Before a compaction."""
    before_compaction: HookList = ()
    """Before a compaction, after `pre_compact`."""
    after_compaction: HookList = ()
    """When a summary is stored."""
    subagent_stop: HookList = ()
    """When an agent that was given a task has ended it."""
    on_user_input: HookList = ()
    """While a person is waited for."""
    stop: HookList = ()
    """When the model has finished its answer."""
    notification: HookList = ()
    """With an error or a warning that ends or halts the run."""
    on_error: HookList = ()
    """When a run fails."""
    on_max_iterations: HookList = ()
    """When a run has had as many turns as it may."""
    on_agent_switch: HookList = ()
    """When another agent takes over, for a task or for good."""
    on_session_resume: HookList = ()
    """When a person lets a run have more turns."""
    on_tool_approval_decision: HookList = ()
    """When it is decided whether a call may run."""

    @model_validator(mode="after")
    def _can_do_it_here(self) -> Hooks:
        for point, place, hook in self.entries():
            if hook.on_error == "block" and not POINTS[point].blocks:
                raise misused(f"a hook can't block at {point}", *place, "on_error")
            if hook.type == "builtin" and point not in BUILTINS[hook.command]:
                words = (
                    f"{hook.command} does nothing at {point}; it is for {', '.join(BUILTINS[hook.command])}"
                )
                raise misused(words, *place, "command")
        return self

    def entries(self) -> Iterator[tuple[str, tuple[str | int, ...], Hook]]:
        """Each hook with its point, and its place below this."""
        for point, rules in POINTS.items():
            for index, one in enumerate(getattr(self, point)):
                if rules.by_tool:
                    for number, hook in enumerate(one.hooks):
                        yield point, (point, index, "hooks", number), hook
                else:
                    yield point, (point, index), one
