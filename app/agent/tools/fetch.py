"""The `fetch` toolset: pages from the public internet."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import requests
from urllib3.exceptions import HTTPError

from app.agent.model_client import Cancellation
from app.agent.tools.domains import Domains
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.html_text import to_markdown, to_text
from app.agent.tools.http_text import decoded
from app.agent.tools.output_limit import cut
from app.agent.tools.public_http import AddressRefused, Line, NoThread, innermost_reason, open_session
from app.agent.toolset import CANCELLED, ToolCancelled, ToolContext, ToolFailed, ToolResult

DEFAULT_SECONDS: Final = 30
MAX_SECONDS: Final = 300
MAX_URLS: Final = 20
MAX_BODY: Final = 1 << 20
MAX_REDIRECTS: Final = 5
USER_AGENT: Final = f"Baton/0.1 ({sys.platform}; {platform.machine()})"

_FORMATS: Final = ("text", "markdown", "html")
_ACCEPT: Final = "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5"
_CHUNK: Final = 65_536
_NOTHING_ALLOWED: Final = ["User-agent: *", "Disallow: /"]


class _Failed(Exception):
    """Why an address could not be fetched, in the contract's words."""


@dataclass(frozen=True, slots=True)
class _Page:
    url: str
    status: int
    reason: str
    content_type: str
    body: str  # converted


class FetchToolset(FunctionToolset):
    """Stateless. `timeout` is the default for one address, redirects and robots.txt included;
    `allow_private` lets it reach addresses that are not public. `headers` go with each request."""

    category = "fetch"
    instructions = (
        "Fetch pages when you know their address. Give several addresses in one call when you need several. "
        "Long pages are cut; addresses inside private networks are refused."
    )

    def __init__(
        self,
        *,
        timeout: int | None = None,
        user_agent: str = USER_AGENT,
        allow_private: bool = False,
        headers: Mapping[str, str] | None = None,
        allowed_domains: Sequence[str] = (),
        blocked_domains: Sequence[str] = (),
    ) -> None:
        self._seconds = timeout or DEFAULT_SECONDS
        self._headers = {"User-Agent": user_agent, "Accept": _ACCEPT, **(headers or {})}
        self._domains = Domains(tuple(allowed_domains), tuple(blocked_domains))
        self._allow_private = allow_private

    @tool(title="Fetch URLs")
    def fetch(
        self,
        context: ToolContext,
        urls: Annotated[
            Sequence[str], "The addresses to fetch, http or https", {"type": "array", "minItems": 1}
        ],
        format: Annotated[
            str, "What to turn HTML pages into", {"enum": list(_FORMATS), "default": _FORMATS[0]}
        ] = _FORMATS[0],
        timeout: Annotated[
            int, "Seconds that one address may take (30)", {"minimum": 1, "maximum": MAX_SECONDS}
        ] = 0,
        **_others: Any,
    ) -> ToolResult:
        """Fetches one or more addresses over HTTP and returns what is there as text, Markdown or HTML. Keeps to the
        sites' robots.txt."""
        if not urls:
            raise ToolFailed("at least one URL is required")
        if len(urls) > MAX_URLS:
            raise ToolFailed(f"at most {MAX_URLS} URLs can be fetched at once")
        if format not in _FORMATS:
            raise ToolFailed(f"format must be one of {', '.join(_FORMATS)}")
        seconds = min(timeout, MAX_SECONDS) if timeout > 0 else self._seconds
        robots = _Robots(self._headers["User-Agent"], self._domains)
        outcomes = [(url, self._outcome(url, format, seconds, robots, context.cancellation)) for url in urls]
        return _one(*outcomes[0]) if len(outcomes) == 1 else _several(outcomes)

    def text_of(self, url: str, cancellation: Cancellation) -> str:
        """One page as text. Raises ToolFailed, and ToolCancelled."""
        robots = _Robots(self._headers["User-Agent"], self._domains)
        outcome = self._outcome(url, "text", self._seconds, robots, cancellation)
        if isinstance(outcome, _Failed):
            raise ToolFailed(str(outcome))
        if outcome.status >= HTTPStatus.BAD_REQUEST:
            raise ToolFailed(f"the server answered {outcome.status} {outcome.reason}".rstrip())
        return outcome.body

    def _outcome(
        self, url: str, kind: str, seconds: float, robots: _Robots, cancellation: Cancellation
    ) -> _Page | _Failed:
        outcome: _Page | _Failed
        try:
            _check(url, self._domains)
            outcome = self._attempt(url, kind, seconds, robots, cancellation)
        except _Failed as failure:
            outcome = failure
        except NoThread as failure:
            outcome = _Failed(f"request failed: {failure}")
        if cancellation.is_set():
            raise ToolCancelled(CANCELLED)
        return outcome

    def _attempt(
        self, url: str, kind: str, seconds: float, robots: _Robots, cancellation: Cancellation
    ) -> _Page:
        with open_session(
            seconds,
            cancellation=cancellation,
            allow_private=self._allow_private,
            headers=self._headers,
            check=self._domains.check_address,
        ) as (session, line):
            try:
                return _page(url, kind, session, line, robots, self._domains)
            except _Failed:
                if line.is_late:
                    raise _Failed(f"request failed: no answer within {seconds:g} seconds") from None
                raise


