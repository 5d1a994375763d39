"""Requests for memory stores that are refused, and the words of each refusal."""

from __future__ import annotations

from typing import Any

from app.factory import Server
from tests.managed.conftest import Sdk
from tests.managed.test_bad_queries import PLACES, cursor
from tests.managed.test_door import HEADERS

PATHS = [
    ("a", "must begin with /"),
    ("", "must begin with /"),
    ("/", "a segment can't be empty"),
    ("/a/", "a segment can't be empty"),
    ("/a//b", "a segment can't be empty"),
    ("/a/../b", "a segment can't be empty, . or .."),
    ("/./b", "a segment can't be empty, . or .."),
    ("/a\0", "can't hold control"),
    ("/a\n", "can't hold control"),
    ("/a\u200b", "can't hold control or format"),
    ("/a\u2028", "can't hold control or format"),
    ("/u\u0308", "must be in Unicode Normalization Form C"),
    ("/a" * 21, "has more than 20 segments"),
    ("/" + "ü" * 512, "has more than 1024 bytes"),
]
BODIES: list[tuple[str, Any, str]] = [
    ("", {}, "name: field is required"),
    ("", {"name": ""}, "name: string should have at least 1 character"),
    ("", {"name": "x" * 256}, "name: string should have at most 255"),
    ("", {"name": "a\tb"}, "name: can't hold control characters"),
    ("", {"name": "x", "description": "x" * 1025}, "description: string should have at most 1024"),
    ("", {"name": "x", "metadata": {"a": 1}}, "metadata.a: input should be a valid string"),
    ("", {"name": "x", "scope": "y"}, "scope: unknown field"),
    ("", [], "the body must be a JSON object"),
    ("/STORE", {"name": 1}, "name: input should be a valid string"),
    ("/STORE", {"id": "x"}, "id: unknown field"),
    ("/STORE/memories", {"path": "/a"}, "content: field is required"),
    ("/STORE/memories", {"content": ""}, "path: field is required"),
    ("/STORE/memories", {"path": "/a", "content": "a\0b"}, "content: a NUL character"),
    ("/STORE/memories", {"path": "/a", "content": "ü" * 51_201}, "content: it has 102402 bytes"),
    ("/STORE/memories", {"path": "/a", "content": ["x"]}, "content: input should be a valid string"),
    ("/STORE/memories?view=all", {"path": "/a", "content": ""}, 'view: "all" is not a valid value'),
    ("/STORE/memories/MEMORY", {"precondition": {"type": "etag"}}, "precondition.type"),
    ("/STORE/memories/MEMORY", {"precondition": {"type": "content_sha256"}}, "content_sha256: field is"),
    (
        "/STORE/memories/MEMORY",
        {"precondition": {"type": "content_sha256", "content_sha256": "AB"}},
        "precondition.content_sha256: string should match",
    ),
    ("/STORE/memories/MEMORY", {"content": "x" * 102_401}, "content: it has 102401 bytes"),
    *(("/STORE/memories", {"path": path, "content": ""}, f"path: {words}") for path, words in PATHS),
    *(("/STORE/memories/MEMORY", {"path": path}, f"path: {words}") for path, words in PATHS),
]
QUERIES = [
    ("/STORE/memories?depth=2", "depth: must be 0 or 1"),
    ("/STORE/memories?depth=x", "depth: must be 0 or 1"),
    ("/STORE/memories?path_prefix=a/", "path_prefix: must begin and end with /"),
    ("/STORE/memories?path_prefix=/a", "path_prefix: must begin and end with /"),
    ("/STORE/memories?path_prefix=/a%00/", "path_prefix: must begin and end with /"),
    ("/STORE/memories?limit=101", "limit: must be a number from 1 to 100"),
    ("/STORE/memories?view=x", 'view: "x" is not a valid value'),
    ("/STORE/memories/MEMORY?view=x", 'view: "x" is not a valid value'),
    ("/STORE/memory_versions?operation=read", 'operation: "read" is not a valid value'),
    ("/STORE/memory_versions?memory_id=x", "Invalid memory ID."),
    ("/STORE/memory_versions?session_id=x", "Invalid session ID."),
    ("/STORE/memory_versions?created_at[gte]=x", "created_at[gte]: must be a time"),
    ("/STORE/memory_versions/x", "Invalid memory version ID."),
    ("/STORE/memories/x", "Invalid memory ID."),
    ("/x", "Invalid memory store ID."),
    ("/x/memories", "Invalid memory store ID."),
]


def test_what_makes_no_sense_is_refused_by_its_name(sdk: Sdk, laptop: Server) -> None:
    store = sdk.beta.memory_stores.create(name="Notes").id
    memory = sdk.beta.memory_stores.memories.create(store, path="/kept", content="x").id
    http = laptop.app.test_client()

    def place(path: str) -> str:
        return f"/v1/memory_stores{path.replace('STORE', store).replace('MEMORY', memory)}"

    for path, body, words in BODIES:
        answer = http.post(place(path), json=body, headers=HEADERS)
        assert (answer.status_code, words) == (400, words), (path, body, answer.get_json())
        assert words in answer.get_json()["error"]["message"], (path, body, answer.get_json())
    for path, words in QUERIES:
        answer = http.get(place(path), headers=HEADERS)
        assert (answer.status_code, words in answer.get_json()["error"]["message"]) == (400, True), path
    expected = http.delete(place("/STORE/memories/MEMORY?expected_content_sha256=X"), headers=HEADERS)
    assert expected.status_code == 400
    bad = [
        *map(cursor, PLACES),
        cursor(["a"]),
        cursor(["/a\0"]),
        cursor(["/" * 4000]),
        "page_",
        "x",
        "page_ü",
    ]
    for one in bad:
        answer = http.get(place("/STORE/memories"), query_string={"page": one}, headers=HEADERS)
        assert (answer.status_code, one) == (400, one)
        for path in ("", "/STORE/memory_versions"):
            answer = http.get(place(path), query_string={"page": one}, headers=HEADERS)
            assert (answer.status_code, one) == (400, one)
    odd = http.get(
        place("/STORE/memory_versions?api_key_id=apikey_a%00&beta=true&nothing=1"), headers=HEADERS
    )
    assert (odd.status_code, odd.get_json()["data"]) == (200, [])
    assert [one.path for one in sdk.beta.memory_stores.memories.list(store)] == ["/kept"]
