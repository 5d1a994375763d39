"""The log: every line says whose it is, nobody's words are in it, and no secret ever."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools.shell import ShellToolset
from app.agent.toolset import Outcome
from app.factory import Server, build
from app.logs import HumanFormatter, JsonFormatter, configuration, log_context
from app.runtime.request_context import RequestContext
from app.telemetry.tracing import Tracing
from tests.conftest import StartBaton, make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.tools import instead_of
from tests.harness.wire import Client

WORDS = "the-words-of-the-conversation"
TOKEN = "a-token-that-nobody-may-read"
KEY = "a-key-that-nobody-may-read"


class Lines:
    """The logged lines, in both styles."""

    def __init__(self) -> None:
        self.human = io.StringIO()
        self.json = io.StringIO()

    def entries(self, logger: str = "") -> list[dict[str, Any]]:
        parsed = [json.loads(line) for line in self.json.getvalue().splitlines()]
        return [entry for entry in parsed if entry["logger"].startswith(logger)]

    def text(self) -> str:
        return self.human.getvalue() + self.json.getvalue()


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[Lines]:
    """Everything from INFO on that any logger says."""
    collected = Lines()
    root = logging.getLogger()
    handlers = [logging.StreamHandler(collected.human), logging.StreamHandler(collected.json)]
    for handler, formatter in zip(handlers, (HumanFormatter(), JsonFormatter()), strict=True):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield collected
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)


@pytest.fixture
def broken(tmp_path: Path, model: OfflineServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose list of sessions does not work."""
    built = build(make_settings(tmp_path, model.url))

    def fail(**_: Any) -> Any:
        raise RuntimeError(f"internal: {WORDS}")

    monkeypatch.setattr(built.store.sessions, "summaries", fail)
    yield built
    built.close()


def test_every_line_of_a_run_says_which_session_and_run_it_belongs_to(server: Server, lines: Lines) -> None:
    client = LocalClient(server)
    session = client.new_session()
    with client.run(session, "[say hello]") as stream:
        stream.rest()
    client.wait_until_free(session)
    (run,) = client.call("GET", "/api/runs")
    eventually(lambda: len(lines.entries("app.runtime")) >= 2, "the run has said that it ended")
    entries = lines.entries("app.runtime")
    assert [entry["message"] for entry in entries] == ["run started by agent plain/root", "run finished"]
    assert {(entry["session"], entry["run"]) for entry in entries} == {(session, run["id"])}
    for line in lines.human.getvalue().splitlines():
        assert line.endswith(f" session={session} run={run['id']}")


