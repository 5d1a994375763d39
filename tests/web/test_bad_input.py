"""Whatever is posted: a refusal that says what to do, never a 500, and not one row is changed."""

from __future__ import annotations

import errno
from typing import Any, Final

import orjson
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import Server
from tests.web.conftest import Dump

OBJECT_ROUTES: Final = [
    ("POST", "/api/sessions"),
    ("POST", "/api/sessions/batch/delete"),
    ("POST", "/api/sessions/batch/export"),
    ("PATCH", "/api/sessions/{id}/title"),
    ("POST", "/api/sessions/{id}/summaries"),
    ("POST", "/api/sessions/{id}/undo"),
    ("PATCH", "/api/sessions/{id}/permissions"),
    ("PATCH", "/api/sessions/{id}/safety-policy"),
    ("PATCH", "/api/sessions/{id}/mode"),
    ("PATCH", "/api/sessions/{id}/model"),
    ("POST", "/api/sessions/{id}/branches"),
    ("PATCH", "/api/sessions/{id}/delegation-policy"),
    ("POST", "/api/sessions/{id}/switch-agent"),
    ("PATCH", "/api/sessions/{id}/thinking-level"),
    ("POST", "/api/sessions/{id}/resume"),
    ("POST", "/api/sessions/{id}/elicitation"),
    ("POST", "/api/sessions/{id}/cancel"),
    ("POST", "/api/sessions/{id}/toolsets/restart"),
    ("PATCH", "/api/sessions/{id}/todos/todo_1"),
    ("POST", "/api/sessions/{id}/mcp/prompts/execute"),
    ("POST", "/api/sessions/{id}/retry"),
    ("POST", "/api/sessions/{id}/compact"),
    ("POST", "/api/runs/{id}/release"),
]

MESSAGE_ROUTES: Final = [
    ("POST", "/api/sessions/{id}/agent/plain"),
    ("POST", "/api/sessions/{id}/agent/plain/root"),
    ("POST", "/api/sessions/{id}/steer"),
    ("POST", "/api/sessions/{id}/followup"),
    ("PATCH", "/api/sessions/{id}/queue/{id}"),
]

BODY_ROUTES: Final = [*OBJECT_ROUTES, *MESSAGE_ROUTES]

BODILESS_ROUTES: Final = [
    ("DELETE", "/api/sessions/{id}"),
    ("DELETE", "/api/sessions/{id}/queue/{id}"),
    ("POST", "/api/sessions/{id}/queue/begin"),
    ("POST", "/api/sessions/{id}/turns/{id}/wait"),
    ("POST", "/api/sessions/{id}/pause"),
    ("POST", "/api/sessions/{id}/tools/toggle"),
    ("POST", "/api/sessions/{id}/thinking/toggle"),
    ("POST", "/api/sessions/{id}/thinking-level/cycle"),
    ("POST", "/api/sessions/{id}/stop-subtree"),
    ("POST", "/api/sessions/{id}/toolsets/x/restart"),
    ("DELETE", "/api/sessions/{id}/todos/todo_1"),
]

SESSION_ROUTES: Final = [
    *OBJECT_ROUTES[3:],
    *MESSAGE_ROUTES,
    *BODILESS_ROUTES,
    ("GET", "/api/sessions/{id}"),
    ("GET", "/api/sessions/{id}/events"),
    ("GET", "/api/sessions/{id}/queue"),
    ("GET", "/api/sessions/{id}/status"),
    ("GET", "/api/sessions/{id}/snapshot"),
    ("GET", "/api/sessions/{id}/recovery"),
    ("GET", "/api/sessions/{id}/question"),
    ("GET", "/api/sessions/{id}/models"),
    ("GET", "/api/sessions/{id}/thinking-level"),
    ("GET", "/api/sessions/{id}/permissions"),
    ("GET", "/api/sessions/{id}/delegation-policy"),
    ("GET", "/api/sessions/{id}/agent-info"),
    ("GET", "/api/sessions/{id}/tools"),
    ("GET", "/api/sessions/{id}/toolsets"),
    ("GET", "/api/sessions/{id}/todos"),
    ("GET", "/api/sessions/{id}/skills"),
    ("GET", "/api/sessions/{id}/context"),
    ("GET", "/api/sessions/{id}/tree"),
    ("GET", "/api/sessions/{id}/live-sessions"),
    ("GET", "/api/sessions/{id}/history"),
    ("GET", "/api/sessions/{id}/mcp/prompts"),
    ("POST", "/api/sessions/{id}/mcp/prompts/x/execute"),
    ("GET", "/api/runs/{id}/timeline"),
    ("GET", "/api/runs/{id}/events"),
    ("GET", "/api/runs/{id}/request"),
]

