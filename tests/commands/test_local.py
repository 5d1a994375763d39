"""The commands for the machine itself: serve, check, db, and what the doctor sees."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import Table, insert

from anthropic_standin.standin_server import OfflineServer
from app.commands import exits
from app.selfcheck import server_check
from app.store import managed_tables, tables
from app.store.engine import Database
from app.store.store import Pruned, Store
from baton_client import BatonClient
from tests.commands.conftest import MAIN, Call, environment
from tests.conftest import AGENTS
from tests.harness.process import ROOT, BatonProcess, eventually, free_port
from tests.harness.proxy import BreakingProxy
from tests.store.actors import new_session

DAY = 86_400
WRONG = "agents:\n  root:\n    model: gpt-5\n"


def test_check_says_where_the_mistake_is(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    done = call("check", str(file))
    assert done.code == exits.FAILED
    assert done.out.startswith(f"{file}:3:5: agents.root.model: ")
    [problem] = json.loads(call("check", str(tmp_path), "--json").out)["problems"]
    assert (problem["source"], problem["line"], problem["column"]) == (str(file), 3, 5)


def test_check_is_content_with_the_projects_own_agents(call: Call) -> None:
    done = call("check", BATON_AGENTS=str(ROOT / "agents"))
    assert (done.code, done.out) == (exits.OK, "")


def test_the_database_is_made_pruned_and_vacuumed(call: Call, empty_url: str) -> None:
    settings = {"BATON_DATABASE_URL": empty_url, "BATON_AUDIT_DAYS": "7"}
    made = json.loads(call("db", "upgrade", "--json", **settings).out)
    assert made["before"] is None
    assert call("db", "upgrade", **settings).out == f"the schema is {made['after']} already\n"
    put_two_rows_into_what_grows(empty_url)
    every_old_row = dict.fromkeys((field.name for field in fields(Pruned)), 1)
    assert json.loads(call("db", "prune", "--json", **settings).out) == every_old_row
    assert call("db", "prune", **settings).out.startswith(
        "deleted 0 of event_segments, 0 of idempotency_keys"
    )
    assert call("db", "vacuum", **settings).code == exits.OK
    key = base64.urlsafe_b64encode(bytes(32)).decode()
    assert "of 0 credentials and 0 repositories" in call("db", "reseal", **settings, BATON_VAULT_KEY=key).out
    assert "BATON_VAULT_KEY is not set" in call("db", "reseal", **settings).err


def put_two_rows_into_what_grows(database_url: str) -> None:
    """A new one and a very old one into each table."""
    with closing(Database(database_url)) as database:
        mark = {
            "session_id": new_session(Store(database, lease_seconds=30)).id,
            "run_id": "",
            "request_id": "",
        }
        with database.writing() as connection:
            for number, at in enumerate((time.time() + 60, time.time() - 400 * DAY)):
                who, created = {"owner": f"ann{number}"}, {"created_at": at}
                rows: dict[Table, dict[str, object]] = {
                    tables.event_segments: {"first": number, "last": 9, "frames": b"", **created},
                    tables.idempotency_keys: {"key": "", "request": "", **who, **created},
                    tables.waiting_requests: {"id": str(number), "process": "", "since": at, "seen_at": at},
                    tables.audit: {"at": at, "who": "", "role": "", "action": "", "detail": ""},
                    tables.request_allowances: {"full_at": at, **who},
                    tables.spending: {"day": int(at / DAY), "cost": 1.0, **who},
                    tables.scheduled_jobs: {"name": str(number), "due_at": at},
                    managed_tables.webhook_deliveries: {
                        "id": str(number),
                        "type": "",
                        "subject_json": "{}",
                        "attempts": 0,
                        "due_at": at,
                        **created,
                    },
                    tables.queued_messages: {
                        "id": str(number),
                        "number": number,
                        "kind": "steer",
                        "content_json": "[]",
                        "created_by": "",
                        "taken_by": "",
                        **created,
                    },
                    managed_tables.files: {
                        "id": str(number),
                        "content_id": "",
                        "filename": "",
                        "mime_type": "",
                        "size_bytes": 0,
                        "downloadable": False,
                        "expires_at": at,
                        **who,
                        **created,
                    },
                    managed_tables.file_contents: {
                        "id": str(number),
                        "size_bytes": 0,
                        "uses": 0,
                        **who,
                        **created,
                    },
                    managed_tables.skills: {
                        "id": str(number),
                        "shared": False,
                        "name": "",
                        "display_name": "",
                        **who,
                    }
                    | {"updated_at": at, **created},
                    managed_tables.skill_versions: {
                        "id": str(number),
                        "skill_id": str(number),
                        "number": number,
                    }
                    | {"description": "", "archived_at": at if number else None, **created},
                    managed_tables.memory_stores: {
                        "id": str(number),
                        "shared": False,
                        "definition_json": "{}",
                        **who,
                    }
                    | {"updated_at": at, **created},
                    managed_tables.memory_versions: {
                        "id": str(number),
                        "store_id": str(number),
                        "number": 1,
                        "memory_id": "",
                        "operation": "modified",
                        "by_key": "",
                        "by_session": "",
                        "redacted_by": "",
                        "replaced_at": at,
                        **created,
                    },
                }
                for table, row in rows.items():
                    known = {name: value for name, value in mark.items() if name in table.c}
                    connection.execute(insert(table).values(known | row))


def test_a_wrong_setting_is_named(call: Call) -> None:
    done = call("db", "upgrade", BATON_DATABASE_URL="mysql://x")
    assert done.code == exits.FAILED
    assert "BATON_DATABASE_URL" in done.err


def test_serve_serves(tmp_path: Path, model: OfflineServer) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = environment(
        url,
        BATON_BIND=f"127.0.0.1:{port}",
        BATON_AGENTS=str(AGENTS),
        BATON_TOKEN="is-for-the-client",
        ANTHROPIC_API_KEY="test-key-of-the-tests",
        ANTHROPIC_BASE_URL=model.url,
    )
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(
        [*MAIN, "serve", "--json"], cwd=tmp_path, env=settings, stdout=log, stderr=log, start_new_session=True
    )
    try:
        with BatonClient(url, retry_seconds=30) as baton:
            assert {agent["name"] for agent in baton.agents()} >= {"plain", "tools"}
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()
    assert all(json.loads(line) for line in (tmp_path / "log").read_text().splitlines())


def test_the_doctor_finds_everything_in_order(
    call: Call, process: BatonProcess, model: OfflineServer
) -> None:
    done = call(
        "doctor",
        "--json",
        BATON_AGENTS=str(AGENTS),
        BATON_DATABASE_URL=f"sqlite:///{process.directory / 'baton.db'}",
        ANTHROPIC_API_KEY="test-key-of-the-tests",
        ANTHROPIC_BASE_URL=model.url,
    )
    found = {one["subject"]: one["state"] for one in json.loads(done.out)}
    assert done.code == exits.OK, done.out
    here = {"settings", "database", "agents", "sandbox", "model"}
    assert set(found) == here | {"server", "agents there", "streams"}
    assert {state for subject, state in found.items() if subject != "model"} == {"ok"}


def test_the_doctor_says_what_is_wrong_here(call: Call, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    done = call(
        "doctor",
        "--no-there",
        "--json",
        BATON_AGENTS=str(tmp_path),
        BATON_DATABASE_URL=f"sqlite:///{tmp_path / 'missing.db'}",
        ANTHROPIC_API_KEY="a-key",
        ANTHROPIC_BASE_URL=f"http://127.0.0.1:{free_port()}",
    )
    assert done.code == exits.FAILED
    found = {one["subject"]: one["state"] for one in json.loads(done.out)}
    assert found.pop("sandbox") == "ok"
    assert found == {"settings": "ok", "database": "warning", "agents": "failed", "model": "failed"}
    assert not (tmp_path / "missing.db").exists(), "looking makes nothing"


def test_the_doctor_finds_what_a_start_would_find(call: Call, tmp_path: Path) -> None:
    settings = {
        "BATON_DATABASE_URL": "sqlite:////proc/baton.db",
        "BATON_MAX_STREAMS": "10",
        "BATON_THREADS": "12",
    }
    done = call("doctor", "--no-there", "--json", BATON_AGENTS=str(AGENTS), **settings)
    found = {one["subject"]: one for one in json.loads(done.out)}
    assert (done.code, set(found)) == (
        exits.FAILED,
        {"settings", "BATON_DATABASE_URL", "BATON_THREADS", "agents", "sandbox", "model"},
    )
    assert found["BATON_DATABASE_URL"]["state"] == "failed"
    assert found["BATON_DATABASE_URL"]["advice"] == "let this user write there, or name another place"
    assert (found["BATON_THREADS"]["state"], found["BATON_THREADS"]["advice"]) == (
        "warning",
        "leave 24, or set 0",
    )


def test_the_doctor_sees_a_proxy_that_holds_streams_back(
    call: Call, process: BatonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_check, "FIRST_BYTE_SECONDS", 0.5)
    with BreakingProxy(process.port) as proxy:
        proxy.holds_streams_back = True
        done = call("--url", proxy.url, "doctor", "--no-here", "--json")
    assert done.code == exits.FAILED
    found = {one["subject"]: one for one in json.loads(done.out)}
    assert found["server"]["state"] == "ok"
    assert found["streams"]["state"] == "failed"
    assert "holds it back" in found["streams"]["text"]


def test_the_doctors_session_is_gone_afterwards(call: Call, process: BatonProcess) -> None:
    with BatonClient(process.url) as baton:
        before = {one["id"] for one in baton.sessions()}
        call("doctor", "--no-here")
        eventually(lambda: {one["id"] for one in baton.sessions()} == before, "the session is deleted")
