"""Content blocks: the Messages API's own JSON, kept as it came.

A block is a plain dict, because unknown block types must go back unchanged and because a signed thinking block must
not lose a byte. Blocks that the API would not take back are removed on the way out, in `for_api`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

Block = dict[str, Any]

NO_OUTPUT: Final = "(no output)"
MAX_CALLED: Final = 500  # characters of an impossible name that are kept
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,200}\Z")
"""Names of tools that the API takes back."""

MAX_DEPTH: Final = 100  # of JSON that a model or a client writes

SERVED_CALLS: Final = frozenset({"server_tool_use", "mcp_tool_use"})  # the API answers them itself

_API_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("type", "text", "citations"),
    "image": ("type", "source", "transformations"),
    "document": ("type", "source", "title", "context", "citations"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input", "caller", "toolset_name"),
    "tool_result": ("type", "tool_use_id", "content", "is_error", "toolset_name"),
    "server_tool_use": ("type", "id", "name", "input", "caller"),
}


def clean(text: str) -> str:
    """The text without lone surrogates, which no JSON parser and no database would take."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def sound(text: str) -> str:
    """The same without NUL, which PostgreSQL does not take either."""
    return clean(text).replace("\0", "\ufffd")


def is_deep(value: Any) -> bool:
    """Is it nested deeper than MAX_DEPTH? JSON is read to a depth of 1024, but written only to 254, and what is read
    here is written as a part of something else."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return False
    return True


def _inner(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
    return ()


def with_usable_name(call: Block) -> Block:
    """The call by a name that the API takes back. If the model gave it another one, that is its `called`: no tool has
    such a name, not even the one that the usable name happens to be that of."""
    name = call["name"]
    if isinstance(name, str) and TOOL_NAME.match(name):
        return call
    called = "" if name is None else str(name)[:MAX_CALLED]
    return {**call, "name": usable_name(name), "called": called}


def usable_name(name: Any) -> str:
    usable = re.sub(r"[^a-zA-Z0-9_-]", "_", name[:200]) if isinstance(name, str) else ""
    return usable or "unknown"


def text_block(text: str) -> Block:
    return {"type": "text", "text": clean(text)}


def tool_result(
    call_id: str,
    output: str,
    *,
    is_error: bool = False,
    images: Iterable[tuple[str, str]] = (),
    documents: Iterable[tuple[str, str]] = (),
) -> Block:
    """The answer to one tool call. `images` and `documents` are (media type, base64) pairs.

    Blank output becomes a word: an empty result looks like a missing one. An error carries text only,
    as the API demands.
    """
    words = clean(output) if output.strip() else NO_OUTPUT
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": words}
    files = [
        *(base64_block("image", media_type, data) for media_type, data in images),
        *(base64_block("document", media_type, data) for media_type, data in documents),
    ]
    if files and not is_error:
        block["content"] = [text_block(words), *files]
    if is_error:
        block["is_error"] = True
    return block


def image_block(media_type: str, data: str) -> Block:
    return base64_block("image", media_type, data)


def base64_block(kind: str, media_type: str, data: str) -> Block:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}


def is_pdf(data: object) -> bool:
    """Does this base64 hold a whole PDF without a password, by its marks? The API refuses another one."""
    try:
        found = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except ValueError:
        return False
    return found.startswith(b"%PDF-") and b"%%EOF" in found and b"/Encrypt" not in found


def is_attachment(block: Block) -> bool:
    """Is this a picture or a document?"""
    return block.get("type") in ("image", "document")


def is_blank(block: Block) -> bool:
    """Is this a text block that the API refuses as empty?"""
    if block.get("type") != "text":
        return False
    text = block.get("text")
    return not isinstance(text, str) or not text.strip()


def is_thinking(block: Block) -> bool:
    return block.get("type") in ("thinking", "redacted_thinking")


def is_signed(block: Block) -> bool:
    """Does a thinking block carry what the API needs to take it back?"""
    key = "data" if block.get("type") == "redacted_thinking" else "signature"
    return isinstance(block.get(key), str) and bool(block[key])


def is_served_result(block: Block) -> bool:
    """Is this what a tool that the API runs itself has found? It stands in the assistant's own message."""
    return str(block.get("type")).endswith("_tool_result")


def is_readable_result(block: Block) -> bool:
    """Would the API take this tool_result's content? Only an error has to have some, and that in text."""
    content, failed = block.get("content"), bool(block.get("is_error"))
    if failed and not content:
        return False
    if isinstance(content, list):
        return all(_is_part(part) and (not failed or part["type"] == "text") for part in content)
    return isinstance(content, str) or "content" not in block


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str) and not is_blank(part)


def for_api(block: Block) -> Block:
    """The block as the API accepts it: known types lose fields that are only ours or only the server's."""
    fields = _API_FIELDS.get(str(block.get("type")))
    if fields is None or (
        block.keys() <= set(fields) and None not in block.values() and block.get("citations", True)
    ):
        return block
    return {
        key: block[key] for key in fields if block.get(key) is not None and (key != "citations" or block[key])
    }


def plain_text(content: Iterable[Block]) -> str:
    return "".join(str(block["text"]) for block in content if block.get("type") == "text")


def thinking_text(content: Iterable[Block]) -> str:
    return "".join(str(block.get("thinking", "")) for block in content if block.get("type") == "thinking")


def calls(content: Iterable[Block]) -> list[Block]:
    return [block for block in content if block.get("type") == "tool_use"]


def result_text(block: Block) -> str:
    """The text of a tool_result, as one string."""
    content = block.get("content")
    if isinstance(content, str):
        return content
    return plain_text(content) if isinstance(content, list) else ""