VALID: Final[dict[str, Any]] = {
    "title": {"title": "t"},
    "permissions": {"permissions": None},
    "safety-policy": {"safety_policy": "strict"},
    "mode": {"mode": "strict"},
    "model": {"model": "anthropic/claude-haiku-4-5"},
    "switch-agent": {"agent_name": "root"},
    "delegation-policy": {"enabled": False},
    "thinking-level": {"level": "low"},
    "resume": {"confirmation": "approve"},
    "elicitation": {"action": "decline"},
    "summaries": {"summary": "Nothing was said."},
    "restart": {"name": "x"},
    "execute": {"name": "x"},
    "todo_1": {"status": "completed"},
}
MESSAGES: Final = [{"role": "user", "content": "hi"}]


def valid_body(path: str) -> Any:
    is_for_messages = any(path == other for _, other in MESSAGE_ROUTES)
    return MESSAGES if is_for_messages else VALID.get(path.rpartition("/")[2], {})


NOT_OURS: Final = {
    "not JSON": b"{",
    "words": b"hello",
    "white space": b"  \n ",
    "a string": b'"text"',
    "a number": b"7",
    "null": b"null",
    "true": b"true",
    "two values": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "invalid UTF-8": b'{"title":"\xff\xfe"}',
    "a lone surrogate": b'{"title":"\\ud800"}',
    "a raw NUL": b'{"title":"a\x00b"}',
    "only NULs": b"\x00\x00\x00",
    "NaN": b'{"title":NaN}',
    "an integer that never ends": b'{"max_iterations":1' + b"0" * 5000 + b"}",
    "an infinite number": b'{"max_iterations":1e999}',
    "arrays without end": b"[" * 200_000,
    "objects without end": b'{"a":' * 100_000,
    "deep but closed": b'{"content":' * 50_000 + b"1" + b"}" * 50_000,
    "an array of arrays": b"[[[[]]]]",
    "an array of numbers": b"[1, 2]",
}


def send(http: FlaskClient, method: str, path: str, body: Any, **options: Any) -> TestResponse:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return http.open(path, method=method, data=raw, **{"content_type": "application/json", **options})


def assert_refused(response: TestResponse, *statuses: int) -> dict[str, Any]:
    body: dict[str, Any] = response.get_json()
    assert 400 <= response.status_code < 500, body
    assert not statuses or response.status_code in statuses, (response.status_code, body)
    assert body["message"] == body["error"]
    assert body["code"]
    assert " " in body["message"], "a sentence, not a word"
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert response.get_data().endswith(b"}\n")
    return body


@pytest.mark.parametrize("body", NOT_OURS.values(), ids=NOT_OURS)
@pytest.mark.parametrize(("method", "path"), BODY_ROUTES)
def test_a_body_that_is_not_what_a_route_reads_is_refused_and_changes_nothing(
    http: FlaskClient, session: str, dump: Dump, method: str, path: str, body: bytes
) -> None:
    before = dump()
    answered = assert_refused(send(http, method, path.format(id=session), body), 400, 422)
    assert answered["code"] == "invalid_request"
    assert dump() == before


