"""The rights of each role, and the trail's entries about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.web.test_access import MESSAGES, ROUTES

NAMES: Final = ("ann", "bob", "ops/operator", "eye/readonly")


def token_of(name: str) -> str:
    return f"token-of-{name.partition('/')[0]}-0123456789"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    tokens = tuple((name, token_of(name)) for name in NAMES)
    built = build(make_settings(tmp_path_factory.mktemp("roles"), stand_in.url, auth_tokens=tokens))
    yield built
    built.close()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(guarded: Server) -> Iterator[None]:
    """The server lives as long as the module."""
    yield
    eventually(lambda: not held_by(guarded), f"the server has let go of {held_by(guarded)}")


@pytest.fixture
def ann(guarded: Server, model: OfflineServer) -> LocalClient:
    return LocalClient(guarded, token=token_of("ann"))


@pytest.fixture
def bob(guarded: Server) -> LocalClient:
    return LocalClient(guarded, token=token_of("bob"))


@pytest.fixture
def ops(guarded: Server) -> LocalClient:
    return LocalClient(guarded, token=token_of("ops"))


@pytest.fixture
def eye(guarded: Server) -> LocalClient:
    return LocalClient(guarded, token=token_of("eye"))


def ids(client: LocalClient) -> set[str]:
    return {summary["id"] for summary in client.call("GET", "/api/sessions")}


def trail(client: LocalClient, query: str) -> list[tuple[str, str, str]]:
    """The name, role and action of each entry; the oldest first."""
    entries = client.call("GET", f"/api/audit?{query}")["entries"]
    return [(entry["who"], entry["role"], entry["action"]) for entry in reversed(entries)]


def waiting_run(client: LocalClient, session: str) -> dict[str, Any]:
    """A run that waits for somebody to approve a call."""
    body = [{"content": '[call shell {"cmd":"true"}][then][say done]'}]
    client.call("POST", f"/api/sessions/{session}/agent/tools?stream=false", body, expect=202)

    def asks() -> dict[str, Any] | None:
        run = client.session(session).get("run")
        return run if run and run["status"] == "awaiting_approval" else None

    run: dict[str, Any] = eventually(asks, "the run waits for approval", seconds=60)
    return run


def test_operators_and_readers_see_everybodys_sessions_and_whose_they_are(
    ann: LocalClient, bob: LocalClient, ops: LocalClient, eye: LocalClient
) -> None:
    hers, his, theirs = ann.new_session(), bob.new_session(), ops.new_session()
    assert hers in ids(ann)
    assert not {his, theirs} & ids(ann)
    for client in (ops, eye):
        assert {hers, his, theirs} <= ids(client)
        assert client.session(hers)["owner"] == "ann"
        assert {s["id"]: s["owner"] for s in client.call("GET", "/api/sessions")}[theirs] == "ops"


def test_an_operator_acts_on_everybodys_sessions_and_runs(ann: LocalClient, ops: LocalClient) -> None:
    session = ann.new_session()
    run = waiting_run(ann, session)
    assert [one["id"] for one in ops.call("GET", f"/api/runs?session={session}")] == [run["id"]]
    ops.call("POST", f"/api/runs/{run['id']}/release", {"reason": "stuck"})
    assert ops.call("GET", f"/api/runs/{run['id']}")["status"] == "interrupted"
    waiting_run(ann, session)
    ops.call("POST", f"/api/sessions/{session}/cancel?wait=10", {})
    ops.call("PATCH", f"/api/sessions/{session}/title", {"title": "seen to"})
    assert ann.session(session)["title"] == "seen to"


@pytest.mark.parametrize(("method", "rest", "body"), [route for route in ROUTES if route[0] != "GET"])
def test_a_reader_changes_nothing(
    ann: LocalClient, eye: LocalClient, method: str, rest: str, body: Any
) -> None:
    session = ann.new_session()
    before = ann.session(session)
    refused = eye.call(method, f"/api/sessions/{session}{rest}", body, expect=403)
    assert refused["code"] == "forbidden"
    assert ann.session(session) == before


def test_a_reader_makes_no_session_and_releases_no_run(ann: LocalClient, eye: LocalClient) -> None:
    assert eye.call("POST", "/api/sessions", {}, expect=403)["code"] == "forbidden"
    session = ann.new_session()
    run = waiting_run(ann, session)
    eye.call("POST", f"/api/runs/{run['id']}/release", {}, expect=403)
    assert eye.call("GET", f"/api/runs/{run['id']}")["status"] == "awaiting_approval"
    ann.stop(session)


@pytest.mark.parametrize("rest", ["", "/queue"])
def test_a_reader_looks_at_whatever_there_is(ann: LocalClient, eye: LocalClient, rest: str) -> None:
    eye.call("GET", f"/api/sessions/{ann.new_session()}{rest}")


@pytest.mark.parametrize("path", ["/api/audit", "/metrics"])
def test_what_tells_of_everybody_is_not_for_users(ann: LocalClient, path: str) -> None:
    assert ann.call("GET", path, expect=403)["code"] == "forbidden"


@pytest.mark.parametrize("name", ["ops", "eye"])
def test_operators_and_readers_read_the_trail(guarded: Server, name: str) -> None:
    assert "entries" in LocalClient(guarded, token=token_of(name)).call("GET", "/api/audit")


def test_without_tokens_everybody_may_do_everything(tmp_path: Any, stand_in: OfflineServer) -> None:
    built = build(make_settings(tmp_path, stand_in.url))
    client = LocalClient(built)
    session = client.new_session()
    client.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 1.5})
    assert trail(client, "") == [("127.0.0.1", "", "create"), ("127.0.0.1", "", "budget")]
    assert "owner" not in client.session(session)
    built.close()


def test_the_budget_of_a_session_is_an_operators_to_set(ann: LocalClient, ops: LocalClient) -> None:
    path = f"/api/sessions/{ann.new_session()}/budget"
    assert ann.call("PATCH", path, {"budget": 100}, expect=403)["code"] == "forbidden"
    assert ops.call("PATCH", path, {"budget": 2.5})["budget"] == 2.5
    assert ops.call("PATCH", path, {"budget": None}) == {
        "id": path.split("/")[3],
        "budget": None,
        "cost": 0.0,
    }
    for wrong in ({}, {"budget": -1}, {"budget": "2"}, {"budget": 1e10}):
        ops.call("PATCH", path, wrong, expect=422)


def test_the_trail_tells_everything_that_was_done_to_a_session(ann: LocalClient, ops: LocalClient) -> None:
    session = ann.new_session()
    path = f"/api/sessions/{session}"
    ann.call("POST", f"{path}/followup", MESSAGES, expect=202)
    waiting = ann.call("GET", f"{path}/queue")["messages"][0]["id"]
    ann.call("PATCH", f"{path}/queue/{waiting}", MESSAGES)
    ann.call("DELETE", f"{path}/queue/{waiting}")
    run = waiting_run(ann, session)
    ann.call("POST", f"{path}/steer", MESSAGES, expect=202)
    ops.resume(session, "reject", {"reason": "not today"})
    ann.wait_until_free(session)
    waiting_run(ann, session)
    ann.resume(session, "approve")
    ann.wait_until_free(session)
    waiting_run(ann, session)
    ops.call("POST", f"{path}/cancel?wait=10", {})
    last = waiting_run(ann, session)
    ops.call("POST", f"/api/runs/{last['id']}/release", {"reason": "stuck"})
    ann.call("PATCH", f"{path}/title", {"title": "t"})
    ann.call("PATCH", f"{path}/permissions", {"permissions": {"allow": ["shell"]}})
    ann.call("POST", f"{path}/tools/toggle")
    ann.call("POST", f"{path}/thinking/toggle")
    ann.call("PATCH", f"{path}/model", {"model": "anthropic/claude-haiku-4-5"})
    ann.call("PATCH", f"{path}/thinking-level", {"level": "low"})
    ann.call("PATCH", f"{path}/delegation-policy", {"enabled": False})
    ann.call("DELETE", path)
    her, their = "user", "operator"
    assert trail(ops, f"session={session}&limit=1000") == [
        ("ann", her, "create"),
        ("ann", her, "followup"),
        ("ann", her, "edit_queued"),
        ("ann", her, "withdraw_queued"),
        ("ann", her, "run"),
        ("ann", her, "steer"),
        ("ops", their, "reject"),
        ("ann", her, "run"),
        ("ann", her, "approve"),
        ("ann", her, "run"),
        ("ops", their, "cancel"),
        ("ann", her, "run"),
        ("ops", their, "release"),
        ("ann", her, "rename"),
        ("ann", her, "permissions"),
        ("ann", her, "toggle_tools"),
        ("ann", her, "toggle_thinking"),
        ("ann", her, "model"),
        ("ann", her, "thinking_level"),
        ("ann", her, "delegation"),
        ("ann", her, "delete"),
    ]
    (begun, *_) = ops.call("GET", f"/api/audit?session={session}&action=run&limit=1000")["entries"][::-1]
    assert (begun["run_id"], begun["detail"]) == (run["id"], "tools")
    (released,) = ops.call("GET", f"/api/audit?session={session}&action=release")["entries"]
    assert (released["run_id"], released["detail"]) == (last["id"], "stuck")


def test_a_run_that_takes_the_place_of_another_is_in_the_trail_with_the_one_that_it_stopped(
    ann: LocalClient, ops: LocalClient
) -> None:
    session = ann.new_session()
    first = waiting_run(ann, session)
    path = f"/api/sessions/{session}/agent/plain?when_busy=interrupt&stream=false"
    second = ops.call("POST", path, MESSAGES, expect=202)["run"]
    ann.wait_until_free(session)
    entries = ops.call("GET", f"/api/audit?session={session}")["entries"]
    done = {(one["who"], one["action"], one["run_id"]) for one in entries}
    assert done == {
        ("ann", "create", ""),
        ("ann", "run", first["id"]),
        ("ops", "cancel", first["id"]),
        ("ops", "run", second["id"]),
    }


def test_a_request_that_is_repeated_under_its_key_is_one_entry(ann: LocalClient, ops: LocalClient) -> None:
    made, said = {"Idempotency-Key": "made-once"}, {"Idempotency-Key": "said-once"}
    (session,) = {ann.call("POST", "/api/sessions", {}, headers=made)["id"] for _ in range(2)}
    for _ in range(2):
        with ann.run(session, "[say once]", headers=said) as stream:
            stream.rest()
    assert trail(ops, f"session={session}") == [("ann", "user", "create"), ("ann", "user", "run")]


def test_a_follow_up_is_an_entry_and_the_run_that_comes_to_it_is_none(
    ann: LocalClient, ops: LocalClient
) -> None:
    session = ann.new_session()
    with ann.run(session, "[say once]") as stream:
        stream.rest()
    ann.call("POST", f"/api/sessions/{session}/followup", MESSAGES, expect=202)
    eventually(lambda: len(ops.call("GET", f"/api/runs?session={session}")) == 2, "it has begun")
    ann.wait_until_free(session)
    assert [action for _, _, action in trail(ops, f"session={session}")] == ["create", "run", "followup"]


def test_what_somebody_had_no_right_to_is_in_the_trail(
    ann: LocalClient, bob: LocalClient, eye: LocalClient, ops: LocalClient
) -> None:
    session = ann.new_session()
    run = waiting_run(ann, session)
    bob.call("GET", f"/api/sessions/{session}", expect=404)
    bob.call("POST", f"/api/runs/{run['id']}/release", {}, expect=404)
    eye.call("DELETE", f"/api/sessions/{session}", expect=403)
    ann.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 1}, expect=403)
    ann.stop(session)
    assert trail(ops, f"session={session}&action=refused") == [
        ("bob", "user", "refused"),
        ("bob", "user", "refused"),
        ("eye", "readonly", "refused"),
        ("ann", "user", "refused"),
    ]
    (newest, *_) = ops.call("GET", f"/api/audit?session={session}&action=refused")["entries"]
    assert newest["detail"] == f"PATCH /api/sessions/{session}/budget: 403"
    assert newest["request_id"]


def test_what_was_refused_for_other_reasons_is_not_in_the_trail(ann: LocalClient, ops: LocalClient) -> None:
    session = ann.new_session()
    ann.call("POST", f"/api/sessions/{session}/steer", MESSAGES, expect=409)
    ann.call("POST", f"/api/sessions/{session}/agent/nobody", MESSAGES, expect=404)
    ann.call("PATCH", f"/api/sessions/{session}/title", {"title": 5}, expect=422)
    ann.call("GET", "/api/sessions/nobody", expect=404)
    assert trail(ops, f"session={session}") == [("ann", "user", "create")]
    assert trail(ops, "session=nobody") == []


def test_the_trail_is_read_in_pages_and_filtered(
    ann: LocalClient, bob: LocalClient, ops: LocalClient
) -> None:
    made = [ann.new_session() for _ in range(5)]
    bob.new_session()
    pages, before = [], ""
    while True:
        page = ops.call("GET", f"/api/audit?who=ann&action=create&limit=2{before}")
        pages.append([entry["session_id"] for entry in page["entries"]])
        if page["next"] is None or len(pages) == 3:
            break
        before = f"&before={page['next']}"
    seen = [session for page in pages for session in page]
    assert seen[:5] == made[::-1]
    assert all(len(page) == 2 for page in pages[:2])
    newest = ops.call("GET", "/api/audit?limit=1")["entries"][0]
    since = ops.call("GET", f"/api/audit?since={newest['at']}")["entries"]
    assert [entry["id"] for entry in since] == [newest["id"]]
    assert ops.call("GET", "/api/audit?since=99999999999")["entries"] == []


@pytest.mark.parametrize(
    "query", ["since=yesterday", "limit=many", "before=-1", "action=explode", "session=a/b", "since="]
)
def test_a_question_to_the_trail_that_makes_no_sense_is_refused(ops: LocalClient, query: str) -> None:
    assert ops.call("GET", f"/api/audit?{query}", expect=422)["code"] == "invalid_request"


def test_no_trail_is_kept_if_nobody_wants_one(tmp_path: Any, stand_in: OfflineServer) -> None:
    tokens = tuple((name, token_of(name)) for name in NAMES)
    built = build(make_settings(tmp_path, stand_in.url, auth_tokens=tokens, audit_days=0))
    session = LocalClient(built, token=token_of("ann")).new_session()
    LocalClient(built, token=token_of("eye")).call("DELETE", f"/api/sessions/{session}", expect=403)
    assert LocalClient(built, token=token_of("ops")).call("GET", "/api/audit")["entries"] == []
    built.close()


PUT: Final = {"message": {"role": "user", "content": "hello"}}
LATER: Final[list[tuple[str, str, Any, str]]] = [
    ("POST", "messages", PUT, "add_message"),
    ("PATCH", "messages/0", PUT, "edit_message"),
    ("POST", "summaries", {"summary": "They said hello."}, "summarize"),
    ("POST", "undo", {}, "undo"),
    ("PATCH", "starred", {"starred": True}, "star"),
    ("PATCH", "tokens", {"input_tokens": 1, "output_tokens": 2}, "tokens"),
    ("POST", "fork", {}, ""),
]


@pytest.mark.parametrize(("method", "path", "sent", "action"), LATER)
def test_writes_without_a_run_are_for_the_owner_and_in_the_trail(
    ann: LocalClient,
    bob: LocalClient,
    ops: LocalClient,
    eye: LocalClient,
    *,
    method: str,
    path: str,
    sent: Any,
    action: str,
) -> None:
    session = ann.new_session()
    ann.call("POST", f"/api/sessions/{session}/messages", PUT, expect=201)
    before = ann.session(session)
    route = f"/api/sessions/{session}/{path}"
    bob.call(method, route, sent, expect=404)
    eye.call(method, route, sent, expect=403)
    bob.call("GET", f"/api/sessions/{session}/status", expect=404)
    assert ann.session(session) == before
    answer = ann.ask(method, route, sent)
    assert answer.status_code in (200, 201)
    noted = session if action else answer.get_json()["id"]
    assert trail(ops, f"session={noted}")[-1] == ("ann", "user", action or "fork")


@pytest.mark.parametrize(("name", "role"), [("ann", "user"), ("ops", "operator"), ("eye", "readonly")])
def test_everybody_is_told_who_he_is(guarded: Server, name: str, role: str) -> None:
    told = LocalClient(guarded, token=token_of(name)).call("GET", "/api/me")
    assert told == {"name": name, "role": role}


def test_without_tokens_everybody_is_an_operator(server: Server) -> None:
    assert LocalClient(server).call("GET", "/api/me") == {"name": "", "role": "operator"}
