"""Tools that a client of the session runs: a call is a question to the client, whose answer becomes the result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from app.agent.tools.toolset_bases import PlainToolset
from app.agent.tools.user_prompt import answer_result
from app.agent.toolset import Elicitation, Tool, ToolContext, ToolResult
from app.conversation.blocks import Block, is_pdf
from app.conversation.managed_events import BLOCKS
from app.team.client_tool import ClientTool

CATEGORY: Final = "custom"
PDF: Final = "application/pdf"
FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"result": {"type": "string", "description": "The result of the call"}},
    "required": ["result"],
}
"""For a person who answers in the client's place."""


class ClientTools(PlainToolset):
    """Stateless: the question goes out with the run's events, and the run waits."""

    def __init__(self, tools: Sequence[ClientTool]) -> None:
        self._tools = [_tool(one) for one in tools]

    def tools(self) -> Sequence[Tool]:
        return self._tools


def _tool(one: ClientTool) -> Tool:
    return Tool(
        one.name,
        CATEGORY,
        one.description,
        partial(_ask, one),
        parameters=one.schema,
        read_only=one.read_only,
        in_order=True,
        judges_itself=True,  # the client does
        answered=result_of,
    )


def _ask(one: ClientTool, arguments: Mapping[str, Any], context: ToolContext) -> Elicitation | ToolResult:
    if not context.attended:
        return ToolResult.error(f"Nobody follows this agent who could run {one.name}.")
    given = json.dumps(dict(arguments), ensure_ascii=False, indent=2)
    if one.by_worker:
        words = f"A worker of the session's environment has to run the tool {one.name}:\n{given}"
        return Elicitation(words, FORM, for_worker=dict(arguments))
    return Elicitation(f"A client has to run the tool {one.name}:\n{given}", FORM)


def result_of(action: str, content: Mapping[str, Any] | None = None) -> ToolResult:
    """The result that an answer stands for: content blocks of a client, or the filled-in form of a person."""
    if action != "accept" or content is None:
        return answer_result(action, content)
    blocks = content.get(BLOCKS)
    if isinstance(blocks, list) and all(isinstance(block, dict) for block in blocks):
        return _of_blocks(blocks, is_error=content.get("is_error") is True)
    said = content.get("result")
    return ToolResult(said) if isinstance(said, str) else answer_result(action, content)


def _of_blocks(blocks: Sequence[Block], *, is_error: bool) -> ToolResult:
    """Texts in order, then pictures, then documents. What is neither is told as JSON."""
    texts: list[str] = []
    pictures: list[tuple[str, str]] = []
    documents: list[tuple[str, str]] = []
    for block in blocks:
        source = block.get("source")
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": str(data)}}:
                pictures.append((kind, data))
            case {"type": "document", "source": {"type": "text", "data": str(text)}}:
                texts.append(_headed(text, block.get("title"), block.get("context")))
            case {"type": "document", "source": {"data": str(data)}} if is_pdf(data):
                documents.append((PDF, data))
                texts += filter(None, [_headed("", block.get("title"), block.get("context")).strip()])
            case {"type": "search_result", "content": list(parts)}:
                found = "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
                texts.append(_headed(found, block.get("title"), source))
            case _:
                texts.append(json.dumps(block, ensure_ascii=False))
    output = "\n".join(texts)
    if is_error and not output.strip():
        output = "The tool failed."
    return ToolResult(output, is_error=is_error, images=pictures, documents=documents)


def _headed(text: str, *heads: Any) -> str:
    return "\n".join([*(head for head in heads if isinstance(head, str) and head), text])
