"""The `user_prompt` toolset: a question to the user, whose answer becomes the result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.agent.tools.parameters import parameters, text
from app.agent.toolset import Elicitation, Tool, ToolContext, ToolFailed, ToolResult, string

_ACTIONS: Final = ["accept", "decline", "cancel"]


class UserPromptToolset:
    """Stateless: the question goes out with the run's events, and the run waits."""

    instructions = (
        "Ask the user with user_prompt when only they can decide or know. Say in the message what you need "
        "and why; give a JSON schema when the answer must have a certain form. They may decline."
    )

    def tools(self) -> Sequence[Tool]:
        schema = {"type": "object", "additionalProperties": True}
        answer = {"action": text("What the user chose") | {"enum": _ACTIONS}, "content": schema}
        return [
            Tool(
                name="user_prompt",
                title="User Prompt",
                category="user_prompt",
                description="Asks the user a question and waits for the answer.",
                parameters=parameters(
                    {
                        "message": text("What to ask"),
                        "title": text("A heading for the question"),
                        "schema": schema | {"description": "JSON schema of the answer"},
                    },
                    optional=["title", "schema"],
                ),
                output_schema=parameters(answer, optional=["content"]),
                read_only=True,
                in_order=True,
                handler=_ask,
            )
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return None


def answer_result(action: str, content: Mapping[str, Any] | None = None) -> ToolResult:
    """The result that the user's answer becomes: an error, unless it was accepted."""
    body: dict[str, Any] = {"action": action}
    if content:
        body["content"] = content
    output = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return ToolResult(output, is_error=action != "accept")


def _ask(arguments: Mapping[str, Any], context: ToolContext) -> Elicitation | ToolResult:
    if not context.attended:
        return ToolResult.error(
            "user_prompt tool is not available in this context (no elicitation handler configured)"
        )
    schema = arguments.get("schema")
    if schema is not None and not isinstance(schema, dict):
        raise ToolFailed("schema must be an object")
    title = string(arguments, "title")
    return Elicitation(string(arguments, "message"), schema, {"cagent/title": title} if title else None)