WRONG: Final[list[tuple[str, str, Any, str]]] = [
    ("POST", "/api/sessions", [], "object"),
    ("POST", "/api/sessions", {"tools_approved": "yes"}, "tools_approved"),
    ("POST", "/api/sessions", {"tools_approved": 1}, "tools_approved"),
    ("POST", "/api/sessions", {"max_iterations": "5"}, "max_iterations"),
    ("POST", "/api/sessions", {"max_iterations": 1.5}, "max_iterations"),
    ("POST", "/api/sessions", {"max_iterations": -1}, "max_iterations"),
    ("POST", "/api/sessions", {"max_iterations": 2**53}, "max_iterations"),
    ("POST", "/api/sessions", {"max_iterations": True}, "max_iterations"),
    ("POST", "/api/sessions", {"working_dir": 5}, "working_dir"),
    ("POST", "/api/sessions", {"working_dir": "a\0b"}, "NUL"),
    ("POST", "/api/sessions", {"working_dir": "x" * 5000}, "4096"),
    ("POST", "/api/sessions", {"working_dir": "x" * 4000}, "outside the directories"),
    ("POST", "/api/sessions", {"working_dir": "/nowhere/at/all"}, "outside the directories"),
    ("POST", "/api/sessions", {"working_dir": "~no-such-user-here/x"}, "outside the directories"),
    ("POST", "/api/sessions", {"working_dir": "/proc/self/cmdline"}, "outside the directories"),
    ("POST", "/api/sessions", {"working_dir": "/"}, "outside"),
    ("POST", "/api/sessions", {"permissions": []}, "permissions"),
    ("POST", "/api/sessions", {"permissions": {"allow": "shell"}}, "permissions.allow"),
    ("PATCH", "/api/sessions/{id}/permissions", {"permissions": "all"}, "permissions"),
    ("PATCH", "/api/sessions/{id}/permissions", {"permissions": {"deny": [1]}}, "permissions.deny.0"),
    ("PATCH", "/api/sessions/{id}/permissions", {"permissions": {"ask": ["a\0"]}}, "NUL"),
    ("PATCH", "/api/sessions/{id}/permissions", {"permissions": {"ask": [{}]}}, "permissions.ask.0"),
    ("PATCH", "/api/sessions/{id}/title", [], "object"),
    ("PATCH", "/api/sessions/{id}/title", {"title": 5}, "title"),
    ("PATCH", "/api/sessions/{id}/title", {"title": {"a": 1}}, "title"),
    ("PATCH", "/api/sessions/{id}/title", {"title": "a\0b"}, "NUL"),
    ("PATCH", "/api/sessions/{id}/title", {"title": "x" * 5000}, "4096"),
    ("POST", "/api/sessions/{id}/resume", {}, "confirmation"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": "maybe"}, "approve"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": ["approve"]}, "approve"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": "reject", "reason": 5}, "reason"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": "reject", "reason": "a\0"}, "NUL"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": "reject", "reason": "x" * 20_000}, "10000"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": "approve-tool", "tool_name": "\0"}, "NUL"),
    ("POST", "/api/sessions/{id}/resume", {"confirmation": "approve", "call_id": 5}, "call_id"),
    ("POST", "/api/sessions/{id}/elicitation", {}, "action"),
    ("POST", "/api/sessions/{id}/elicitation", {"action": "perhaps"}, "accept"),
    ("POST", "/api/sessions/{id}/elicitation", {"action": "accept", "content": []}, "content"),
    ("POST", "/api/sessions/{id}/elicitation", {"action": "accept", "content": "yes"}, "content"),
    ("POST", "/api/sessions/{id}/summaries", {}, "summary"),
    ("POST", "/api/sessions/{id}/summaries", {"summary": " "}, "says nothing"),
    ("POST", "/api/sessions/{id}/summaries", {"summary": "a\0"}, "NUL"),
    ("POST", "/api/sessions/{id}/summaries", {"summary": "x", "tokens": -1}, "tokens"),
    ("POST", "/api/sessions/{id}/toolsets/restart", {"name": ""}, "name"),
    ("POST", "/api/sessions/{id}/mcp/prompts/execute", {"name": "x", "args": {"a": 1}}, "args.a"),
    ("POST", "/api/sessions/{id}/mcp/prompts/x/execute", {"a": 1}, "a: "),
    ("PATCH", "/api/sessions/{id}/todos/x", {}, "exactly one"),
    ("PATCH", "/api/sessions/{id}/todos/x", {"status": "done"}, "status"),
    ("PATCH", "/api/sessions/{id}/todos/x", {"description": "a"}, "belong together"),
    ("PATCH", "/api/sessions/{id}/todos/x", {"description": " ", "expected_description": ""}, "nothing"),
    ("PATCH", "/api/sessions/{id}/todos/x", {"status": "pending", "expected_description": ""}, "belong"),
    ("POST", "/api/sessions/batch/delete", {}, "session_ids"),
    ("POST", "/api/sessions/batch/export", {"session_ids": [5]}, "session_ids.0"),
    ("POST", "/api/sessions/{id}/cancel", {"run_id": 5}, "run_id"),
    ("POST", "/api/sessions/{id}/cancel", {"run_id": "a\0"}, "NUL"),
    ("POST", "/api/runs/{id}/release", {"reason": 5}, "reason"),
    ("POST", "/api/runs/{id}/release", {"reason": "a\0"}, "NUL"),
    ("POST", "/api/sessions/{id}/steer", [{"content": ""}], "message 0 is empty"),
    ("POST", "/api/sessions/{id}/followup", [{"content": 5}], "0.content"),
    ("PATCH", "/api/sessions/{id}/queue/{id}", MESSAGES * 2, "one message"),
    ("POST", "/api/sessions/{id}/agent/plain", {}, "list"),
    ("POST", "/api/sessions/{id}/agent/plain", {"role": "user", "content": "hi"}, "list"),
    ("POST", "/api/sessions/{id}/agent/plain", [], "at least one message"),
    ("POST", "/api/sessions/{id}/agent/plain", {"messages": None}, "list"),
    ("POST", "/api/sessions/{id}/agent/plain", [{}], "message 0 is empty"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"content": "a"}, {"content": " \n"}], "message 1 is empty"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"content": ["a"]}], "0.content"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"content": 5}], "0.content"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"content": "a"}] * 1001, "1000"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"multi_content": "a"}], "multi_content"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"multi_content": [{}]}], "type"),
    ("POST", "/api/sessions/{id}/agent/plain", [{"multi_content": [{"type": "text"}]}], "empty"),
    (
        "POST",
        "/api/sessions/{id}/agent/plain",
        [{"multi_content": [{"type": "file", "file": {"path": "/etc/passwd"}}]}],
        "not accepted",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "named"), WRONG)
