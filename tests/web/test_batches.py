"""Many sessions at once: each for itself, and only those that the asker may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

DELETE = "/api/sessions/batch/delete"
EXPORT = "/api/sessions/batch/export"
TOKENS = {name: f"token-of-{name}-0123456789" for name in ("ann", "bob", "eye", "ops")}


@pytest.fixture
def guarded(tmp_path: Any, model: OfflineServer) -> Iterator[dict[str, LocalClient]]:
    names = {"ann": "ann", "bob": "bob", "eye": "eye/readonly", "ops": "ops/operator"}
    pairs = tuple((names[name], token) for name, token in TOKENS.items())
    built = build(make_settings(tmp_path, model.url, auth_tokens=pairs))
    yield {name: LocalClient(built, token=token) for name, token in TOKENS.items()}
    built.close()


def test_sessions_are_deleted_each_for_itself(local: LocalClient) -> None:
    first, second, third = (local.new_session() for _ in range(3))
    answer = local.call("POST", DELETE, {"session_ids": [first, "nobody", second, first]})
    assert answer == {"deleted_count": 2, "failed_count": 1, "failed_ids": ["nobody"]}
    assert [session["id"] for session in local.call("GET", "/api/sessions")] == [third]
    assert local.call("POST", DELETE, {"session_ids": [third]}) == {"deleted_count": 1, "failed_count": 0}


def test_the_runs_of_deleted_sessions_end(local: LocalClient) -> None:
    sessions = [local.new_session() for _ in range(2)]
    streams = [local.run(session, "[hold 0][say never]") for session in sessions]
    answer = local.call("POST", DELETE, {"session_ids": sessions})
    assert answer == {"deleted_count": 2, "failed_count": 0}
    for stream in streams:
        stream.rest()
    eventually(lambda: not local.server.runtime.runs.all(), "nothing is at work any more")
    assert local.call("GET", "/api/sessions") == []


def test_an_export_has_what_the_sessions_show_and_can_be_imported(local: LocalClient) -> None:
    first, empty = local.new_session(permissions={"deny": ["x"]}), local.new_session()
    local.say(first, "[say one]")
    answer = local.call("POST", EXPORT, {"session_ids": [first, "nobody", empty], "format": "json"})
    assert set(answer) == {"export_format", "timestamp", "sessions", "session_count", "failed_ids"}
    assert (answer["export_format"], answer["session_count"], answer["failed_ids"]) == ("json", 2, ["nobody"])
    assert answer["sessions"] == [local.session(first), {**local.session(empty), "messages": []}]
    again = local.call("POST", "/api/sessions/import", answer["sessions"][0])["id"]
    assert [m["content"] for m in local.messages(again)] == ["[say one]", "one"]
    pretty = local.ask("POST", f"{EXPORT}?pretty", {"session_ids": [first]})
    assert pretty.get_data().startswith(b'{\n  "export_format": "json"')


def test_an_export_of_nothing_that_is_there_is_empty(local: LocalClient) -> None:
    answer = local.call("POST", EXPORT, {"session_ids": ["nobody"]})
    assert (answer["sessions"], answer["session_count"]) == ([], 0)


@pytest.mark.parametrize("path", [DELETE, EXPORT])
@pytest.mark.parametrize(
    "body", [{}, {"session_ids": []}, {"session_ids": "x"}, {"session_ids": ["x"] * 1001}]
)
def test_a_batch_has_to_name_some_sessions(local: LocalClient, path: str, body: dict[str, Any]) -> None:
    assert local.call("POST", path, body, expect=422)["code"] == "invalid_request"


def test_what_is_somebody_elses_is_not_there_and_the_trail_says_who_tried(
    guarded: dict[str, LocalClient],
) -> None:
    ann, bob, ops = (guarded[name] for name in ("ann", "bob", "ops"))
    hers, his = ann.new_session(), bob.new_session()
    both = {"session_ids": [hers, his]}
    assert [one["id"] for one in bob.call("POST", EXPORT, both)["sessions"]] == [his]
    assert bob.call("POST", DELETE, both) == {"deleted_count": 1, "failed_count": 1, "failed_ids": [hers]}
    assert ann.session(hers)["id"] == hers
    entries = ops.call("GET", "/api/audit?who=bob")["entries"]
    assert [(one["action"], one["session_id"], one["detail"]) for one in entries] == [
        ("delete", his, ""),
        ("refused", hers, f"POST {DELETE}: 404"),
        ("refused", hers, f"POST {EXPORT}: 404"),
        ("create", his, ""),
    ]
    assert ops.call("POST", DELETE, both)["deleted_count"] == 1


def test_a_reader_exports_and_deletes_nothing(guarded: dict[str, LocalClient]) -> None:
    ann, eye = guarded["ann"], guarded["eye"]
    body = {"session_ids": [ann.new_session()]}
    assert eye.call("POST", EXPORT, body)["session_count"] == 1
    assert eye.call("POST", DELETE, body, expect=403)["code"] == "forbidden"
    assert ann.call("POST", EXPORT, body)["session_count"] == 1
