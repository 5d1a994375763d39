"""Files, through the official SDK and by plain HTTP: uploaded, listed, downloaded, deleted, expired."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from sqlalchemy import func, select, update

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed_ids import new_id
from app.store import managed_tables, tables
from app.store.engine import Database
from app.store.file_store import CHUNK, FileFacts
from app.store.resource_store import NewResource
from tests.conftest import make_settings
from tests.managed.conftest import Sdk
from tests.managed.sdk_shapes import complaints
from tests.managed.test_door import ANN
from tests.store.actors import new_session

NOWHERE = "file_011111111111111111111111"
LARGEST = 3 * CHUNK
VERSIONS = ("2023-06-01", "2026-10-21")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    """Small files only, and two users."""
    tokens = [("olga/operator", "olga-has-this-token"), ("rita/readonly", "rita-has-this-token")]
    tokens += [("ann/user", "ann-has-this-token"), ("ben/user", "ben-has-this-token")]
    more = {"auth_tokens": tokens, "max_file_bytes": LARGEST, "max_file_bytes_per_name": 2 * LARGEST}
    server = build(make_settings(tmp_path_factory.mktemp("company"), stand_in.url, **more))
    yield server
    server.close()


def output(server: Server, data: bytes, *, owner: str = "", name: str = "made.txt") -> str:
    """A file that can be downloaded, as those are that sessions make."""
    kept = server.store.files.keep([data[at : at + CHUNK] for at in range(0, len(data), CHUNK)], owner=owner)
    facts = FileFacts(new_id("file"), owner, name, "text/plain", downloadable=True)
    return server.store.files.add(kept, facts).id


def rows(database: Database, *names: str) -> list[int]:
    with database.reading() as connection:
        return [
            connection.execute(select(func.count()).select_from(tables.metadata.tables[name])).scalar_one()
            for name in names
        ]


def test_a_file_is_uploaded_shown_and_deleted(sdk: Sdk, laptop: Server) -> None:
    before = rows(laptop.store.database, "files", "file_contents", "file_chunks")
    made = sdk.checked(sdk.beta.files.upload(file=("notes.md", b"# Notes\n", "text/markdown")))
    assert sdk.sent == {
        "id": made.id,
        "type": "file",
        "filename": "notes.md",
        "mime_type": "text/markdown",
        "size_bytes": 8,
        "created_at": sdk.sent["created_at"],
        "downloadable": False,
        "expires_at": None,
    }
    assert sdk.checked(sdk.beta.files.retrieve_metadata(made.id)) == made
    assert sdk.checked(sdk.files.retrieve_metadata(made.id)).filename == "notes.md"
    assert sdk.beta.files.retrieve_metadata(made.id, betas=["files-api-2025-04-14"]) == made
    with pytest.raises(anthropic.BadRequestError, match="is not downloadable"):
        sdk.files.download(made.id)
    assert sdk.sent["error"]["details"] == {"error_code": "file_not_downloadable"}
    gone = sdk.checked(sdk.files.delete(made.id))
    assert (gone.id, gone.type) == (made.id, "file_deleted")
    for call in (sdk.files.retrieve_metadata, sdk.beta.files.download, sdk.beta.files.delete):
        with pytest.raises(anthropic.NotFoundError, match="File not found"):
            call(made.id)
    assert rows(laptop.store.database, "files", "file_contents", "file_chunks") == before


def test_a_long_file_comes_back_in_pieces_as_it_was(sdk: Sdk, laptop: Server) -> None:
    data = bytes(range(256)) * (CHUNK // 256 * 2) + b"end"
    assert sdk.files.upload(file=("long.bin", io.BytesIO(data))).size_bytes == len(data)
    made = output(laptop, data, name='a "b" ü.txt')
    answer = sdk.files.download(made)
    assert answer.read() == data
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%22b%22%20%C3%BC.txt"
    assert sdk.beta.files.download(output(laptop, b"")).read() == b""


@pytest.mark.parametrize(
    ("given", "filename", "mime_type"),
    [
        (("../etc/a.csv", b"x"), "a.csv", "text/csv"),
        (("C:\\temp\\b.PDF", b"x"), "b.PDF", "application/pdf"),
        (("x" * 500, b"x"), "x" * 500, "application/octet-stream"),
        (("ü 漢.json", b"{}", "text/plain; charset=utf-8"), "ü 漢.json", "text/plain"),
        (("a.png", b"x", "not a type"), "a.png", "image/png"),
    ],
)
def test_a_file_has_the_last_part_of_its_name(sdk: Sdk, given: Any, filename: str, mime_type: str) -> None:
    made = sdk.files.upload(file=given)
    assert (made.filename, made.mime_type) == (filename, mime_type)


def upload(server: Server, *, headers: dict[str, str] | None = None, **form: Any) -> Any:
    sent = {**ANN, "anthropic-version": "2023-06-01", **(headers or {})}
    return server.app.test_client().post(
        "/v1/files", headers=sent, data=form, content_type="multipart/form-data"
    )


def test_a_file_without_a_name_gets_one(company: Server) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename=""\r\nContent-Type: application/pdf'
    form = head + b"\r\n\r\n1\r\n--x--"
    headers = {**ANN, "anthropic-version": "2026-10-21", "Content-Type": "multipart/form-data; boundary=x"}
    answer = company.app.test_client().post("/v1/files", headers=headers, data=form)
    assert answer.get_json()["filename"] == "unnamed.pdf"


def test_what_is_no_upload_is_refused(company: Server) -> None:
    def file(name: str = "a.txt", data: bytes = b"x") -> Any:
        return io.BytesIO(data), name

    before = rows(company.store.database, "files", "file_contents")
    for words, form in (
        ("file: field is required", {}),
        ("file: must be a file with a filename", {"file": "text"}),
        ("purpose: unknown field", {"file": file(), "purpose": "agent"}),
        ("more: unknown field", {"file": file(), "more": file()}),
        ("file: it may be given once", {"file": [file(), file()]}),
        ("500 characters at most", {"file": file("x" * 501)}),
        ("characters that are not allowed", {"file": file("a\x7fb")}),
        ("characters that are not allowed", {"file": file("x/..")}),
        ("expires_in_seconds: must be a number", {"file": file(), "expires_in_seconds": file()}),
        *(
            (
                "expires_in_seconds: must be a whole number from 3600 to 7776000",
                {"file": file(), "expires_in_seconds": bad},
            )
            for bad in ("3599", "7776001", "", "x", "1e4", "-3600", "٣٦٠٠", "9" * 5000)
        ),
    ):
        answer = upload(company, **form)
        assert answer.status_code == 400, (form, answer.get_json())
        assert words in answer.get_json()["error"]["message"]
    plain = company.app.test_client()
    headers = {**ANN, "anthropic-version": "2023-06-01"}
    for kind, data in (("application/json", b"{}"), ("multipart/form-data", b"x"), ("", b"")):
        answer = plain.post("/v1/files", headers={**headers, "Content-Type": kind}, data=data)
        assert answer.status_code == 400, (kind, data)
    assert rows(company.store.database, "files", "file_contents") == before


def test_a_file_that_is_too_long_leaves_nothing(company: Server) -> None:
    with Sdk(company, "olga-has-this-token") as olga:
        before = rows(company.store.database, "file_chunks")
        assert olga.files.upload(file=("a", b"x" * LARGEST)).size_bytes == LARGEST
        for size in (LARGEST + 1, LARGEST + 100_000):
            with pytest.raises(anthropic.RequestTooLargeError):
                olga.files.upload(file=("a", b"x" * size))
            assert olga.sent["error"]["type"] == "request_too_large"
        assert olga.files.upload(file=("a", b"x" * (LARGEST - 1))).size_bytes == LARGEST - 1
        with pytest.raises(anthropic.BadRequestError, match="may hold"):
            olga.files.upload(file=("a", b"xx"))
        assert olga.sent["error"]["details"] == {"error_code": "storage_quota_exceeded"}
        assert rows(company.store.database, "file_chunks") == [before[0] + 6]


def test_a_file_is_for_its_owner_and_operators(company: Server) -> None:
    with (
        Sdk(company, "olga-has-this-token") as olga,
        Sdk(company, "ann-has-this-token") as ann,
        Sdk(company, "ben-has-this-token") as ben,
        Sdk(company, "rita-has-this-token") as rita,
    ):
        made = ann.files.upload(file=("a.txt", b"x"))
        assert olga.files.retrieve_metadata(made.id) == made
        assert made.id in [one.id for one in rita.files.list()]
        assert [one.id for one in ben.files.list()] == []
        assert list(ben.files.list(ids=[made.id])) == []
        for call in (ben.files.retrieve_metadata, ben.files.download, ben.files.delete):
            with pytest.raises(anthropic.NotFoundError):
                call(made.id)
        with pytest.raises(anthropic.PermissionDeniedError):
            rita.files.delete(made.id)
        with pytest.raises(anthropic.PermissionDeniedError):
            rita.files.upload(file=("a.txt", b"x"))
        olga.files.delete(made.id)


def test_lists_lead_from_page_to_page_in_both_forms(tmp_path: Path, stand_in: OfflineServer) -> None:
    server = build(make_settings(tmp_path, stand_in.url))
    with Sdk(server, "anything") as sdk:
        made = [sdk.files.upload(file=(f"{n}.txt", b"x")).id for n in range(5)]
        newest = [*reversed(made)]
        assert [one.id for one in sdk.files.list(limit=2)] == newest
        page = sdk.checked(sdk.files.list(limit=2))
        assert sdk.sent.keys() == {"data", "next_page"}
        assert page.next_page is not None
        assert page.next_page.startswith("page_")
        assert [one.id for one in sdk.files.list(ids=[made[0], NOWHERE, made[0], made[3]])] == [
            made[3],
            made[0],
        ]
        old = {"anthropic-version": "2023-06-01"}
        first = sdk.files.list(limit=2, extra_headers=old)
        assert sdk.sent.keys() == {"data", "has_more", "first_id", "last_id"}
        assert (sdk.sent["has_more"], sdk.sent["first_id"], sdk.sent["last_id"]) == (
            True,
            newest[0],
            newest[1],
        )
        sdk.files.list(extra_headers=old, extra_query={"after_id": newest[3], "limit": "2"})
        assert ([one["id"] for one in sdk.sent["data"]], sdk.sent["has_more"]) == (newest[4:], False)
        sdk.files.list(extra_headers=old, extra_query={"before_id": newest[3], "limit": "2"})
        assert ([one["id"] for one in sdk.sent["data"]], sdk.sent["has_more"]) == (newest[1:3], True)
        sdk.files.list(extra_headers=old, extra_query={"before_id": newest[0]})
        assert sdk.sent == {"data": [], "has_more": False, "first_id": None, "last_id": None}
        assert len(first.data) == 2
    server.close()


BAD = [
    "limit=0",
    "limit=1001",
    "limit=x",
    "page=x",
    "ids[]=x",
    f"ids[]={NOWHERE}&limit=2",
    f"ids[]={NOWHERE}&page=page_x",
    "&".join(f"ids[]={new_id('file')}" for _ in range(101)),
    "scope_id=x",
    "scope_id=",
]
BAD_OLD = ["after_id=x", f"after_id={NOWHERE}", f"before_id={NOWHERE}&after_id={NOWHERE}", "before_id="]


def test_bad_queries_and_ids_are_refused(laptop: Server) -> None:
    http = laptop.app.test_client()
    queries = [
        (version, query)
        for version in VERSIONS
        for query in BAD
        if (version, query) != (VERSIONS[0], "page=x")
    ]
    for version, query in [*queries, *((VERSIONS[0], query) for query in BAD_OLD)]:
        answer = http.get(f"/v1/files?{query}", headers={"anthropic-version": version})
        assert answer.status_code == 400, (version, query, answer.get_json())
    for strange in ("x", "a%00b", "%FF", "..%2f..%2fx", "file_01" + "z" * 22, "env_011111111111111111111111"):
        for end, method in (("", "GET"), ("", "DELETE"), ("/content", "GET")):
            answer = http.open(
                f"/v1/files/{strange}{end}", method=method, headers={"anthropic-version": "2023-06-01"}
            )
            assert 400 <= answer.status_code < 500, (strange, end, method)
    assert http.get("/v1/files").status_code == 400  # no version
    unknown = http.get("/v1/files?foo=bar", headers={"anthropic-version": VERSIONS[1]})
    assert unknown.status_code == 200


def test_an_expired_file_is_gone_and_swept(sdk: Sdk, laptop: Server) -> None:
    database = laptop.store.database
    made = sdk.checked(sdk.files.upload(file=("a.txt", b"x"), expires_in_seconds=3600))
    assert made.expires_at is not None
    assert round((made.expires_at - made.created_at).total_seconds()) == 3600
    with database.writing() as connection:
        connection.execute(
            update(managed_tables.files).where(managed_tables.files.c.id == made.id).values(expires_at=1.0)
        )
    with pytest.raises(anthropic.NotFoundError):
        sdk.files.download(made.id)
    assert sdk.sent["error"]["details"] == {"error_code": "file_expired"}
    assert made.id not in [one.id for one in sdk.files.list()]
    before = rows(database, "files", "file_contents", "file_chunks")
    assert laptop.store.prune().files == 1
    assert rows(database, "files", "file_contents", "file_chunks") == [count - 1 for count in before]
    assert list(complaints({"id": "x"}, type(made))) != []


def test_contents_go_with_their_last_file_and_with_their_session(
    tmp_path: Path, database_url: str, model: OfflineServer
) -> None:
    server = build(make_settings(tmp_path, model.url, database_url=database_url))
    store, database = server.store, server.store.database
    session = new_session(store).id
    kept = store.files.keep([b"a" * CHUNK, b"b"], owner="ann")
    own = store.files.add(kept, FileFacts(new_id("file"), "ann", "a", "text/plain"))
    store.files.add(kept, FileFacts(new_id("file"), "ann", "a", "text/plain", session_id=session))
    store.files.delete(own.id, owner="ann")
    assert rows(database, "files", "file_contents", "file_chunks") == [1, 1, 2]
    before: str | None = None
    for text in (b"c", b"d"):
        facts = FileFacts(new_id("file"), "ann", "c", "text/plain", session_id=session, output_path="c")
        kept = store.files.keep([text], owner="ann")
        before = store.resources.add_output(kept, facts, instead_of=before).id
    assert [b"".join(store.files.pieces(one.content_id)) for one in store.files.outputs(session)] == [b"d"]
    copy = FileFacts(new_id("file"), "ann", "d", "text/plain", session_id=session)
    mounted = NewResource(new_id("sesrsc"), "/x", {"type": "file"}, kept, copy)
    added = store.resources.add(session, mounted, lambda _there: None)
    assert [one.id for one in store.resources.of([session])[session]] == [added.id]
    assert rows(database, "files", "file_contents", "file_chunks") == [3, 2, 3]
    store.resources.delete(session, added.id)
    assert rows(database, "files", "file_contents", "file_chunks") == [2, 2, 3]
    store.sessions.delete(session)
    assert rows(database, "files", "file_contents", "file_chunks") == [0, 0, 0]
    server.close()


def test_an_upload_that_breaks_off_leaves_nothing(laptop: Server) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    before = rows(laptop.store.database, "file_contents", "file_chunks")
    with pytest.raises(ConnectionResetError):
        laptop.store.files.keep(broken(), owner="")
    assert rows(laptop.store.database, "file_contents", "file_chunks") == before