def test_a_wrong_value_is_named_and_changes_nothing(
    http: FlaskClient, session: str, dump: Dump, method: str, path: str, body: Any, named: str
) -> None:
    before = dump()
    answered = assert_refused(send(http, method, path.format(id=session), body), 422)
    assert named in answered["message"]
    assert len(answered["message"]) < 6000, "what was posted is not repeated at length"
    assert dump() == before


IMAGES: Final = {
    "no URL": "",
    "a file": "file:///etc/passwd",
    "a script": "javascript:alert(1)",
    "another type": "data:image/svg+xml;base64,AAAA",
    "not base64": "data:image/png;base64,@@@@",
    "not a picture": "data:image/png;base64,AAAA",
    "no bytes": "data:image/png;base64,",
}


@pytest.mark.parametrize("url", IMAGES.values(), ids=IMAGES)
def test_a_picture_that_the_api_would_refuse_for_ever_is_refused_once(
    http: FlaskClient, session: str, dump: Dump, url: str
) -> None:
    before = dump()
    body = [{"multi_content": [{"type": "image_url", "image_url": {"url": url}}]}]
    answered = assert_refused(send(http, "POST", f"/api/sessions/{session}/agent/plain", body), 422)
    assert answered["message"].startswith("message 0:")
    assert dump() == before


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/xml", ""])
@pytest.mark.parametrize(("method", "path"), OBJECT_ROUTES)
def test_another_content_type_is_refused_and_the_right_one_is_named(
    http: FlaskClient, session: str, dump: Dump, method: str, path: str, content_type: str
) -> None:
    before = dump()
    response = send(http, method, path.format(id=session), {}, content_type=content_type)
    assert "application/json" in assert_refused(response, 400)["message"]
    assert dump() == before


