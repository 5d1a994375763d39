"""What a tool server says, in our words: its tools, and the results of its calls."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from app.agent.tools import image_header
from app.agent.tools.output_limit import readable
from app.agent.toolset import Handler, Tool, ToolResult

MAX_BYTES: Final = 200_000  # of a result's text
MAX_MEDIA: Final = (
    10_000_000  # characters of its pictures and sounds: a request to the model has at most 32 MB
)
NO_OUTPUT: Final = "no output"

_LEFT_OUT: Final = {
    "image": "[a picture that is left out: the result is too large]",
    "audio": "[a sound that is left out: the result is too large]",
}
_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")

Json = Mapping[str, Any]


def tool_of(described: Json, prefix: str, handler: Handler) -> Tool:
    """As the server describes it; whether the model's API takes it is looked at for tools of all kinds."""
    schema = described.get("inputSchema")
    own = str(described.get("name") or "")
    hints = described.get("annotations")
    hints = hints if isinstance(hints, Mapping) else {}
    description = _sound(str(described.get("description") or ""))
    return Tool(
        name=_NAME.sub("_", f"{prefix}_{own}" if prefix and own else own),
        title=_sound(str(hints.get("title") or described.get("title") or "")),
        category="",
        description=description,
        parameters={"type": "object", "properties": {}} if schema is None else schema,
        output_schema=_storable(described.get("outputSchema")),
        read_only=hints.get("readOnlyHint") is True,
        destructive=_hint(hints, "destructiveHint"),
        idempotent=_hint(hints, "idempotentHint"),
        open_world=_hint(hints, "openWorldHint"),
        revision=hashlib.sha256(json.dumps([description, schema]).encode()).hexdigest(),
        handler=handler,
    )


def result_of(answer: Json) -> ToolResult:
    """Texts are joined, a link shows as one, pictures and sounds go with it; what is embedded is left out."""
    words, images, audios = [], [], []
    left = MAX_MEDIA
    for content in answer.get("content") or ():
        match content.get("type"):
            case "text":
                words.append(str(content.get("text", "")))
            case "resource_link":
                words.append(
                    f"[{content['name']}]({content['uri']})" if content.get("name") else content["uri"]
                )
            case "image" | "audio" as kind if len(str(content.get("data", ""))) > left:
                words.append(_LEFT_OUT[kind])
            case "image":
                picture = _picture(content)
                if isinstance(picture, str):
                    words.append(picture)
                else:
                    images.append(picture)
                    left -= len(picture[1])
            case "audio":
                audios.append((str(content.get("mimeType", "")), str(content.get("data", ""))))
                left -= len(audios[-1][1])
    return ToolResult(
        _cut("".join(words)) or NO_OUTPUT,
        is_error=bool(answer.get("isError")),
        images=images,
        audios=audios,
        structured=answer.get("structuredContent"),
    )


def _hint(hints: Json, name: str) -> bool | None:
    value = hints.get(name)
    return value if isinstance(value, bool) else None


def _storable(value: Any) -> Any:
    """A value for readers; None for one that can't be written as JSON."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None  # a number of more than 64 bits, half a surrogate pair, or too deep
    return value


def _sound(text: str) -> str:
    """The text without what can't be sent or stored: NUL, and half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _picture(content: Json) -> tuple[str, str] | str:
    """Media type and base64; or a remark, if the model's API would refuse the picture."""
    try:
        data = base64.b64decode(str(content.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        return "[a picture that is damaged]"
    found = image_header.recognise(data)
    if found is None:
        return f"[a picture of a kind that can't be shown: {content.get('mimeType', 'unknown')}]"
    if problem := image_header.unfit(found, len(data)):
        return f"[a picture that can't be shown: {problem}]"
    return found.media_type, base64.b64encode(data).decode()


def _cut(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_BYTES:
        return _sound(text)
    return f"{readable(data[:MAX_BYTES])}\n\n[Output truncated: the first {MAX_BYTES} of {len(data)} bytes]"


def to_send(arguments: Json) -> dict[str, Any]:
    """Arguments as servers want them: what is not given is not there, and half a surrogate pair is no text."""
    given = {name: value for name, value in arguments.items() if value is not None}
    text = json.dumps(given, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        given = json.loads(text.encode("utf-8", "replace"))
    return given
