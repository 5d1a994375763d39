"""Sessions on the wire: the contract's keys, nulls, numbers and words."""

from __future__ import annotations

import re
import uuid

import pytest
from flask.testing import FlaskClient

from app.factory import Server
from tests.web.conftest import Dump, new_session

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
WHOLE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_a_new_session_has_the_contracts_keys_in_its_order(http: FlaskClient) -> None:
    response = http.post("/api/sessions", json={})
    body = response.get_json()
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert list(body) == [
        "id",
        "title",
        "messages",
        "created_at",
        "tools_approved",
        "thinking",
        "hide_tool_results",
        "SendUserMessage",
        "max_iterations",
        "starred",
        "input_tokens",
        "output_tokens",
        "cost",
    ]
    assert uuid.UUID(body.pop("id")).version == 4
    assert TIME.fullmatch(body.pop("created_at"))
    assert body == {
        "title": "",
        "messages": None,
        "tools_approved": False,
        "thinking": False,
        "hide_tool_results": False,
        "SendUserMessage": True,
        "max_iterations": 0,
        "starred": False,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost": 0,
    }


def test_a_session_needs_no_body_at_all(http: FlaskClient) -> None:
    assert http.post("/api/sessions").status_code == 200


def test_what_a_session_was_created_with_comes_back(http: FlaskClient, quiet: Server) -> None:
    directory = quiet.settings.roots[0] / "work"
    directory.mkdir(exist_ok=True)
    permissions = {"allow": ["think"], "deny": ["shell:cmd=rm*"]}
    wanted = {
        "tools_approved": True,
        "max_iterations": 7,
        "working_dir": f" {directory} ",
        "permissions": permissions,
    }
    body = http.post("/api/sessions", json=wanted).get_json()
    assert body["tools_approved"] is True
    assert body["max_iterations"] == 7
    assert body["working_dir"] == str(directory)
    assert body["permissions"] == permissions
    detail = http.get(f"/api/sessions/{body['id']}").get_json()
    assert detail["working_dir"] == str(directory)
    assert detail["permissions"] == permissions


@pytest.mark.parametrize(("given", "shown"), [({}, {}), ({"ask": None}, {}), (None, None)])
def test_permissions_that_allow_nothing_are_shown_and_none_are_left_out(
    http: FlaskClient, given: object, shown: object
) -> None:
    body = http.post("/api/sessions", json={"permissions": given}).get_json()
    assert body.get("permissions") == shown
    assert http.get(f"/api/sessions/{body['id']}").get_json().get("permissions") == shown


def test_what_the_server_decides_is_not_taken_from_the_body(http: FlaskClient) -> None:
    wanted = {"id": "mine", "thinking": True, "starred": True, "cost": 5, "input_tokens": 5}
    body = http.post("/api/sessions", json=wanted).get_json()
    assert body["id"] != "mine"
    assert (body["thinking"], body["starred"], body["cost"]) == (False, False, 0)


def test_a_session_that_nobody_has_spoken_in_has_no_messages_key(http: FlaskClient) -> None:
    session = new_session(http)
    body = http.get(f"/api/sessions/{session}").get_json()
    assert WHOLE_TIME.fullmatch(body.pop("created_at"))
    assert body == {
        "id": session,
        "title": "",
        "tools_approved": False,
        "thinking": False,
        "input_tokens": 0,
        "output_tokens": 0,
    }


def test_the_list_has_the_newest_session_first(http: FlaskClient) -> None:
    older, newer = new_session(http), new_session(http)
    response = http.get("/api/sessions")
    assert response.status_code == 200
    listed = response.get_json()
    assert [summary["id"] for summary in listed[:2]] == [newer, older]
    assert WHOLE_TIME.fullmatch(listed[0].pop("created_at"))
    assert listed[0] == {
        "id": newer,
        "title": "",
        "num_messages": 0,
        "input_tokens": 0,
        "output_tokens": 0,
    }


def test_a_title_is_set_and_echoed(http: FlaskClient) -> None:
    session = new_session(http)
    response = http.patch(f"/api/sessions/{session}/title", json={"title": "Grüße <&> 🙂"})
    assert response.status_code == 200
    assert response.get_json() == {"id": session, "title": "Grüße <&> 🙂"}
    assert "Grüße" in response.get_data(as_text=True), "not escaped"
    assert http.get(f"/api/sessions/{session}").get_json()["title"] == "Grüße <&> 🙂"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"title":null}', b'{"title":""}'])