@pytest.mark.parametrize(("method", "path"), [*BODY_ROUTES, *BODILESS_ROUTES])
def test_a_body_past_the_limit_is_refused_before_it_is_read(
    http: FlaskClient, session: str, dump: Dump, quiet: Server, method: str, path: str
) -> None:
    before = dump()
    claimed = {"CONTENT_LENGTH": str(quiet.settings.max_body_bytes + 1)}
    response = http.open(path.format(id=session), method=method, environ_overrides=claimed)
    answered = assert_refused(response, 413)
    assert answered["code"] == "request_too_large"
    assert str(quiet.settings.max_body_bytes) in answered["message"]
    assert dump() == before


@pytest.mark.parametrize(("method", "path"), [*BODY_ROUTES, *BODILESS_ROUTES])
def test_a_body_without_a_length_is_refused(
    http: FlaskClient, session: str, dump: Dump, method: str, path: str
) -> None:
    before = dump()
    chunked = {"Transfer-Encoding": "chunked"}
    response = http.open(path.format(id=session), method=method, headers=chunked)
    assert "Content-Length" in assert_refused(response, 411)["message"]
    assert dump() == before


STRANGE_IDS: Final = {
    "unknown": "00000000-0000-4000-8000-000000000000",
    "long": "a" * 5000,
    "a NUL": "a%00b",
    "only a NUL": "%00",
    "up": "..%2f..%2fetc",
    "a slash": "a%2fb",
    "a quote": "'%20OR%20'1'='1",
    "a percent sign": "%25",
    "a wildcard": "*",
    "letters of elsewhere": "%C3%BC%E2%82%AC",
    "not UTF-8": "%FF%FE",
    "a new line": "a%0Ab",
}


@pytest.mark.parametrize("strange", STRANGE_IDS.values(), ids=STRANGE_IDS)
@pytest.mark.parametrize(("method", "path"), SESSION_ROUTES)
def test_a_session_that_is_not_there_is_404_whatever_its_id_looks_like(
    http: FlaskClient, dump: Dump, method: str, path: str, strange: str
) -> None:
    before = dump()
    assert_refused(send(http, method, path.format(id=strange), valid_body(path)), 404)
    assert dump() == before


@pytest.mark.parametrize("strange", STRANGE_IDS.values(), ids=STRANGE_IDS)
@pytest.mark.parametrize("path", ["/api/runs/{id}", "/api/agents/{id}", "/api/agents/{id}/root/tools/count"])
def test_a_run_or_an_agent_that_is_not_there_is_404_whatever_its_name_looks_like(
    http: FlaskClient, path: str, strange: str
) -> None:
    assert_refused(http.get(path.format(id=strange)), 404)


@pytest.mark.parametrize("strange", STRANGE_IDS.values(), ids=STRANGE_IDS)
@pytest.mark.parametrize("path", ["/api/sessions/{id}/agent/{name}", "/api/sessions/{id}/agent/plain/{name}"])
def test_a_run_of_an_agent_that_is_not_there_is_404_and_leaves_no_trace(
    http: FlaskClient, session: str, dump: Dump, path: str, strange: str
) -> None:
    before = dump()
    response = send(http, "POST", path.format(id=session, name=strange), MESSAGES)
    assert_refused(response, 404)
    assert dump() == before


