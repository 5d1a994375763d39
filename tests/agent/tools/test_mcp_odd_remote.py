"""Remote tool servers that forget their sessions, are busy, or give answers that can't be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from app.agent.tools.mcp import http_answers
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.toolset import ToolResult
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.odd_site import EVENTS, FINE, JSON, Answer, OddSite, odd_site
from tests.agent.tools.test_mcp import call, context, names
from tests.agent.tools.test_mcp_odd_pipes import REFUSALS, UNREADABLE
from tests.agent.tools.workbench import find
from tests.harness.process import eventually

PATIENCE = ServerTimeouts(start=60.0, call=60.0, retry=0.0, restarts=(0.01, 0.01, 0.01))
CALL = "tools/call"

Connect = Callable[[str], McpToolset]


@pytest.fixture
def site() -> Iterator[OddSite]:
    with odd_site() as site:
        yield site


@pytest.fixture
def connect(site: OddSite) -> Iterator[Connect]:
    servers = ToolServers(patience=PATIENCE)
    toolsets: list[McpToolset] = []

    def connect(transport: str = "streamable") -> McpToolset:
        where = ServerAddress.of_url(site.url(transport), transport, headers={}, owner="")
        toolsets.append(McpToolset(servers, where, cancellation=FakeCancellation()))
        toolsets[-1].start()
        return toolsets[-1]

    yield connect
    for toolset in toolsets:
        toolset.stop()
    site.end_listening()
    servers.close()


@contextmanager
def connected(transport: str) -> Iterator[tuple[OddSite, McpToolset]]:
    servers = ToolServers(patience=PATIENCE)
    with odd_site() as site:
        where = ServerAddress.of_url(site.url(transport), transport, headers={}, owner="")
        toolset = McpToolset(servers, where, cancellation=FakeCancellation())
        toolset.start()
        yield site, toolset
        toolset.stop()
        site.end_listening()
        servers.close()


@pytest.fixture(scope="module", params=["streamable", "sse"])
def lasting(request: pytest.FixtureRequest) -> Iterator[tuple[OddSite, McpToolset]]:
    """A connection for all tests that show that it goes on."""
    with connected(request.param) as both:
        yield both


@pytest.fixture(scope="module")
def streamable() -> Iterator[tuple[OddSite, McpToolset]]:
    with connected("streamable") as both:
        yield both


@pytest.fixture
def steady(lasting: tuple[OddSite, McpToolset]) -> Iterator[tuple[OddSite, McpToolset]]:
    site, toolset = lasting
    site.answers.clear()
    yield lasting
    assert call(toolset, "say").output == "fine"
    assert site.opened == 1


UNKNOWN_SESSIONS = [
    Answer("Session not found", 404, "text/plain"),
    Answer("", 404),
    Answer('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}', 404),
    Answer(
        '{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}', 404
    ),
    Answer("Bad Request: No valid session ID provided", 400, "text/plain"),
    Answer(
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID"}}',
        400,
    ),
    Answer('{"error":"Invalid or missing session ID"}', 400),
    Answer('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Server not initialized"}}', 400),
    Answer("gone", 410, "text/plain"),
]


@pytest.mark.parametrize(
    ("transport", "unknown"),
    [*(("streamable", unknown) for unknown in UNKNOWN_SESSIONS), ("sse", UNKNOWN_SESSIONS[0])],
)
def test_a_server_that_has_forgotten_the_session_is_initialised_anew_and_no_call_repeated(
    site: OddSite, connect: Connect, transport: str, unknown: Answer
) -> None:
    toolset = connect(transport)
    assert call(toolset, "say").output == "fine"
    site.sessions.clear()
    site.unknown = unknown
    site.tools.append({"name": "new", "inputSchema": {}})
    asked = site.asked.count(CALL)
    lost = call(toolset, "say")
    assert lost.is_error
    assert not lost.is_unknown
    assert f"HTTP {unknown.status}" in lost.output
    assert "has forgotten our session" in lost.output
    assert site.asked.count(CALL) == asked, "nobody served it, and it was not repeated"
    assert call(toolset, "say").output == "fine"
    assert (site.opened, names(toolset)) == (2, ["new", "say"])
    assert site.asked.count("initialize") == site.asked.count("tools/list") == 2


def test_a_server_that_never_remembers_a_session_is_given_up_after_some_attempts(
    site: OddSite, connect: Connect
) -> None:
    toolset = connect("streamable")
    for _ in range(4):
        site.answers[CALL] = [Answer("Session not found", 404)]
        assert "forgotten" in call(toolset, "say").output
    assert site.opened <= 4
    eventually(lambda: toolset._server is not None and toolset._server._state == "failed", "it is given up")
    toolset.start()
    assert call(toolset, "say").output == "fine", "and taken up again"


def test_a_status_that_has_nothing_to_do_with_sessions_costs_no_connection(
    steady: tuple[OddSite, McpToolset],
) -> None:
    site, toolset = steady
    site.answers[CALL] = [Answer("the path is missing", 400, "text/plain")]
    assert "HTTP 400 Bad Request: the path is missing" in call(toolset, "say").output


@pytest.mark.parametrize(
    ("status", "unknown", "words"),
    [
        (500, True, "HTTP 500 Internal Server Error: it broke"),
        (502, True, "HTTP 502 Bad Gateway"),
        (503, True, "HTTP 503 Service Unavailable"),
        (504, True, "HTTP 504 Gateway Timeout"),
        (403, False, "HTTP 403 Forbidden"),
        (413, False, "HTTP 413 "),
        (429, False, "HTTP 429 Too Many Requests"),
    ],
)
def test_a_status_reaches_the_model_with_its_number_and_the_connection_goes_on(
    steady: tuple[OddSite, McpToolset], status: int, unknown: bool, words: str
) -> None:
    site, toolset = steady
    site.answers[CALL] = [Answer("it broke", status, "text/plain")]
    outcome = call(toolset, "say")
    assert words in outcome.output
    assert outcome.is_unknown is unknown


def test_the_words_of_an_error_in_json_rpc_come_with_the_status(steady: tuple[OddSite, McpToolset]) -> None:
    site, toolset = steady
    site.answers[CALL] = [Answer('{"jsonrpc":"2.0","id":ID,"error":{"code":-1,"message":"no disk"}}', 500)]
    assert "HTTP 500 Internal Server Error: no disk" in call(toolset, "say").output


def test_a_server_that_can_not_be_had_says_why(site: OddSite, connect: Connect) -> None:
    site.answers["initialize"] = [Answer("later", 503, "text/plain")]
    with pytest.raises(ServerUnavailable, match="HTTP 503 Service Unavailable: later"):
        connect("streamable")
    site.answers["tools/list"] = [Answer("no", 500, "text/plain")]
    with pytest.raises(ServerUnavailable, match="HTTP 500 Internal Server Error: no"):
        connect("streamable")
    site.site.add("/sse", "broken", status=500)
    with pytest.raises(ServerUnavailable, match="500"):
        connect("sse")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have slept."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(http_answers, "_pause", sleep)
    return slept


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_names_a_time_is_asked_once_more_after_it(
    steady: tuple[OddSite, McpToolset], pauses: list[float], status: int
) -> None:
    site, toolset = steady
    busy = Answer("busy", status, "text/plain", {"Retry-After": "7"})
    site.answers[CALL] = [busy]
    assert call(toolset, "say").output == "fine"
    assert pauses == [7.0]
    site.answers[CALL] = [busy, busy]
    outcome = call(toolset, "say")
    assert f"HTTP {status}" in outcome.output
    assert "Retry-After: 7" in outcome.output
    assert not outcome.is_unknown
    assert (pauses, site.answers[CALL]) == ([7.0, 7.0], [])
    assert call(toolset, "say").output == "fine"


def test_a_time_may_be_a_date_and_one_that_is_far_away_or_none_is_not_waited_for(
    steady: tuple[OddSite, McpToolset], pauses: list[float]
) -> None:
    site, toolset = steady
    site.answers[CALL] = [Answer("", 429, headers={"Retry-After": formatdate(usegmt=True)})]
    assert call(toolset, "say").output == "fine"
    for wanted in ("3600", "soon", "-1", "1e999"):
        site.answers[CALL] = [Answer("", 429, headers={"Retry-After": wanted})]
        assert f"Retry-After: {wanted}" in call(toolset, "say").output
    assert len(pauses) == 1
    site.answers[CALL] = [Answer("", 500, headers={"Retry-After": "1"})]
    assert call(toolset, "say").is_unknown, "what may have been carried out is not repeated"


def told(site: OddSite, body: str) -> list[Answer]:
    """The ways in which a body may come."""
    if ("GET", "/sse") in [one[:2] for one in site.site.requests]:
        return [Answer(body)]
    return [Answer(body), Answer(f"data: {body}\n\n", kind=EVENTS)]


def test_a_call_that_was_cancelled_while_the_server_wanted_a_pause_is_not_sent_any_more(
    steady: tuple[OddSite, McpToolset], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, toolset = steady
    over: list[asyncio.Event] = []
    cancellation = FakeCancellation()

    async def sleep(_seconds: float) -> None:
        over.append(asyncio.Event())
        cancellation.cancel()
        await over[0].wait()

    monkeypatch.setattr(http_answers, "_pause", sleep)
    site.answers[CALL] = [Answer("", 429, headers={"Retry-After": "1"})]
    outcome = find(toolset, "say").call({}, context(Path(), cancellation))
    assert isinstance(outcome, ToolResult)
    assert outcome.is_unknown
    asked = site.asked.count(CALL)
    assert toolset._server is not None
    toolset._server._loop.call_soon_threadsafe(over[0].set)
    assert call(toolset, "say").output == "fine"
    assert site.asked.count(CALL) == asked + 1, "only the new one"


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_call_that_is_sent_elsewhere_is_not_made_there(
    steady: tuple[OddSite, McpToolset], status: int
) -> None:
    site, toolset = steady
    site.answers[CALL] = [Answer("", status, headers={"Location": "http://127.0.0.1:9/mcp"})]
    outcome = call(toolset, "say")
    assert outcome.is_error
    assert not outcome.is_unknown
    assert "http://127.0.0.1:9/mcp" in outcome.output


@pytest.mark.parametrize("transport", ["streamable", "sse"])
def test_a_server_that_is_away_for_a_moment_is_found_again(transport: str) -> None:
    servers = ToolServers(patience=ServerTimeouts(start=60.0, call=60.0, restarts=(0.01,) * 1000))
    with odd_site() as site:
        where = ServerAddress.of_url(site.url(transport), transport, headers={}, owner="")
        toolset = McpToolset(servers, where, cancellation=FakeCancellation())
        toolset.start()
        assert call(toolset, "say").output == "fine"
    if transport == "streamable":
        lost = call(toolset, "say")
        assert "the server can't be reached" in lost.output
        assert not lost.is_unknown, "nothing was sent"
    else:  # the end of the stream tells
        assert toolset._server is not None
        eventually(lambda: toolset._server._connection is None, "it is lost")
    with odd_site(site.site.port) as back:
        assert call(toolset, "say").output == "fine"
        assert back.asked.count("initialize") == 1
        toolset.stop()
        back.end_listening()
        servers.close()


@pytest.mark.parametrize("case", [*UNREADABLE, *REFUSALS])
def test_an_answer_that_can_not_be_read_is_an_error_at_once_and_the_next_call_works(
    steady: tuple[OddSite, McpToolset], case: str
) -> None:
    site, toolset = steady
    line, words = {**UNREADABLE, **REFUSALS}[case]
    ways = told(site, line.strip())
    if len(ways) > 1 and case.startswith("an id that"):
        words = ""  # the answer to a request is the one that comes with it
    for way in ways:
        site.answers[CALL] = [way]
        outcome = call(toolset, "say")
        assert outcome.is_error or not words
        assert words in outcome.output


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("<html>", kind="text/html"), "it is of the type 'text/html'"),
        (Answer("", 202), "HTTP 202 without an answer"),
        (Answer("", kind=JSON), "it is no JSON-RPC"),
        (Answer("{}", kind=JSON), "it is no JSON-RPC"),
        (Answer('{"jsonrpc":"2.0","method":"notifications/x"}', kind=JSON), "it is no JSON-RPC"),
        (Answer("data: hello\n\n", kind=EVENTS), "ended without a response"),
        (Answer("", kind=EVENTS), "ended without a response"),
        (Answer('{"jsonrpc":"2.0",', cut=True), "broke off"),
    ],
)
def test_what_is_no_answer_fails_its_call_only(
    streamable: tuple[OddSite, McpToolset], answer: Answer, words: str
) -> None:
    site, toolset = streamable
    site.answers[CALL] = [answer]
    outcome = call(toolset, "say")
    assert words in outcome.output
    assert outcome.is_unknown
    assert call(toolset, "say").output == "fine"
    assert site.opened == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(f"[{FINE.body}]"),
        Answer("\ufeff" + FINE.body),
        Answer(FINE.body, kind="application/json; charset=utf-8"),
        Answer(f": ping\n\ndata: noise\n\nevent: odd\ndata: x\n\ndata: {FINE.body}\n\n", kind=EVENTS),
        Answer(f"data: {FINE.body}\r\n\r\n", kind=EVENTS),
        Answer('[{"jsonrpc":"2.0","method":"notifications/message","params":{}},' + FINE.body + "]"),
    ],
)
def test_noise_round_an_answer_is_no_matter(streamable: tuple[OddSite, McpToolset], answer: Answer) -> None:
    site, toolset = streamable
    site.answers[CALL] = [answer]
    assert call(toolset, "say").output == "fine"


def test_a_large_answer_is_read(steady: tuple[OddSite, McpToolset]) -> None:
    site, toolset = steady
    for way in told(site, FINE.body.replace("fine", "x" * 3_000_000)):
        site.answers[CALL] = [way]
        assert call(toolset, "say").output.startswith("x" * 200_000)


def test_a_session_that_was_forgotten_while_nobody_called_is_opened_anew_at_once(
    site: OddSite, connect: Connect
) -> None:
    """The stream for what the server says by itself has ended, and is not known when it is asked for again."""
    site.listening = Answer(": here\n\n", kind=EVENTS, headers={})
    toolset = connect("streamable")
    eventually(lambda: ("GET", "/mcp") in [one[:2] for one in site.site.requests], "it listens")
    site.listening = Answer("", 404)
    eventually(lambda: site.opened == 2, "it has another session", seconds=30)
    assert call(toolset, "say").output == "fine"
