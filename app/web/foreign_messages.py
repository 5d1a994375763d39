"""Messages of other programs' exports, as they write them for OpenAI's or Anthropic's API, in the shape of our own
exports. Parts that have no place there are left out, and a note says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from app.conversation.blocks import is_deep
from app.errors import InvalidRequest

ROLES: Final[Mapping[str, str]] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "system": "system",
    "developer": "system",
}
"""The roles that a message may name, and the role that it then has."""

SPEAKERS: Final = tuple(name for name, role in ROLES.items() if role != "system")
"""The roles whose messages have a place here."""

MAX_NOTES: Final = 20

_MAX_NAME: Final = 4096
_OWN: Final = ("agent", "agentName", "implicit", "partial")  # beside `message` in our own exports
_TEXTS: Final = ("text", "input_text", "output_text")
_THOUGHTS: Final = ("thinking", "redacted_thinking", "reasoning")

Json = dict[str, Any]


class Translation:
    """The translation of one body. `notes` are what was left out, each with the number of its message, counted from
    0."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}
        self._function_calls = 0

    @property
    def notes(self) -> list[str]:
        notes = list(self._notes)
        more = [f"and {len(notes) - MAX_NOTES} more"] if len(notes) > MAX_NOTES else []
        return [*notes[:MAX_NOTES], *more]

    def body(self, given: Json) -> Json:
        """The body with our own messages. A value that is no message at all stays, and is refused where it is read;
        InvalidRequest if none of them has a place here."""
        body = {key: value for key, value in given.items() if value is not None}
        if isinstance(body.get("thinking"), dict):  # how a request asks for it
            del body["thinking"]
        if isinstance(body.get("system"), str | list) and body["system"]:
            self._note("system: left out, for agents have instructions of their own")
        messages = body.get("messages")
        if isinstance(messages, list):
            own = [one for index, item in enumerate(messages) for one in self._item(item, index)]
            if messages and not own:
                raise InvalidRequest(f"there is nothing to import: {'; '.join(self.notes)}", status=422)
            body["messages"] = own
        return body

    def _note(self, words: str) -> None:
        self._notes[words] = None

    def _item(self, item: Any, index: int) -> Iterator[Any]:
        if not isinstance(item, dict):
            yield item
            return
        inner = item.get("message")
        said = inner if isinstance(inner, dict) and _role(inner) else item
        if not _role(said):
            yield item
            return
        beside = {key: item[key] for key in _OWN if item.get(key) is not None} if said is inner else {}
        for message in self._messages(said, index):
            yield {**beside, "message": message}

    def _messages(self, said: Json, index: int) -> Iterator[Json]:
        """One message, and before it the results that stand in it."""
        role = ROLES[said["role"]]
        if role == "system":
            self._note(
                f"message {index}: what the system said is left out: agents have instructions of their own"
            )
            return
        parts = self._parts(said, index)
        message: Json = {"role": role, **_plain_fields(said)}
        kept: list[Json] = []
        calls = self._calls(said, index)
        for part in parts:
            match part.get("type"):
                case "tool_use":
                    calls += [call] if (call := _call(part)) else []
                case "tool_result":
                    yield self._result(part, index)
                case _:
                    kept.append(part)
        message |= _content(kept)
        if isinstance(function := said.get("function_call"), dict) and role == "assistant":
            self._function_calls += 1
            calls += [call] if (call := _call({"id": self._function_call, "function": function})) else []
        if calls and role == "assistant":
            message["tool_calls"] = calls
        if role == "tool":
            call_id = self._function_call if said["role"] == "function" else said.get("tool_call_id")
            message["tool_call_id"] = _name(call_id)
        results = any(part.get("type") == "tool_result" for part in parts)
        if kept or calls or not results:
            yield message

    def _calls(self, said: Json, index: int) -> list[Json]:
        given = _list(said.get("tool_calls"))
        calls = [call for one in given if (call := _call(one))]
        if len(calls) < len(given):
            self._note(f"message {index}: a call that is none is left out")
        return calls

    @property
    def _function_call(self) -> str:
        """The id of the newest call that has none, as they all had before there were several at a time."""
        return f"function_call_{self._function_calls}"

    def _result(self, part: Json, index: int) -> Json:
        inner = self._parts(part, index)
        shown = [one for one in inner if one.get("type") in ("text", "image_url")]
        call_id, failed = _name(part.get("tool_use_id")), part.get("is_error") is True
        return {"role": "tool", "tool_call_id": call_id, "is_error": failed, **_content(shown)}

    def _parts(self, said: Json, index: int) -> list[Json]:
        """The message's parts of types that are known here, and calls and results as Anthropic writes them."""
        parts: list[Json] = []
        content = said.get("content")
        given = _list(said.get("multi_content")) or (content if isinstance(content, list) else [content])
        for one in [
            *given,
            *([{"type": "refusal", "refusal": said["refusal"]}] if said.get("refusal") else []),
        ]:
            if isinstance(one, str):
                parts.append({"type": "text", "text": one})
            elif isinstance(one, dict) and (part := _part(one)):
                parts.append(part)
            elif one is not None:
                self._note(f"message {index}: {_called(one)} is left out")
        if said.get("audio"):
            self._note(f"message {index}: audio is left out")
        return parts


