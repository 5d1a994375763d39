"""Content blocks as the contract's clients read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from app.conversation.blocks import Block, plain_text
from app.conversation.call_events import wire_call
from app.conversation.events import Event, Json, UserMessage
from app.conversation.framing import unframed
from app.conversation.transcript import Message


def wire_parts(content: Iterable[Block]) -> list[dict[str, Any]]:
    """A user message's content as the contract's parts."""
    parts: list[dict[str, Any]] = []
    for block in content:
        source = block.get("source") or {}
        if block.get("type") == "text":
            parts.append({"type": "text", "text": block["text"]})
        elif block.get("type") == "image" and source.get("type") == "base64":
            url = f"data:{source['media_type']};base64,{source['data']}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        elif block.get("type") == "image" and source.get("type") == "url":
            parts.append({"type": "image_url", "image_url": {"url": source["url"]}})
        elif block.get("type") == "document" and source.get("type") in ("base64", "text"):
            parts.append({"type": "document", "document": _wire_document(block, source)})
    return parts


def _wire_document(block: Block, source: Mapping[str, Any]) -> Json:
    key = "inline_data" if source["type"] == "base64" else "inline_text"
    name = block.get("title") or ""
    return {"name": name, "mime_type": source["media_type"], "source": {key: source["data"]}}


def wire_tool_call(block: Block) -> Json:
    """A call as the contract's tool_call object."""
    return wire_call(block["id"], block["name"], arguments_text(block["input"]) or "{}")


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """A call's arguments as JSON text, empty for none."""
    return orjson.dumps(arguments).decode() if arguments else ""


def user_message_event(session_id: str, row: Message) -> Event:
    content = unframed(row.content)
    return UserMessage(
        message=plain_text(content),
        multi_content=wire_parts(content) if any(b.get("type") != "text" for b in content) else (),
        session_id=session_id,
        session_position=row.position,
        message_id=message_id_of(session_id, row),
    )


def message_id_of(session_id: str, row: Message) -> str:
    """A stored message's id in events and snapshots. A process that gives messages none calls them by their place."""
    return row.id or f"{session_id}:{row.role}:{row.position}"