def test_what_a_run_and_its_tools_log_says_which_request_they_come_from(
    server: Server, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> Outcome:
        raise RuntimeError("a bug")

    instead_of(monkeypatch, ShellToolset, "shell", break_down)
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    text = '[call shell {"cmd":"true"}][then][say done]'
    with client.run(session, text, agent="tools", headers={"X-Request-ID": "the-request"}) as stream:
        stream.rest()
    client.wait_until_free(session)
    told = [entry for entry in lines.entries("app") if entry.get("session") == session]
    assert {entry["logger"] for entry in told} >= {"app.runtime.loop_driver", "app.agent.toolset"}
    assert {entry.get("request") for entry in told} == {"the-request"}


def test_what_is_logged_of_a_title_says_which_request_it_comes_from(
    tmp_path: Path, model: OfflineServer, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    built = build(make_settings(tmp_path, model.url, titles=True))
    monkeypatch.setattr(built.store.sessions, "set_title", break_down)
    client = LocalClient(built)
    session = client.new_session()
    with client.run(session, "[say hello]", headers={"X-Request-ID": "the-request"}) as stream:
        stream.rest()
    eventually(lambda: not built.titles.under_way, "the title's thread has ended")
    client.wait_until_free(session)
    built.close()
    (entry,) = lines.entries("app.runtime.titles")
    assert (entry.get("request"), entry.get("session")) == ("the-request", session)


def test_a_run_that_another_run_begins_comes_from_no_request() -> None:
    with log_context(request="r"):
        assert RequestContext.of_this_thread(Tracing()).fields == {"request": "r"}
        with log_context(session="s", run="the one before"):
            assert RequestContext.of_this_thread(Tracing()).fields == {}


def test_a_line_of_a_request_says_which_and_the_next_one_is_not_told(broken: Server, lines: Lines) -> None:
    client = LocalClient(broken)
    for name in ("first", "second"):
        client.call("GET", "/api/sessions", expect=500, headers={"X-Request-ID": name})
    logging.getLogger("app").info("between requests")
    requests = [entry.get("request") for entry in lines.entries("app")]
    assert requests == ["first", "second", None]


def test_an_unforeseen_failure_is_told_to_the_log_and_not_to_the_client(broken: Server, lines: Lines) -> None:
    response = LocalClient(broken).ask("GET", "/api/sessions")
    body = response.get_json()
    assert response.status_code == 500
    assert body == {
        "message": "Internal Server Error",
        "error": "Internal Server Error",
        "code": "internal",
        "request_id": response.headers["X-Request-ID"],
    }
    (entry,) = lines.entries("app")
    assert entry["level"] == "ERROR"
    assert entry["request"] == body["request_id"]
    assert f"RuntimeError: internal: {WORDS}" in entry["exception"]
    assert "Traceback" in lines.human.getvalue()


def test_what_is_said_in_a_conversation_is_not_logged(server: Server, lines: Lines) -> None:
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    for text in (
        f"[think {WORDS}][say {WORDS}]",
        f'[call shell {{"cmd":"echo {WORDS}; exit 3"}}][then][say done]',
        f'[call shell {{"no_such_argument":"{WORDS}"}}][then][say done]',
        f'[call no_such_tool {{"a":"{WORDS}"}}][then][say done]',
        f"[fail 400] {WORDS}",
    ):
        with client.run(session, text, agent="tools") as stream:
            stream.rest()
        client.wait_until_free(session)
    client.call("PATCH", f"/api/sessions/{session}/title", {"title": WORDS})
    client.call("POST", f"/api/sessions/{session}/agent/plain", {"content": WORDS}, expect=422)
    client.call("GET", f"/api/sessions/{WORDS}", expect=404)
    eventually(lambda: len(lines.entries("app.runtime")) >= 10, "each run has said that it ended")
    assert WORDS not in lines.text()


def test_a_statement_that_failed_is_logged_without_what_was_to_be_stored(
    server: Server, lines: Lines
) -> None:
    """The library that speaks to the database would repeat the values."""
    client = LocalClient(server)
    session = client.new_session()
    trouble = "CREATE TRIGGER trouble BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'trouble'); END"
    with server.store.database.writing() as connection:
        connection.exec_driver_sql(trouble)
    response = client.try_run(session, WORDS)
    assert (response.status_code, response.get_json()["message"]) == (500, "Internal Server Error")
    assert "INSERT INTO messages" in lines.text()
    assert WORDS not in lines.text()


def test_a_line_cannot_be_forged() -> None:
    forged = f"nice\n2026-01-01T00:00:00Z ERROR app {WORDS}\r\nmore\u2028and more"
    record = logging.LogRecord("app", logging.INFO, "", 0, "%s", (forged,), None)
    with log_context(session="s"):
        human, parsed = HumanFormatter().format(record), json.loads(JsonFormatter().format(record))
    first, *others = human.splitlines()
    assert first.endswith("INFO app nice")
    assert all(line.startswith("  ") for line in others)
    assert "\n" not in JsonFormatter().format(record)
    assert (parsed["message"], parsed["session"]) == (forged, "s")


@pytest.mark.parametrize("style", ["human", "json"])
def test_the_configuration_is_one_that_logging_takes(style: str) -> None:
    configured = configuration(level="INFO", style=style)
    assert configured["root"]["level"] == "INFO"
    assert configured["formatters"]["line"]["()"] is (JsonFormatter if style == "json" else HumanFormatter)


def test_a_real_server_logs_json_and_no_secret_even_when_it_logs_everything(start_baton: StartBaton) -> None:
    baton = start_baton(
        settings={
            "BATON_LOG_STYLE": "json",
            "BATON_LOG_LEVEL": "DEBUG",
            "BATON_AUTH_TOKENS": f"alice:{TOKEN}",
            "ANTHROPIC_API_KEY": KEY,
        }
    )
    client = Client(baton.url, token=TOKEN)
    session = client.new_session()
    client.say(session, "[say hello]")
    client.say(session, "[fail 401]")
    refused = Client(baton.url, token=f"{TOKEN}x")
    answers = [refused.get("/api/sessions").text, client.get("/api/agents/plain").text]
    client.close()
    refused.close()
    assert baton.stop() == 0
    entries = [json.loads(line) for line in baton.log().splitlines()]
    assert {"gunicorn.error", "app.runtime.manager", "app.web.application"} <= {e["logger"] for e in entries}
    assert [e for e in entries if e.get("session") == session and e.get("run")]
    for text in (baton.log(), *answers):
        assert TOKEN not in text
        assert KEY not in text