def test_a_title_that_is_missing_is_the_empty_one(http: FlaskClient, body: bytes) -> None:
    session = new_session(http)
    http.patch(f"/api/sessions/{session}/title", json={"title": "something"})
    path = f"/api/sessions/{session}/title"
    response = http.patch(path, data=body, content_type="application/json")
    assert response.get_json() == {"id": session, "title": ""}
    assert http.get(f"/api/sessions/{session}").get_json()["title"] == ""


def test_permissions_are_replaced_as_a_whole_and_cleared(http: FlaskClient) -> None:
    session = new_session(http)
    path = f"/api/sessions/{session}/permissions"
    for given in ({"allow": ["a"], "ask": ["b"]}, {"deny": ["c"]}):
        response = http.patch(path, json={"permissions": given})
        assert response.get_json() == {"message": "session permissions updated"}
        assert http.get(f"/api/sessions/{session}").get_json()["permissions"] == given
    for nothing in (b"", b'{"permissions":null}'):
        http.patch(path, json={"permissions": {"deny": ["c"]}})
        assert http.patch(path, data=nothing, content_type="application/json").status_code == 200
        assert "permissions" not in http.get(f"/api/sessions/{session}").get_json()


@pytest.mark.parametrize(("toggle", "key"), [("tools", "tools_approved"), ("thinking", "thinking")])
def test_a_toggle_answers_null_and_flips(http: FlaskClient, toggle: str, key: str) -> None:
    session = new_session(http)
    for expected in (True, False):
        response = http.post(f"/api/sessions/{session}/{toggle}/toggle")
        assert (response.status_code, response.get_data()) == (200, b"null\n")
        assert http.get(f"/api/sessions/{session}").get_json()[key] is expected


def test_a_deleted_session_is_gone(http: FlaskClient, dump: Dump) -> None:
    before = without_trail(dump())
    session = new_session(http)
    response = http.delete(f"/api/sessions/{session}")
    assert (response.status_code, response.get_json()) == (200, {"message": "session deleted"})
    assert http.get(f"/api/sessions/{session}").status_code == 404
    assert http.delete(f"/api/sessions/{session}").status_code == 404
    assert without_trail(dump()) == before


def without_trail(rows: list[str]) -> list[str]:
    """The trail outlives the session."""
    return [row for row in rows if "audit" not in row and "sqlite_sequence" not in row]


UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("GET", "", None, "session not found: session not found"),
        ("DELETE", "", None, "failed to delete session: session not found"),
        ("PATCH", "/title", {}, "failed to update session title: session not found"),
        ("PATCH", "/permissions", {}, "failed to update session permissions: session not found"),
        ("POST", "/tools/toggle", {}, "failed to toggle session tool approval mode: session not found"),
        ("POST", "/thinking/toggle", {}, "failed to toggle session thinking mode: session not found"),
        ("POST", "/resume", {"confirmation": "approve"}, "failed to resume session: session not found"),
        ("POST", "/elicitation", {"action": "cancel"}, "failed to resume elicitation: session not found"),
        ("POST", "/agent/plain", [{"content": "hi"}], "failed to run session: session not found"),
        ("POST", "/agent/nobody", [{"content": "hi"}], "failed to run session: session not found"),
    ],
)
def test_an_unknown_session_is_refused_in_the_contracts_words(
    http: FlaskClient, method: str, path: str, body: object, words: str
) -> None:
    response = http.open(f"/api/sessions/{UNKNOWN}{path}", method=method, json=body)
    answered = response.get_json()
    assert response.status_code == 404
    assert answered.pop("request_id")
    assert answered == {"message": words, "error": words, "code": "unknown_session"}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("resume", {"confirmation": "approve"}, "nothing is waiting for an answer"),
        (
            "elicitation",
            {"action": "accept"},
            "failed to resume elicitation: no elicitation request in progress",
        ),
    ],
)
def test_an_answer_that_nobody_waits_for_is_a_conflict(
    http: FlaskClient, dump: Dump, path: str, body: object, words: str
) -> None:
    session = new_session(http)
    before = dump()
    response = http.post(f"/api/sessions/{session}/{path}", json=body)
    assert (response.status_code, response.get_json()["code"]) == (409, "nothing_to_answer")
    assert response.get_json()["message"] == words
    assert dump() == before


def test_a_session_without_a_run_cannot_be_cancelled(http: FlaskClient) -> None:
    response = http.post(f"/api/sessions/{new_session(http)}/cancel")
    assert (response.status_code, response.get_json()["code"]) == (409, "not_running")


def test_a_whole_number_may_be_written_with_a_point(http: FlaskClient) -> None:
    """To JSON Schema 5.0 is an integer, and some languages have no other way to write one."""
    response = http.post("/api/sessions", json={"max_iterations": 5.0})
    assert (response.status_code, response.get_json()["max_iterations"]) == (200, 5)
