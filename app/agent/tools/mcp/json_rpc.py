"""Messages of a tool server, read as JSON-RPC: noise is dropped, and an answer that can't be read becomes an error
for the request that it belongs to, so that nobody waits for it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

log = logging.getLogger(__name__)

UNREADABLE: Final = -32019  # our own, in the range that implementations may use
AS_IT_CAME: Final = "baton/result"
"""Where a result lies in its own `_meta`: the package would refuse a whole list for one odd tool in it."""

_EXCERPT: Final = 200  # characters
_MAX_FAILURES: Final = 10  # places in a line where JSON seems to begin and does not
_DECODER: Final = json.JSONDecoder()
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_BEGINS: Final = re.compile(r'[{\[]\s*[{"]')
_ID: Final = re.compile(r'"id"\s*:\s*(\d{1,18}\b|"[^"\\]{0,100}")')

Json = dict[str, Any]


class JsonRpcMessages:
    """The messages of one connection. For the thread of its event loop."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._open: dict[str, str] = {}  # the methods of requests that wait for an answer, by their ids
        self._newest = 0  # the largest id so far

    def sent(self, message: JSONRPCMessage) -> None:
        match message:
            case JSONRPCRequest():
                self._open[str(message.id)] = message.method
                if isinstance(message.id, int):
                    self._newest = max(self._newest, message.id)
            case JSONRPCNotification(method="notifications/cancelled"):
                self._open.pop(str((message.params or {}).get("requestId")), None)

    def heard(self, said: str, *, answering: RequestId | None = None) -> list[JSONRPCMessage]:
        """The messages in a line or an event; none in noise. `answering` is the request that it must answer if it is an
        answer, where the transport knows that."""
        text = _ANSI.sub("", said).strip("\ufeff\0 \t\r\n")
        try:
            return self._taken(jsonrpc_message_adapter.validate_json(text, by_name=False), answering)
        except ValidationError:
            pass  # then it is looked at more closely
        found: list[JSONRPCMessage] = []
        values, is_broken = _values(text)
        for value in values:
            found += self._read(value, answering)
        if is_broken and not found and '"jsonrpc"' in text and '"method"' not in text:
            found += self._unreadable(_id_in(text), "it is not valid JSON", text, answering)
        if not found and text:
            log.debug("%s said what is no message: %.200r", self._label, text)
        return found

    def is_whole(self, said: str) -> bool:
        """Is it one message from its first to its last character?"""
        try:
            jsonrpc_message_adapter.validate_json(said, by_name=False)
        except ValidationError:
            return False
        return True

    def broken(self, request: RequestId, why: str) -> JSONRPCError:
        """An answer that never came as a whole. Nobody knows whether the request was carried out."""
        self._open.pop(str(request), None)
        return _error(request, UNREADABLE, why)

    def refused(self, request: RequestId, why: str) -> JSONRPCError:
        """The request was certainly not carried out."""
        self._open.pop(str(request), None)
        return _error(request, INVALID_REQUEST, why)

    def _read(self, value: Any, answering: RequestId | None) -> list[JSONRPCMessage]:
        """A value that is no message as it stands."""
        if isinstance(value, list):  # a batch
            return [message for one in value for message in self._read(one, answering)]
        if not isinstance(value, dict) or not _is_meant(value, self._open):
            return []
        if isinstance(value.get("id"), float):
            value = {**value, "id": _id_of(value)}
        if self._open.get(str(answering if answering is not None else _id_of(value))) == "tools/list":
            value = _without_halves(value)  # one odd word costs no tool
        problem = _problem(value)
        if not problem:
            return self._taken(jsonrpc_message_adapter.validate_python(value, by_name=False), answering)
        if "method" in value:
            log.debug("%s sent a message that can't be read: %s", self._label, problem)
            return []
        if value.get("error") is not None and (known := _id_of(value)) is not None:
            return self._taken(_error(known, *_described(value["error"])), answering)
        return self._unreadable(_id_of(value), problem, json.dumps(value), answering)

    def _taken(self, message: JSONRPCMessage, answering: RequestId | None) -> list[JSONRPCMessage]:
        if isinstance(message, JSONRPCRequest | JSONRPCNotification):
            return [message]
        target = answering if answering is not None else self._target(message.id)
        if target is None:
            if not self._is_late(message.id):
                log.warning("%s answered request %.50r, which was not made", self._label, message.id)
            return []
        if answering is None and str(message.id) != str(target) and isinstance(message, JSONRPCResponse):
            return self._unreadable(
                target, f"it answers request {message.id!r}, which was not made", "", target
            )
        method = self._open.pop(str(target), "")
        if isinstance(message, JSONRPCError):
            return [JSONRPCError(jsonrpc="2.0", id=target, error=message.error)]
        result, problem = _as_it_came(method, message.result)
        if problem:
            return [_error(target, UNREADABLE, f"the server's answer can't be read: {problem}")]
        return [JSONRPCResponse(jsonrpc="2.0", id=target, result=result)]

    def _unreadable(
        self, request: RequestId | None, why: str, text: str, answering: RequestId | None
    ) -> list[JSONRPCMessage]:
        target = answering if answering is not None else self._target(request)
        excerpt = f": {_sound(text[:_EXCERPT])}" if text else ""
        if target is None:
            log.warning("%s gave an answer that can't be read, to an unknown request: %s", self._label, why)
            log.debug("the answer of %s%s", self._label, excerpt)
            return []
        return [self.broken(target, f"the server's answer can't be read: {why}{excerpt}")]

    def _target(self, request: RequestId | None) -> RequestId | None:
        """The open request that an answer belongs to: by its id, or because there is no other."""
        if request is not None and str(request) in self._open:
            return request
        if len(self._open) == 1 and not self._is_late(request):
            (only,) = self._open
            return int(only) if only.isdecimal() else only
        return None

    def _is_late(self, request: RequestId | None) -> bool:
        """Was it made once, and given up since?"""
        known = str(request)
        return known.isdecimal() and int(known) <= self._newest and known not in self._open


