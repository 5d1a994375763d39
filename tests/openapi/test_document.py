"""The document describes every route that there is, and what the program really sends fits it."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from app import errors
from app.factory import Server
from app.managed.door import ManagedDoor
from app.web.openapi.document import openapi_document
from tests.harness.in_process import LocalClient
from tests.test_documents import event_types, heirs

ASSETS: Final = re.compile(r'(?:href|src)="([^"]+)"')
NEVER_SENT_BY_A_ROUTE: Final = {
    *(
        "error",
        "conflict",
        "too_many",
        "unavailable",
        "cancelled",
        "hook_blocked",
        "model_failed",
        "context_full",
        "calls_repeated",
        "time_reached",
        "compaction_failed",
        "refused",
        "interrupted",
    ),
    "method_not_allowed",
}
"""Families, ends of runs, and what any path can answer."""


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


@pytest.fixture
def document(client: LocalClient) -> dict[str, Any]:
    return dict(client.call("GET", "/openapi.json"))


def test_every_route_is_described_and_nothing_else(server: Server, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in server.app.url_map.iter_rules()
        if not rule.rule.startswith(ManagedDoor.prefix)  # Anthropic describes those
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert described == routes


def test_every_code_stands_in_the_document(server: Server) -> None:
    text = str(openapi_document(server.app, version="", secured=True)["paths"])
    codes = {kind.code for kind in heirs(errors.AppError) if kind.__module__ == errors.__name__}
    missing = {code for code in codes - NEVER_SENT_BY_A_ROUTE if f"'{code}'" not in text}
    assert missing == set()


def test_every_type_of_event_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    named = [schemas[one["$ref"].rpartition("/")[2]] for one in schemas["Event"]["oneOf"]]
    known = event_types()
    assert {schema["properties"]["type"]["const"] for schema in named} == known


def test_the_events_of_a_run_are_as_they_are_described(client: LocalClient, document: dict[str, Any]) -> None:
    validator = Draft202012Validator({**document, "$ref": "#/components/schemas/Event"})
    session = client.new_session()
    with client.run(session, '[think][call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        for event in stream:
            validator.validate(event)
            if event["type"] == "tool_call_confirmation":
                client.resume(session, "approve")
    assert {"tool_call", "tool_call_response", "token_usage", "stream_stopped"} <= set(stream.types)


def test_a_session_with_a_question_is_as_it_is_described(
    client: LocalClient, document: dict[str, Any]
) -> None:
    session = client.new_session()
    detail = Draft202012Validator({**document, "$ref": "#/components/schemas/SessionDetail"})
    busy = Draft202012Validator({**document, "$ref": "#/components/schemas/Busy"})
    with client.run(session, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        answered = client.session(session)
        assert answered["run"]["waiting_for"]["kind"] == "approval"
        detail.validate(answered)
        refused = client.try_run(session, "me too")
        assert refused.status_code == 409
        busy.validate(refused.get_json())
        client.stop(session)
        stream.rest()
    answered = client.session(session)
    assert [one["message"]["role"] for one in answered["messages"]] == ["user", "assistant", "tool"]
    detail.validate(answered)


def test_the_page_needs_nothing_from_anywhere_else(client: LocalClient) -> None:
    """Its addresses are relative, so that it works below a path too."""
    page = client.ask("GET", "/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    html = page.get_data(as_text=True)
    assert not re.search(r"<(script|style)>| style=| on\w+=", html)
    links = set(ASSETS.findall(html))
    assert links == {"console/theme.js", "docs/reference.css", "docs/reference.js", "openapi.json"}
    for link in links:
        response = client.ask("GET", f"/{link}")
        assert response.status_code == 200
        assert "http" not in response.get_data(as_text=True) or link == "openapi.json"
        response.close()
