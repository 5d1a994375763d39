"""The behaviour that all routes have in common: methods, slashes, the error's shape, the request id, indentation."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from app.factory import Server
from app.managed.door import ManagedDoor

SESSION = "/api/sessions/00000000-0000-4000-8000-000000000000"

PATHS = [
    ("/api/ping", {"GET"}),
    ("/api/agents", {"GET"}),
    ("/api/agents/plain", {"GET"}),
    ("/api/agents/plain/root/tools/count", {"GET"}),
    ("/api/sessions", {"GET", "POST"}),
    (SESSION, {"GET", "DELETE"}),
    (f"{SESSION}/snapshot", {"GET"}),
    (f"{SESSION}/recovery", {"GET"}),
    (f"{SESSION}/question", {"GET"}),
    (f"{SESSION}/models", {"GET"}),
    (f"{SESSION}/model", {"PATCH"}),
    (f"{SESSION}/branches", {"POST"}),
    (f"{SESSION}/delegation-policy", {"GET", "PATCH"}),
    (f"{SESSION}/stop-subtree", {"POST"}),
    (f"{SESSION}/switch-agent", {"POST"}),
    (f"{SESSION}/thinking-level", {"GET", "PATCH"}),
    (f"{SESSION}/thinking-level/cycle", {"POST"}),
    (f"{SESSION}/tools", {"GET"}),
    (f"{SESSION}/toolsets", {"GET"}),
    (f"{SESSION}/todos", {"GET"}),
    (f"{SESSION}/skills", {"GET"}),
    (f"{SESSION}/context", {"GET"}),
    ("/api/models", {"GET"}),
    ("/api/limits", {"GET"}),
    ("/api/agents/plain/info", {"GET"}),
    (f"{SESSION}/tree", {"GET"}),
    (f"{SESSION}/live-sessions", {"GET"}),
    (f"{SESSION}/history", {"GET"}),
    (f"{SESSION}/todos/todo_1", {"PATCH", "DELETE"}),
    (f"{SESSION}/toolsets/restart", {"POST"}),
    (f"{SESSION}/toolsets/x/restart", {"POST"}),
    (f"{SESSION}/mcp/prompts", {"GET"}),
    (f"{SESSION}/mcp/prompts/execute", {"POST"}),
    (f"{SESSION}/mcp/prompts/x/execute", {"POST"}),
    (f"{SESSION}/summaries", {"POST"}),
    (f"{SESSION}/undo", {"POST"}),
    ("/api/sessions/batch/delete", {"POST"}),
    ("/api/sessions/batch/export", {"POST"}),
    ("/api/ready", {"GET"}),
    (f"{SESSION}/title", {"PATCH"}),
    (f"{SESSION}/permissions", {"GET", "PATCH"}),
    (f"{SESSION}/agent-info", {"GET"}),
    (f"{SESSION}/safety-policy", {"PATCH"}),
    (f"{SESSION}/mode", {"PATCH"}),
    (f"{SESSION}/budget", {"PATCH"}),
    (f"{SESSION}/tools/toggle", {"POST"}),
    (f"{SESSION}/thinking/toggle", {"POST"}),
    (f"{SESSION}/resume", {"POST"}),
    (f"{SESSION}/elicitation", {"POST"}),
    (f"{SESSION}/cancel", {"POST"}),
    (f"{SESSION}/retry", {"POST"}),
    (f"{SESSION}/pause", {"POST"}),
    (f"{SESSION}/compact", {"POST"}),
    (f"{SESSION}/turns/0123456789abcdef/wait", {"POST"}),
    (f"{SESSION}/events", {"GET"}),
    (f"{SESSION}/agent/plain", {"POST"}),
    (f"{SESSION}/agent/plain/root", {"POST"}),
    ("/api/runs", {"GET"}),
    ("/api/runs/0123456789abcdef", {"GET"}),
    ("/api/runs/0123456789abcdef/timeline", {"GET"}),
    ("/api/runs/0123456789abcdef/events", {"GET"}),
    ("/api/runs/0123456789abcdef/request", {"GET"}),
    ("/api/me", {"GET"}),
    ("/api/audit", {"GET"}),
    ("/api/owners/ann", {"DELETE"}),
    ("/api/owners/ann/export", {"GET"}),
]


def with_implied(methods: set[str]) -> set[str]:
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


@pytest.mark.parametrize(("path", "methods"), PATHS)
def test_a_wrong_method_is_405_and_the_right_ones_are_named(
    http: FlaskClient, path: str, methods: set[str]
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
        response = http.open(path, method=method)
        assert response.status_code == 405
        assert response.get_json()["message"] == "Method Not Allowed"
        assert response.get_json()["code"] == "method_not_allowed"
        assert set(response.headers["Allow"].split(", ")) == with_implied(methods)


@pytest.mark.parametrize(("path", "methods"), PATHS)
def test_options_names_the_methods_and_invites_no_other_origin(
    http: FlaskClient, path: str, methods: set[str]
) -> None:
    response = http.options(path)
    assert (response.status_code, response.get_data()) == (204, b"")
    assert set(response.headers["Allow"].split(", ")) == with_implied(methods)
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize(("path", "methods"), PATHS)
def test_a_slash_at_the_end_is_another_path(http: FlaskClient, path: str, methods: set[str]) -> None:
    for method in methods:
        assert http.open(f"{path}/", method=method, json=[{"content": "hi"}]).status_code == 404


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/desktop/token", "/api//sessions", "/x"])
def test_an_unknown_path_is_404(http: FlaskClient, path: str) -> None:
    response = http.get(path)
    assert response.status_code == 404
    answered = response.get_json()
    assert answered.pop("request_id") == response.headers["X-Request-ID"]
    assert answered == {"message": "Not Found", "error": "Not Found", "code": "not_found"}


@pytest.mark.parametrize("path", ["/api/ping", "/api/sessions", "/api/agents", "/api/runs", SESSION, "/nope"])
def test_head_answers_as_get_does_without_a_body(http: FlaskClient, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert head.status_code == get.status_code
    assert head.get_data() == b""
    assert head.content_type == get.content_type


@pytest.mark.parametrize("path", ["/api/ping", "/api/agents", "/api/runs", SESSION])
def test_json_ends_with_a_new_line_and_is_indented_only_if_asked_for(http: FlaskClient, path: str) -> None:
    compact = http.get(path).get_data(as_text=True)
    assert compact.endswith("\n")
    assert compact.count("\n") == 1
    for query in ("?pretty", "?pretty=true"):
        indented = http.get(f"{path}{query}").get_data(as_text=True)
        assert indented.endswith("\n")
        assert indented == "[]\n" or '\n  "' in indented or '\n    "' in indented


def test_a_request_id_is_taken_from_the_caller(http: FlaskClient) -> None:
    response = http.get("/nope", headers={"X-Request-ID": "abc-1.2_3"})
    assert response.headers["X-Request-ID"] == response.get_json()["request_id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, 'a"b', "<script>", "ü"])
def test_a_request_id_that_a_log_could_not_bear_is_replaced(http: FlaskClient, given: str) -> None:
    response = http.get("/nope", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_every_route_is_below_the_contracts_prefix_or_for_people_and_operators(quiet: Server) -> None:
    rules: list[Rule] = list(quiet.app.url_map.iter_rules())
    elsewhere = {rule.rule for rule in rules if not rule.rule.startswith(("/api/", ManagedDoor.prefix))}
    reference = {"/agent-schema.json", "/docs", "/docs/<name>", "/openapi.json"}
    console = {"/console/<name>", "/console/vendor/<package>/<name>"}
    console |= {path.replace("/console/", "/console/v/<version>/") for path in console}
    assert elsewhere == {"/health", "/ready", "/metrics", "/", *console, *reference}