class _Robots:
    """The rules of the sites of one call; each is asked once."""

    def __init__(self, user_agent: str, domains: Domains) -> None:
        self._user_agent = user_agent
        self._domains = domains
        self._rules: dict[str, RobotFileParser] = {}

    def check(self, url: str, session: requests.Session, line: Line) -> None:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._rules:
            self._rules[site] = _rules(site, session, line, self._domains)
        if not self._rules[site].can_fetch(self._user_agent, url):
            raise _Failed("URL blocked by robots.txt")


def _rules(site: str, session: requests.Session, line: Line, domains: Domains) -> RobotFileParser:
    """Unreachable or missing allows all; any other trouble allows nothing."""
    lines = _NOTHING_ALLOWED
    try:
        response, body = _get(f"{site}/robots.txt", session, line, domains)
        if response.status_code == HTTPStatus.OK:
            lines = decoded(body, response.headers.get("Content-Type", "")).splitlines()
        elif response.status_code == HTTPStatus.NOT_FOUND:
            lines = []
    except _Failed:
        lines = []
    rules = RobotFileParser()
    rules.parse(lines)
    return rules


def _page(
    url: str, kind: str, session: requests.Session, line: Line, robots: _Robots, domains: Domains
) -> _Page:
    response, body = _get(url, session, line, domains, robots)
    content_type = response.headers.get("Content-Type", "")
    words = decoded(body, content_type)
    if "html" in content_type.lower() and kind != "html":
        words = to_markdown(words) if kind == "markdown" else to_text(words)
    return _Page(url, response.status_code, response.reason or "", content_type, words)


def _get(
    url: str,
    session: requests.Session,
    line: Line,
    domains: Domains,
    robots: _Robots | None = None,
) -> tuple[requests.Response, bytes]:
    """Follows redirects itself, since each hop is a new address to check."""
    for _ in range(MAX_REDIRECTS + 1):
        if robots is not None:
            robots.check(url, session, line)
        try:
            response = session.get(url, stream=True, allow_redirects=False, timeout=line.seconds_left)
        except AddressRefused as refused:
            raise _Failed(f"request failed: {refused}") from refused
        except (requests.RequestException, HTTPError, ValueError) as error:
            raise _Failed(f"request failed: {innermost_reason(error)}") from error
        with response:
            target = session.get_redirect_target(response)
            if target is None:
                return response, _body(response, line)
            url = urljoin(url, target)
            _check(url, domains)
    raise _Failed(f"request failed: stopped after {MAX_REDIRECTS} redirects")


def _body(response: requests.Response, line: Line) -> bytes:
    """At most MAX_BYTES of it, unpacked. A cut line looks like an end, so it is asked."""
    body = bytearray()
    try:
        while len(body) < MAX_BODY:
            chunk = response.raw.read(min(_CHUNK, MAX_BODY - len(body)), decode_content=True)
            if not chunk:
                break
            body += chunk
    except (HTTPError, OSError) as error:
        raise _Failed(f"failed to read response body: {innermost_reason(error)}") from error
    if line.is_cut:
        raise _Failed("failed to read response body: the connection was cut")
    return bytes(body)


def _check(url: str, domains: Domains) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is none
    except ValueError as error:
        raise _Failed(f"invalid URL: {error}") from error
    if not parts.scheme or not parts.hostname:
        raise _Failed("invalid URL: missing scheme or host")
    if parts.scheme.lower() not in ("http", "https"):
        raise _Failed("only HTTP and HTTPS URLs are supported")
    if words := domains.refusal(url):
        raise _Failed(words)


def _one(url: str, outcome: _Page | _Failed) -> ToolResult:
    if isinstance(outcome, _Failed):
        return ToolResult.error(f"Error fetching {url}: {outcome}")
    size = len(outcome.body.encode("utf-8", "replace"))
    head = f"Successfully fetched {url} (Status: {outcome.status}, Length: {size} bytes)"
    return ToolResult(f"{head}:\n\n{cut(outcome.body)}", is_error=outcome.status >= HTTPStatus.BAD_REQUEST)


def _several(outcomes: Sequence[tuple[str, _Page | _Failed]]) -> ToolResult:
    results = [_described(url, outcome) for url, outcome in outcomes]
    return ToolResult(json.dumps(results, ensure_ascii=False, separators=(",", ":")))


def _described(url: str, outcome: _Page | _Failed) -> dict[str, Any]:
    if isinstance(outcome, _Failed):
        return {"url": url, "statusCode": 0, "status": "", "contentLength": 0, "error": str(outcome)}
    described: dict[str, Any] = {
        "url": url,
        "statusCode": outcome.status,
        "status": f"{outcome.status} {outcome.reason}".strip(),
    }
    if outcome.content_type:
        described["contentType"] = outcome.content_type
    described["contentLength"] = len(outcome.body.encode("utf-8", "replace"))
    if outcome.body:
        described["body"] = cut(outcome.body)
    return described
