"""The `api` toolset: one address of an HTTP API as a tool."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from app.agent.tools.configured_http import READING, SECONDS, RequestFailed, send
from app.agent.tools.fetch import USER_AGENT
from app.agent.tools.output_limit import cut
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.tools.url_template import InvalidArgument, argument_text, filled
from app.agent.toolset import STRING_OUTPUT, Tool, ToolContext, ToolFailed, ToolResult

MAX_BODY: Final = 1 << 20

_PLACE: Final = re.compile(r"\$\{([A-Za-z_][\w-]*)\}")


class ApiDefinition(Protocol):
    """The API as the agent file describes it."""

    @property
    def name(self) -> str: ...
    @property
    def instruction(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def args(self) -> Mapping[str, Any]: ...
    @property
    def required(self) -> Sequence[str]: ...
    @property
    def output_schema(self) -> Mapping[str, Any]: ...


class ApiToolset(PlainToolset):
    """Stateless. `fill_in` completes the headers from the request that started the run. An endpoint whose host depends
    on an argument is reached at public addresses only. `allow_private` opens or closes private ones for all."""

    def __init__(
        self,
        definition: ApiDefinition,
        *,
        fill_in: Callable[[Mapping[str, str]], dict[str, str]],
        timeout: float = 0,
        allow_private: bool | None = None,
    ) -> None:
        self._seconds = timeout or SECONDS
        self._allow_private = allow_private
        self._definition = definition
        self._fill_in = fill_in

    @property
    def instructions(self) -> str:
        return self._definition.instruction

    def tools(self) -> Sequence[Tool]:
        """Raises ToolFailed for an address that nothing could be sent to."""
        found = self._definition
        address = urlsplit(found.endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ToolFailed(f"the endpoint {found.endpoint!r} is not an absolute http or https address")
        takes: dict[str, Any] = {"type": "object", "properties": dict(found.args)}
        if found.required:
            takes["required"] = list(found.required)
        return [
            Tool(
                name=found.name,
                title=found.name,
                category="api",
                description=found.instruction,
                parameters=takes,
                output_schema=dict(found.output_schema) or STRING_OUTPUT,
                read_only=True,
                in_order=(found.method.upper() or "GET") not in READING,
                judges_itself=True,
                handler=self._call,
            )
        ]

    @property
    def _public_only(self) -> bool:
        if self._allow_private is not None:
            return not self._allow_private
        return _PLACE.search(urlsplit(self._definition.endpoint).netloc) is not None

    def _call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        found = self._definition
        method = found.method.upper() or "GET"
        headers = {"User-Agent": USER_AGENT, **self._fill_in(found.headers)}
        url, body = found.endpoint, None
        if method == "GET":
            url = _address(url, arguments)
        else:
            body = json.dumps(arguments, ensure_ascii=False).encode("utf-8", "replace")
            headers = {"Content-Type": "application/json", **headers}
        try:
            answer = send(
                method,
                url,
                headers=headers,
                body=body,
                cancellation=context.cancellation,
                limit=MAX_BODY,
                seconds=self._seconds,
                public_only=self._public_only,
                changes=True,  # also by GET: many an address that does something is called so
            )
        except RequestFailed as failure:
            raise ToolFailed(f"request failed: {failure}") from failure
        return ToolResult(cut(answer.text), is_error=answer.status >= HTTPStatus.BAD_REQUEST)


def _address(endpoint: str, arguments: Mapping[str, Any]) -> str:
    try:
        return filled(endpoint, _PLACE, lambda place: argument_text(arguments.get(place[1])))
    except InvalidArgument as problem:
        raise ToolFailed(str(problem)) from problem
