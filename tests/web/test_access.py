"""Access: tokens, each with sessions of its own, and what a browser may not be used for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.process import eventually
from tests.web.conftest import new_session

ALICE: Final = "alices-token-0123456789"
BOB: Final = "bobs-token-0123456789"
MESSAGES: Final = [{"role": "user", "content": "[say for alice only]"}]
TOKENS: Final = (("alice", ALICE), ("bob", BOB))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[FlaskClient]:
    built = build(make_settings(tmp_path_factory.mktemp("guarded"), stand_in.url, auth_tokens=TOKENS))
    yield built.app.test_client()
    built.close()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong-token-0123456789",
        f"Bearer {ALICE}x",
        f"Bearer {ALICE[:-1]}",
        f"Bearer {ALICE.upper()}",
        f"Bearer {ALICE} {BOB}",
        f"Basic {ALICE}",
        f"Token {ALICE}",
        ALICE,
        f"Bearer alice:{ALICE}",
        "Bearer \u00fc\u00fc\u00fc",
    ],
)
@pytest.mark.parametrize("path", ["/api/sessions", "/api/agents", "/api/runs", "/nope"])
def test_nobody_gets_in_without_a_token(guarded: FlaskClient, path: str, header: str | None) -> None:
    response = guarded.get(path, headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.get_json()["code"] == "unauthorized"
    assert ALICE not in response.get_data(as_text=True)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_a_right_token_gets_in_whatever_the_schemes_case(guarded: FlaskClient, scheme: str) -> None:
    response = guarded.get("/api/sessions", headers={"Authorization": f"{scheme} {ALICE}"})
    assert response.status_code == 200


def test_a_token_in_the_address_does_not_count(guarded: FlaskClient) -> None:
    assert guarded.get(f"/api/sessions?token={ALICE}&access_token={ALICE}").status_code == 401


@pytest.mark.parametrize("path", ["/api/ping", "/health", "/ready"])
def test_a_ping_needs_no_token(guarded: FlaskClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_a_list_shows_only_what_is_the_askers(guarded: FlaskClient) -> None:
    hers, his = (new_session(guarded, **bearer(token)) for token in (ALICE, BOB))
    seen = [summary["id"] for summary in guarded.get("/api/sessions", headers=bearer(ALICE)).get_json()]
    assert hers in seen
    assert his not in seen


ROUTES: Final[list[tuple[str, str, Any]]] = [
    ("GET", "", None),
    ("GET", "/events", None),
    ("GET", "/events?since=0", None),
    ("GET", "/queue", None),
    ("GET", "/status", None),
    ("GET", "/status?wait=1s", None),
    ("GET", "/snapshot", None),
    ("GET", "/recovery", None),
    ("GET", "/question", None),
    ("GET", "/models", None),
    ("PATCH", "/model", {"model": "anthropic/claude-haiku-4-5"}),
    ("POST", "/branches", {}),
    ("POST", "/switch-agent", {"agent_name": "root"}),
    ("GET", "/thinking-level", None),
    ("GET", "/permissions", None),
    ("GET", "/delegation-policy", None),
    ("PATCH", "/delegation-policy", {"enabled": False}),
    ("POST", "/stop-subtree", None),
    ("GET", "/agent-info", None),
    ("PATCH", "/thinking-level", {"level": "low"}),
    ("POST", "/thinking-level/cycle", None),
    ("GET", "/tools", None),
    ("GET", "/toolsets", None),
    ("GET", "/todos", None),
    ("GET", "/skills", None),
    ("GET", "/context", None),
    ("GET", "/tree", None),
    ("GET", "/live-sessions", None),
    ("GET", "/history", None),
    ("PATCH", "/todos/todo_1", {"status": "completed"}),
    ("DELETE", "/todos/todo_1", None),
    ("POST", "/toolsets/restart", {"name": "x"}),
    ("POST", "/toolsets/x/restart", None),
    ("GET", "/mcp/prompts", None),
    ("POST", "/mcp/prompts/execute", {"name": "x"}),
    ("POST", "/mcp/prompts/x/execute", {}),
    ("POST", "/summaries", {"summary": "He was here."}),
    ("POST", "/undo", {}),
    ("PATCH", "/title", {"title": "mine now"}),
    ("PATCH", "/permissions", {"permissions": {"allow": ["*"]}}),
    ("PATCH", "/safety-policy", {"safety_policy": "autonomous"}),
    ("PATCH", "/mode", {"mode": "autonomous"}),
    ("PATCH", "/budget", {"budget": 1}),
    ("POST", "/tools/toggle", None),
    ("POST", "/thinking/toggle", None),
    ("POST", "/resume", {"confirmation": "approve"}),
    ("POST", "/elicitation", {"action": "accept"}),
    ("POST", "/cancel", {}),
    ("POST", "/retry", {}),
    ("POST", "/pause", None),
    ("POST", "/compact", {}),
    ("POST", "/turns/0123456789abcdef/wait", None),
    ("POST", "/steer", MESSAGES),
    ("POST", "/followup", MESSAGES),
    ("PATCH", "/queue/0123456789abcdef", MESSAGES),
    ("DELETE", "/queue/0123456789abcdef", None),
    ("POST", "/queue/begin", None),
    ("POST", "/agent/tools", MESSAGES),
    ("POST", "/agent/tools/root", MESSAGES),
    ("POST", "/agent/tools?when_busy=interrupt", MESSAGES),
    ("POST", "/agent/tools?when_busy=wait&wait_timeout=1", MESSAGES),
    ("POST", "/agent/tools?when_busy=queue", MESSAGES),
    ("DELETE", "", None),
]


def test_a_strangers_session_is_not_there_on_any_route_even_while_it_runs(
    tmp_path: Any, model: OfflineServer
) -> None:
    server = build(make_settings(tmp_path, model.url, auth_tokens=TOKENS))
    http = server.app.test_client()
    try:
        session = new_session(http, **bearer(ALICE))
        path = f"/api/sessions/{session}"
        call = [{"content": '[call shell {"cmd":"true"}][then][say done]'}]
        stream = http.post(f"{path}/agent/tools", json=call, headers=bearer(ALICE), buffered=False)
        eventually(lambda: _status(http, path) == "awaiting_approval", "the call waits for approval")
        before = http.get(path, headers=bearer(ALICE)).get_json()
        for method, rest, body in ROUTES:
            response = http.open(f"{path}{rest}", method=method, json=body, headers=bearer(BOB))
            assert response.status_code == 404, (method, rest, response.get_data())
            assert response.get_json()["code"] == "unknown_session"
            assert set(response.get_json()) == {"message", "error", "code", "request_id"}
        run = f"/api/runs/{before['run']['id']}"
        own = f"/api/sessions/{new_session(http, **bearer(BOB))}/turns/{before['run']['id']}/wait"
        inside = [("GET", f"{run}/{what}") for what in ("timeline", "events")]
        for method, address in (("GET", run), ("POST", f"{run}/release"), ("POST", own), *inside):
            response = http.open(address, method=method, headers=bearer(BOB))
            assert (response.status_code, response.get_json()["code"]) == (404, "unknown_run")
        for token in (ALICE, BOB):
            request = http.get(f"{run}/request", headers=bearer(token))
            assert (request.status_code, request.get_json()["code"]) == (403, "forbidden")
        assert http.get("/api/runs", headers=bearer(BOB)).get_json() == []
        assert http.get(f"/api/runs?session={session}", headers=bearer(BOB)).get_json() == []
        assert _without_lease(http.get(path, headers=bearer(ALICE)).get_json()) == _without_lease(before)
        stream.close()
    finally:
        server.close()


def _status(http: FlaskClient, path: str) -> str | None:
    with http.get(
        path, headers=bearer(ALICE)
    ) as response:  # a response that is not closed keeps its request's place
        run = response.get_json().get("run")
    return run["status"] if run else None


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]:8080", "[::1]"]
)
def test_a_server_answers_to_this_machines_names(http: FlaskClient, host: str) -> None:
    assert http.get("/api/sessions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "10.0.0.1",
        "[::2]",
        "[x",
    ],
)
@pytest.mark.parametrize("path", ["/api/sessions", "/api/ping", "/nope"])
def test_a_name_that_a_stranger_gave_this_machine_is_not_answered(
    http: FlaskClient, host: str, path: str
) -> None:
    response = http.get(path, headers={"Host": host})
    assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null", "", "http://[x", "file://"]
)
@pytest.mark.parametrize("path", ["/api/sessions", "/nope"])
def test_a_page_from_elsewhere_is_not_answered(http: FlaskClient, origin: str, path: str) -> None:
    response = http.post(path, json={}, headers={"Origin": origin, "Host": "localhost:8080"})
    assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")


def test_a_page_from_here_is_answered(http: FlaskClient) -> None:
    headers = {"Origin": "http://localhost:8080", "Host": "localhost:8080"}
    assert http.post("/api/sessions", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize(("hosts", "expected"), [(("baton.example",), 200), (("*",), 200), ((), 403)])
def test_further_names_can_be_allowed(
    tmp_path: Any, stand_in: OfflineServer, hosts: tuple[str, ...], expected: int
) -> None:
    built = build(make_settings(tmp_path, stand_in.url, allowed_hosts=hosts))
    response = built.app.test_client().get("/api/sessions", headers={"Host": "Baton.example:443"})
    built.close()
    assert response.status_code == expected


def _without_lease(detail: dict[str, Any]) -> dict[str, Any]:
    """The lease is renewed as time goes by, whoever asks."""
    run = {key: value for key, value in detail["run"].items() if key != "lease_expires_at"}
    return {**detail, "run": run}