def _values(text: str) -> tuple[list[Any], bool]:
    """The JSON values in a text, whatever stands around them, and whether there is something like one that is none."""
    values: list[Any] = []
    at, failures = 0, 0
    while failures < _MAX_FAILURES and (begins := _BEGINS.search(text, at)) is not None:
        try:
            value, at = _DECODER.raw_decode(text, begins.start())
            values.append(value)
        except (ValueError, RecursionError):
            at, failures = begins.start() + 1, failures + 1
    return values, failures > 0


def _is_meant(value: Json, waiting: Mapping[str, str]) -> bool:
    """Is it meant as a message? A line of a log may be JSON too, and have an id or an error."""
    answers = "result" in value or isinstance(value.get("error"), Mapping)
    return "jsonrpc" in value or (answers and str(_id_of(value)) in waiting)


def _without_halves(value: Json) -> Json:
    """Half of a surrogate pair becomes a question mark."""
    try:
        found: Json = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        return value
    return found


def _problem(value: Json) -> str:
    """Why it is no message; empty if it is one."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    except RecursionError:
        return "it is nested too deeply"
    if value.get("jsonrpc") != "2.0":
        return f"it is not of JSON-RPC 2.0 but {value.get('jsonrpc')!r}"
    if "result" in value and not isinstance(value["result"], dict):
        return f"its result is {_kind(value['result'])}, not an object"
    try:
        jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        if "error" in value:
            return "its error is not of the form of JSON-RPC"
        if "result" not in value:
            return "it has neither a result nor an error"
        return f"its id is {_kind(value['id'])}" if "id" in value else "it has no id"
    return ""


def _described(error: Any) -> tuple[int, str]:
    """Code and words of an error object of whatever form."""
    code: Any = error.get("code") if isinstance(error, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    if not isinstance(words, str) or not words:
        words = json.dumps(error)[:_EXCERPT]
    try:
        return int(code), _sound(words)
    except (TypeError, ValueError, OverflowError):
        return UNREADABLE, _sound(words)


def _as_it_came(method: str, result: Json) -> tuple[Json, str]:
    """The result in a form that the package takes, or what is wrong with it."""
    match method:
        case "tools/list":
            if not isinstance(result.get("tools"), list):
                return {}, "its list of tools is missing"
            cursor = result.get("nextCursor")
            more = {"nextCursor": cursor} if isinstance(cursor, str) else {}
            return {"tools": [], **more, "_meta": {AS_IT_CAME: result}}, ""
        case "tools/call":
            if not result.keys() & {"content", "structuredContent", "isError"}:
                return {}, f"its result has no content: {_sound(json.dumps(result)[:_EXCERPT])}"
            return {"content": [], "_meta": {AS_IT_CAME: result}}, ""
        case "initialize":
            return _introduction(result), ""
        case _:
            return result, ""


def _introduction(result: Json) -> Json:
    """A server's introduction of itself, as far as anybody needs it."""
    offers, server, words = (result.get(name) for name in ("capabilities", "serverInfo", "instructions"))
    offered = offers if isinstance(offers, Mapping) else {}
    named = server if isinstance(server, Mapping) else {}
    introduced: Json = {
        "protocolVersion": str(result.get("protocolVersion", "")),
        "capabilities": {name: {} for name in ("tools", "prompts") if offered.get(name) is not None},
        "serverInfo": {name: str(named.get(name, "")) for name in ("name", "version")},
    }
    return {**introduced, "instructions": words} if isinstance(words, str) else introduced


def _id_of(value: Json) -> RequestId | None:
    found = value.get("id")
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def _id_in(text: str) -> RequestId | None:
    found = _ID.search(text)
    if found is None:
        return None
    return found[1].strip('"') if found[1].startswith('"') else int(found[1])


def _error(request: RequestId, code: int, words: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=code, message=words))


def _kind(value: Any) -> str:
    names = {
        str: "a text",
        list: "a list",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), "something else")


def _sound(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
