"""The prompts of a tool server: texts that it offers to people, not to models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_PAGES: Final = 100
_EMPTY: Final = "The prompt is empty."


@dataclass(frozen=True, slots=True)
class PromptArgument:
    name: str
    description: str
    required: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    name: str
    description: str
    arguments: tuple[PromptArgument, ...]


async def list_prompts(connection: Any) -> list[Prompt]:
    """In the server's order; none of a server that has none. Raises what the connection raises."""
    client = connection.client
    if client.server_capabilities.prompts is None:
        return []
    found: dict[str, Prompt] = {}
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_prompts(cursor=cursor)
        for prompt in page.prompts:
            arguments = tuple(
                PromptArgument(one.name, one.description or "", bool(one.required))
                for one in prompt.arguments or ()
            )
            found.setdefault(prompt.name, Prompt(prompt.name, prompt.description or "", arguments))
        if not page.next_cursor or page.next_cursor == cursor:
            break
        cursor = page.next_cursor
    return list(found.values())


async def expand(connection: Any, name: str, arguments: Mapping[str, str]) -> str:
    """The words of the prompt's messages, with an empty line between two; what is no text is named."""
    answer = await connection.client.get_prompt(name, dict(arguments))
    texts = [
        str(content.text) if (content := message.content).type == "text" else f"[{content.type}]"
        for message in answer.messages
    ]
    return "\n\n".join(texts) or _EMPTY