@pytest.mark.parametrize(
    "query",
    [
        "/api/runs?status=bogus",
        "/api/runs?status=running,%00",
        "/api/runs?status=running;finished",
        "/api/runs?session=a%00b",
        "/api/runs?older_than=yesterday",
        "/api/sessions/{id}/events?since=x",
        "/api/sessions/{id}/events?since=-1",
        "/api/sessions/{id}/events?since=1e3",
        "/api/sessions/{id}/events?since=%D9%A1",
        "/api/sessions/{id}/events?since=99999999999999999999",
    ],
)
def test_a_query_value_that_makes_no_sense_is_refused(http: FlaskClient, session: str, query: str) -> None:
    assert_refused(http.get(query.format(id=session)), 422)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 30])
def test_a_cursor_that_makes_no_sense_is_refused(http: FlaskClient, session: str, cursor: str) -> None:
    response = http.get(f"/api/sessions/{session}/events", headers={"Last-Event-ID": cursor})
    assert_refused(response, 422)


@pytest.mark.parametrize("wait", ["x", "-1", "nan", "inf", "1e9", "5x"])
def test_a_wait_that_is_not_a_number_of_seconds_is_refused(
    http: FlaskClient, session: str, wait: str
) -> None:
    answered = assert_refused(http.post(f"/api/sessions/{session}/cancel?wait={wait}"), 422)
    assert "wait" in answered["message"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("on_disconnect=explode", "cancel, continue"),
        ("on_disconnect=", "cancel, continue"),
        ("when_busy=shout", "reject, wait, interrupt, queue"),
        ("when_busy=wait&wait_timeout=for-ever", "wait_timeout"),
        ("when_busy=interrupt&wait_timeout=-1", "wait_timeout"),
        ("stream=maybe", "true, false"),
    ],
)
def test_a_run_with_an_unknown_wish_is_refused_and_leaves_no_trace(
    http: FlaskClient, session: str, dump: Dump, query: str, named: str
) -> None:
    before = dump()
    path = f"/api/sessions/{session}/agent/plain?{query}"
    assert named in assert_refused(send(http, "POST", path, MESSAGES), 422)["message"]
    assert dump() == before


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "two words"),
        ("Idempotency-Key", "k" * 256),
        ("Idempotency-Key", "schl\u00fcssel"),
        ("If-Match", "yesterday"),
        ("If-Match", '"-2"'),
    ],
)
def test_a_run_with_a_header_that_makes_no_sense_is_refused_and_leaves_no_trace(
    http: FlaskClient, session: str, dump: Dump, header: str, value: str
) -> None:
    before = dump()
    path = f"/api/sessions/{session}/agent/plain"
    response = send(http, "POST", path, MESSAGES, headers={header: value})
    assert header in assert_refused(response, 422)["message"]
    assert dump() == before


def test_of_keys_that_come_twice_the_last_counts(http: FlaskClient, session: str) -> None:
    path = f"/api/sessions/{session}/title"
    assert send(http, "PATCH", path, b'{"title":5,"title":"last"}').get_json()["title"] == "last"
    assert_refused(send(http, "PATCH", path, b'{"title":"first","title":5}'), 422)


def test_keys_that_nobody_knows_are_ignored(http: FlaskClient) -> None:
    """The contract's client posts whole session objects."""
    body: dict[str, Any] = {
        "messages": None,
        "id": "x",
        "evals": {"a": []},
        "SendUserMessage": True,
        "cost": 0.5,
    }
    assert send(http, "POST", "/api/sessions", body).status_code == 200


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.EMFILE, ""), OSError(errno.ENFILE, "")], ids=repr
)
def test_a_request_that_runs_out_of_memory_or_descriptors_is_told_that_the_server_is_full(
    http: FlaskClient, quiet: Server, session: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def exhausted(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(quiet.store.sessions, "last_position", exhausted)
    response = http.get(f"/api/sessions/{session}")
    assert (response.status_code, response.get_json()["code"]) == (503, "server_full")
    assert response.headers["Retry-After"]
    monkeypatch.undo()
    assert http.get(f"/api/sessions/{session}").status_code == 200