def _content(parts: list[Json]) -> Json:
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return (
        {"content": text}
        if [part["type"] for part in parts] in ([], ["text"])
        else {"content": text, "multi_content": parts}
    )


def _role(said: Json) -> bool:
    return isinstance(said.get("role"), str) and said["role"] in ROLES


def _part(one: Json) -> Json | None:
    kind = one.get("type")
    if kind in _TEXTS or kind == "refusal":
        text = one.get("refusal" if kind == "refusal" else "text")
        return {"type": "text", "text": text} if isinstance(text, str) else None
    if kind in ("image_url", "input_image"):
        image = one.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        return _image(url) if isinstance(url, str) else None
    if kind == "image" and isinstance(source := one.get("source"), dict):
        if isinstance(source.get("url"), str):
            return _image(source["url"])
        if isinstance(source.get("data"), str):
            return _image(f"data:{source.get('media_type')};base64,{source['data']}")
    return one if kind in ("tool_use", "tool_result") else None


def _image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def _called(one: Any) -> str:
    kind = one.get("type") if isinstance(one, dict) else None
    if kind in _THOUGHTS:
        return "thinking"
    return f"a part of type {str(kind)[:40]!r}" if isinstance(kind, str) else "a part without a type"


def _call(one: Any) -> Json | None:
    """As OpenAI writes it (`function`, or `custom` for a tool that takes text), or with everything beside its id."""
    if not isinstance(one, dict):
        return None
    inner = next((one[key] for key in ("function", "custom") if isinstance(one.get(key), dict)), one)
    if "custom" in one and inner is one["custom"]:
        arguments: Any = {"input": inner.get("input")}
    else:
        arguments = next((inner[key] for key in ("arguments", "input", "args") if key in inner), None)
    if arguments is None:
        arguments = {}
    text = arguments if isinstance(arguments, str) else _dumped(arguments)
    return {"id": _name(one.get("id")), "function": {"name": _name(inner.get("name")), "arguments": text}}


def _dumped(value: Any) -> str:
    return "{}" if is_deep(value) else orjson.dumps(value).decode()


def _name(value: Any) -> str:
    return value.replace("\0", "\ufffd")[:_MAX_NAME] if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _plain_fields(said: Json) -> Json:
    """The fields that mean the same everywhere, if they are of our type."""
    return {key: value for key, read in _READERS.items() if (value := read(said.get(key))) is not None}


def _time(value: Any) -> str | None:
    if isinstance(value, str):
        return _name(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            pass
    return None


def _cost(value: Any) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1_000_000
    return float(value) if fits else None


def _usage(value: Any) -> Json | None:
    if not isinstance(value, dict):
        return None
    counts = ("input_tokens", "output_tokens", "cached_input_tokens", "cached_write_tokens")
    return {
        key: count
        for key in counts
        if isinstance(count := value.get(key), int)
        and not isinstance(count, bool)
        and 0 <= count <= 1_000_000_000
    }


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "is_error": lambda value: value if isinstance(value, bool) else None,
    "model": lambda value: _name(value) if isinstance(value, str) else None,
    "created_at": _time,
    "cost": _cost,
    "usage": _usage,
}
