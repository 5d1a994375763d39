"""Queries that make no sense, or would harm a database, are refused at this door: never an error of the server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.managed.test_door import HEADERS

NOBODY = "011111111111111111111111"


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, database_url=database_url))
    yield built
    built.close()


def cursor(value: Any) -> str:
    return "page_" + base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


PLACES = [
    ["x", "id"],
    [1e300, "id"],
    [-1e300, "id"],
    [1, "a\0b"],
    [1, 2],
    [True, []],
    [None, None],
    {},
    "x",
    7,
]
CURSORS = [cursor(place) for place in PLACES] + ["page_", "page_%%%", "page_ü", "x"]
OF_SESSIONS = [cursor([*place, "desc", False]) for place in PLACES if isinstance(place, list)]
OF_EVENTS = [cursor([*place, "asc"]) for place in PLACES if isinstance(place, list)]
QUERIES = [
    "types[]=a%00",
    "types[]=%FF",
    "agent_id=a%00",
    "agent_id=x",
    "statuses[]=a%00",
    "limit=9999999999999",
]
TIMES = [
    "created_at[gt]=x",
    "created_at[gte]=2026-01-01",
    "created_at[lt]=%00",
    "created_at[lte]=99999-01-01",
]


def test_a_bad_query_is_refused_with_400(server: Server) -> None:
    http = server.app.test_client()

    def made(path: str, **body: Any) -> str:
        return str(http.post(path, json=body, headers=HEADERS).get_json()["id"])

    agent = made("/v1/agents", name="a", model="m")
    session = made("/v1/sessions", agent=agent, environment_id=made("/v1/environments", name="e"))
    lists = {
        "/v1/agents": CURSORS,
        f"/v1/agents/{agent}/versions": CURSORS,
        "/v1/environments": CURSORS,
        "/v1/skills": CURSORS,
        "/v1/vaults": CURSORS,
        f"/v1/vaults/{made('/v1/vaults', display_name='v')}/credentials": CURSORS,
        "/v1/sessions": [*CURSORS, *OF_SESSIONS],
        f"/v1/sessions/{session}/events": [*CURSORS, *OF_EVENTS],
    }
    for path, cursors in lists.items():
        for bad in cursors:
            answer = http.get(path, query_string={"page": bad}, headers=HEADERS)
            assert answer.status_code == 400, (path, bad, answer.get_json())
            assert answer.get_json()["error"]["type"] == "invalid_request_error"
    for path in ("/v1/sessions", f"/v1/sessions/{session}/events"):
        for query in (*QUERIES, *TIMES):
            answer = http.get(f"{path}?{query}", headers=HEADERS)
            assert answer.status_code < 500, (path, query)
            named = query.partition("=")[0] not in ("types[]", "agent_id", "statuses[]")
            assert answer.status_code == 400 or not named, (path, query)


@pytest.mark.parametrize("strange", ["a%00b", "%FF", "..%2f..%2fx", f"sesn_{NOBODY}", "sesn_01" + "z" * 22])
def test_a_strange_id_is_refused_or_not_there(server: Server, strange: str) -> None:
    http = server.app.test_client()
    kinds = ("sessions", "agents", "environments", "skills", "vaults")
    for path in (f"/v1/{kind}/{strange}" for kind in kinds):
        for end in (
            "",
            "/archive",
            "/events",
            "/versions",
            "/threads",
            "/threads/x/events",
            "/credentials",
            "/credentials/x",
        ):
            for method in ("GET", "POST", "DELETE"):
                answer = http.open(path + end, method=method, headers=HEADERS, json={})
                assert 400 <= answer.status_code < 500, (method, path + end, answer.status_code)
