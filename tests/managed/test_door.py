"""What a request passes at this door before anything is looked up, and the form of what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.factory import Server

HEADERS = {"anthropic-beta": "managed-agents-2026-04-01", "anthropic-version": "2023-06-01"}
ANN = {"Authorization": "Bearer ann-has-this-token"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/v1/nothing", {}, 404, "Not found"),
        ("/v1/agents", {}, 401, "Authentication failed"),
        ("/v1/agents", {**HEADERS, "x-api-key": "wrong"}, 401, "Authentication failed"),
        ("/v1/agents", {"x-api-key": "ann-has-this-token"}, 404, "not found"),
        ("/v1/agents", {**ANN, "anthropic-beta": "another"}, 404, "not found"),
        (
            "/v1/agents",
            {**ANN, "anthropic-beta": "x, managed-agents-2026-04-01"},
            400,
            "anthropic-version: header is",
        ),
        ("/v1/agents/x", {**ANN, **HEADERS}, 400, "Invalid agent ID."),
        ("/v1/agents/agent_011111111111111111111111", {**ANN, **HEADERS}, 404, "Agent not found."),
        ("/v1/agents?limit=0", {**ANN, **HEADERS}, 400, "limit: must be a number from 1 to 100"),
        (
            "/v1/agents?include_archived=yes",
            {**ANN, **HEADERS},
            400,
            "include_archived: must be true or false",
        ),
        ("/v1/agents?created_at[gte]=today", {**ANN, **HEADERS}, 400, "created_at[gte]: must be a time"),
    ],
)
def test_the_order_of_the_checks(
    company: Server, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    answer = company.app.test_client().get(path, headers=headers)
    assert answer.status_code == status
    body: Any = answer.get_json()
    assert body["type"] == "error"
    assert words in body["error"]["message"]
    assert body["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("headers", [{"x-api-key": "ann-has-this-token"}, ANN])
def test_either_header_carries_a_token(company: Server, headers: dict[str, str]) -> None:
    path = "/v1/agents?beta=true"
    answer = company.app.test_client().get(path, headers={**HEADERS, **headers})
    assert answer.status_code == 200


def test_the_first_door_takes_no_key_of_the_second(company: Server) -> None:
    answer = company.app.test_client().get("/api/sessions", headers={"x-api-key": "ann-has-this-token"})
    assert answer.status_code == 401
    assert "code" in answer.get_json()


def test_a_body_that_is_no_json_is_refused(laptop: Server) -> None:
    answer = laptop.app.test_client().post("/v1/agents", headers=HEADERS, data=b"{")
    assert answer.status_code == 400
    assert "Failed to parse request" in answer.get_json()["error"]["message"]
