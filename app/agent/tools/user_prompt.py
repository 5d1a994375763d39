"""The `user_prompt` toolset: a question to the user, whose answer becomes the result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

from app.agent.tools.function_tool import FunctionToolset, schema_of, tool
from app.agent.toolset import Elicitation, ToolContext, ToolResult


class _Answer(TypedDict):
    action: Annotated[str, "What the user chose", {"enum": ["accept", "decline", "cancel"]}]
    content: NotRequired[dict[str, Any]]


class UserPromptToolset(FunctionToolset):
    """Stateless: the question goes out with the run's events, and the run waits."""

    category = "user_prompt"
    instructions = (
        "Ask the user with user_prompt when only they can decide or know. Say in the message what you need "
        "and why; give a JSON schema when the answer must have a certain form. They may decline."
    )

    @tool(read_only=True, in_order=True, output_schema=schema_of(_Answer))
    def user_prompt(
        self,
        context: ToolContext,
        message: Annotated[str, "What to ask"],
        title: Annotated[str, "A heading for the question"] = "",
        schema: Annotated[dict[str, Any] | None, "JSON schema of the answer"] = None,
    ) -> Elicitation | ToolResult:
        """Asks the user a question and waits for the answer."""
        if not context.attended:
            return ToolResult.error(
                "user_prompt tool is not available in this context (no elicitation handler configured)"
            )
        return Elicitation(message, schema, {"cagent/title": title} if title else None)


def answer_result(action: str, content: Mapping[str, Any] | None = None) -> ToolResult:
    """The result that the user's answer becomes: an error, unless it was accepted."""
    body: dict[str, Any] = {"action": action}
    if content:
        body["content"] = content
    output = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return ToolResult(output, is_error=action != "accept")
