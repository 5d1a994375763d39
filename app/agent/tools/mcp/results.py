"""A tool server's answers in our words: its tools, and the results of its calls."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from app.agent.picture_admission import decode_base64
from app.agent.tools import image_header
from app.agent.tools.output_limit import readable
from app.agent.tools.schemas.keywords import NotClear, plain
from app.agent.toolset import Handler, Tool, ToolResult
from app.conversation.blocks import sound

MAX_BYTES: Final = 200_000  # of a result's text
MAX_MEDIA: Final = (
    10_000_000  # characters of its pictures and sounds: a request to the model has at most 32 MB
)
NO_OUTPUT: Final = "no output"

_LEFT_OUT: Final = {
    "image": "[a picture that is left out: the result is too large]",
    "audio": "[a sound that is left out: the result is too large]",
}
_TEXTUAL: Final = ("json", "xml", "yaml", "javascript", "toml", "csv")
_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")

Json = Mapping[str, Any]


def tool_of(described: Json, prefix: str, handler: Handler) -> Tool:
    """As the server describes it; whether the model's API takes it is looked at for tools of all kinds."""
    schema = described.get("inputSchema")
    own = str(described.get("name") or "")
    hints = described.get("annotations")
    hints = hints if isinstance(hints, Mapping) else {}
    description = sound(str(described.get("description") or ""))
    return Tool(
        name=_NAME.sub("_", f"{prefix}_{own}" if prefix and own else own),
        title=sound(str(hints.get("title") or described.get("title") or "")),
        category="",
        description=description,
        parameters={"type": "object", "properties": {}} if schema is None else schema,
        output_schema=_storable(described.get("outputSchema")),
        judges_itself=True,
        read_only=hints.get("readOnlyHint") is True,
        destructive=_hint(hints, "destructiveHint"),
        idempotent=_hint(hints, "idempotentHint"),
        open_world=_hint(hints, "openWorldHint"),
        revision=_revision(description, schema),
        handler=handler,
    )


def result_of(answer: Json) -> ToolResult:
    """All that the answer holds, in its order. Parts that the model can't be shown are named to it."""
    reading = _Reading()
    content = answer.get("content")
    for part in content if isinstance(content, list) else [content]:
        reading.add(part)
    structured = answer.get("structuredContent")
    if structured is not None and not _is_said(structured, reading.texts):
        reading.say(json.dumps(_sound_value(structured), ensure_ascii=False))
    return ToolResult(
        _cut(reading.words) or NO_OUTPUT,
        is_error=answer.get("isError") in (True, "true"),
        images=reading.images,
        audios=reading.audios,
        structured=_storable(structured),
    )


class _Reading:
    """The part of an answer that has been read so far. Texts follow one another as they are; all else has lines of
    its own."""

    def __init__(self) -> None:
        self.words = ""
        self.texts: list[str] = []
        self.images: list[tuple[str, str]] = []
        self.audios: list[tuple[str, str]] = []
        self._left = MAX_MEDIA

    def add(self, part: Any) -> None:
        match part:
            case None:
                pass
            case str():
                self._text(part)
            case {"type": "text"}:
                self._text(_text(part, "text"))
            case {"type": "resource_link"}:
                self._link(part)
            case {"type": "resource", "resource": Mapping() as resource}:
                self._resource(resource)
            case {"type": "image"}:
                self._image(part)
            case {"type": "audio"}:
                self._audio(part)
            case {"type": kind}:
                self.say(f"[content of a kind that is not known here, {str(kind)[:50]!r}]")
                self._text(_text(part, "text"))
            case _:
                self.say("[content of no kind]")

    def say(self, words: str) -> None:
        self.words += f"{chr(10) if self.words else ''}{words}"

    def _text(self, text: str) -> None:
        self.texts.append(text)
        self.words += text

    def _link(self, link: Json) -> None:
        name, uri = _text(link, "name") or _text(link, "title"), _text(link, "uri")
        told = [_text(link, "mimeType"), _text(link, "description")]
        more = "".join(f", {one}" for one in told if one)
        self.words += (f"[{name}]({uri})" if name else uri) + more

    def _resource(self, resource: Json) -> None:
        """A text, or bytes in base64."""
        uri, kind = _text(resource, "uri"), _text(resource, "mimeType")
        named = ", ".join(filter(None, (uri, kind))) or "without a name"
        blob = resource.get("blob")
        if isinstance(resource.get("text"), str):
            self.say(f"[resource: {named}]\n{resource['text']}")
        elif isinstance(blob, str) and kind.startswith("image/"):
            self.say(f"[resource: {named}]")
            self._image({"data": blob, "mimeType": kind})
        elif isinstance(blob, str) and kind.startswith("audio/"):
            self.say(f"[resource: {named}]")
            self._audio({"data": blob, "mimeType": kind})
        elif isinstance(blob, str) and (text := _decoded(blob, kind)) is not None:
            self.say(f"[resource: {named}]\n{text}")
        elif isinstance(blob, str):
            self.say(f"[a resource that can't be shown: {named}, about {len(blob) * 3 // 4} bytes]")
        else:
            self.say(f"[a resource without content: {named}]")

    def _image(self, content: Json) -> None:
        if len(str(content.get("data", ""))) > self._left:
            self.say(_LEFT_OUT["image"])
            return
        picture = _picture(content)
        if isinstance(picture, str):
            self.say(picture)
        else:
            self.images.append(picture)
            self._left -= len(picture[1])

    def _audio(self, content: Json) -> None:
        data, kind = _text(content, "data"), _text(content, "mimeType")
        if len(data) > self._left:
            self.say(_LEFT_OUT["audio"])
            return
        self.audios.append((kind, data))
        self._left -= len(data)
        self.say(f"[a sound, which only people can hear: {kind or 'of an unknown kind'}]")


def _is_said(structured: Any, texts: Sequence[str]) -> bool:
    """Do the texts say the same already, as JSON or, for a value that was only wrapped, as it is?"""
    values = [_json_of(text) for text in texts]
    said = [*values, *texts]
    if structured in said or structured == values:
        return True
    if not isinstance(structured, Mapping) or len(structured) != 1:
        return False
    (inner,) = structured.values()
    return inner in said or inner in (values, list(texts), "".join(texts))


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _sound_value(value: Any) -> Any:
    """With sound texts, whatever the value looks like."""
    try:
        return plain(value)
    except NotClear:
        return "[structured content that is nested too deeply]"


def _decoded(blob: str, kind: str) -> str | None:
    """Bytes that are a text by their kind; None for others."""
    if not kind.startswith("text/") and not any(word in kind for word in _TEXTUAL):
        return None
    try:
        return decode_base64(blob).decode()
    except ValueError:
        return None


def _text(part: Json, name: str) -> str:
    value = part.get(name)
    return "" if value is None else str(value)


def _revision(description: str, schema: Any) -> str:
    try:
        text = json.dumps([description, schema])
    except RecursionError:
        text = description  # it is left out anyway
    return hashlib.sha256(text.encode()).hexdigest()


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


def _picture(content: Json) -> tuple[str, str] | str:
    """Media type and base64; or a remark, if the model's API would refuse the picture."""
    try:
        data = decode_base64(str(content.get("data", "")))
    except ValueError:
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
        return sound(text)
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
