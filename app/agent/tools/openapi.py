"""The `openapi` toolset: every operation of an API that describes itself, as a tool."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from app.agent.model_client import Cancellation
from app.agent.tools.configured_http import READING, SECONDS, RequestFailed, send
from app.agent.tools.fetch import USER_AGENT
from app.agent.tools.openapi_document import BODY, ApiOperation, InvalidDocument, operations, parse
from app.agent.tools.output_limit import cut
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.tools.url_template import InvalidArgument, argument_text, filled, is_at
from app.agent.toolset import Tool, ToolContext, ToolFailed, ToolResult, ToolsetFailed

MAX_DOCUMENT: Final = 10 << 20
MAX_BODY: Final = 1 << 20

_CUT: Final = "[Warning: the response is larger than 1 MiB; this is its beginning]\n"


class DocumentUnavailable(ToolsetFailed):
    """The API's description can't be had; the message says why."""


class OpenApiToolset(PlainToolset):
    """The document is fetched when a run begins. `fill_in` completes the headers from the request that started
    the run. They go with the document's request too, and to operations on the document's own origin or on one of
    `origins`. An operation anywhere else is called without them, and at public addresses only. `allow_private` opens
    or closes private addresses for all of them."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        fill_in: Callable[[Mapping[str, str]], dict[str, str]],
        cancellation: Cancellation,
        origins: Sequence[str] = (),
        timeout: float = 0,
        allow_private: bool | None = None,
    ) -> None:
        self._seconds = timeout or SECONDS
        self._allow_private = allow_private
        self._url = url
        self._own = (url, *origins)
        self._headers = {"User-Agent": USER_AGENT, **fill_in(headers)}
        self._cancellation = cancellation
        self._tools: Sequence[Tool] = ()

    def tools(self) -> Sequence[Tool]:
        return self._tools

    def start(self) -> None:
        """Raises DocumentUnavailable."""
        try:
            answer = send(
                "GET",
                self._url,
                headers=self._headers,
                cancellation=self._cancellation,
                limit=MAX_DOCUMENT,
                seconds=self._seconds,
                public_only=self._allow_private is False,
            )
            if answer.status != 200:
                raise DocumentUnavailable(f"{self._url} answers with status {answer.status}")
            if answer.is_cut:
                raise DocumentUnavailable(f"{self._url} is larger than 10 MB")
            found = operations(parse(answer.text), self._url)
        except (RequestFailed, InvalidDocument) as failure:
            raise DocumentUnavailable(f"{self._url}: {failure}") from failure
        self._tools = [self._tool(operation) for operation in found]

    def _tool(self, operation: ApiOperation) -> Tool:
        return Tool(
            name=operation.name,
            title=operation.title,
            category="openapi",
            description=operation.description,
            parameters=operation.parameters,
            read_only=operation.method in READING,
            judges_itself=True,
            revision=operation.url,
            handler=partial(self._call, operation),
        )

    def _call(
        self, operation: ApiOperation, arguments: Mapping[str, Any], context: ToolContext
    ) -> ToolResult:
        url = _address(operation, arguments)
        is_configured = is_at(url, self._own)
        query = {
            name: _values(arguments[name]) for name in operation.query if arguments.get(name) is not None
        }
        body = _body(operation, arguments)
        headers = dict(self._headers) if is_configured else {"User-Agent": USER_AGENT}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = send(
                operation.method,
                url,
                headers=headers,
                params=query,
                body=body,
                cancellation=context.cancellation,
                limit=MAX_BODY,
                seconds=self._seconds,
                public_only=not (is_configured if self._allow_private is None else self._allow_private),
                changes=operation.method not in READING,
            )
        except RequestFailed as failure:
            raise ToolFailed(f"request failed: {failure}") from failure
        words = cut(answer.text)
        if answer.status >= 400:
            return ToolResult.error(f"HTTP {answer.status}: {words}")
        return ToolResult(_CUT + words if answer.is_cut else words)


def _address(operation: ApiOperation, arguments: Mapping[str, Any]) -> str:
    names = "|".join(re.escape(name) for name in operation.path) or "(?!)"
    place = re.compile(rf"\{{({names})\}}")
    try:
        return filled(operation.url, place, lambda match: argument_text(arguments.get(match[1])))
    except InvalidArgument as problem:
        raise ToolFailed(str(problem)) from problem


def _body(operation: ApiOperation, arguments: Mapping[str, Any]) -> bytes | None:
    given = {
        name: arguments[argument]
        for argument, name in operation.body.items()
        if arguments.get(argument) is not None
    }
    if not given:
        return None
    value = given[BODY] if operation.whole_body else given
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _values(value: Any) -> list[str]:
    """A list is repeated, as most APIs want it."""
    return [argument_text(one) for one in value] if isinstance(value, list) else [argument_text(value)]
