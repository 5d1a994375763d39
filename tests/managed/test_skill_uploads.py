"""Uploads that are no skill, or no safe one: each is refused in words, and leaves nothing behind."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from typing import Any

import pytest

from app.factory import Server
from app.managed.skills.archives import MAX_BYTES, MAX_FILES
from tests.managed.skill_files import skill_md, zip_of
from tests.managed.test_door import HEADERS

MAIN = ("poems/SKILL.md", skill_md())


def entry(name: str, kind: int, *, flags: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = (kind | 0o644) << 16
    made.flag_bits |= flags
    return made


def doubled(name: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zip_of(MAIN, (name, b"1"), (name, b"2"))


def renamed(old: bytes, new: bytes) -> bytes:
    """A zip whose file got another name of the same length, which no writer would give it."""
    return zip_of(MAIN, (old.decode(), b"x")).replace(old, new)


def encrypted() -> bytes:
    return zip_of(MAIN).replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")


def of_unknown_compression() -> bytes:
    return zip_of(MAIN).replace(struct.pack("<HH", 0, 8), struct.pack("<HH", 0, 99))


def head(text: str, name: str = "poems") -> list[tuple[str, bytes]]:
    return [(f"{name}/SKILL.md", text.encode())]


BOMB = zip_of(MAIN, *((f"poems/{number}", bytes(8 << 20)) for number in range(4)))
REFUSED: list[tuple[list[tuple[str, bytes]], str]] = [
    ([("SKILL.md", skill_md())], "all files must lie in one top folder"),
    ([MAIN, ("odes/x", b"")], "all files must lie in one top folder, as in my-skill/SKILL.md; found odes, poems"),
    ([MAIN, ("x", b"")], "all files must lie in one top folder"),
    ([("poems/inner/SKILL.md", skill_md())], "there is no poems/SKILL.md"),
    ([("poems/skill.md", skill_md())], "there is no poems/SKILL.md"),
    ([("odes/SKILL.md", skill_md())], "the folder 'odes' must have the name of the skill in SKILL.md, poems"),
    ([MAIN, ("/etc/x", b"")], "must be a relative path"),
    ([("a.zip", zip_of(MAIN, ("poems\\x", b"")))], "must be a relative path"),
    ([MAIN, ("C:/x", b"")], "must be a relative path"),
    ([MAIN, ("poems/../x", b"")], "neither empty nor . nor .."),
    ([MAIN, ("poems/./x", b"")], "neither empty nor . nor .."),
    ([MAIN, ("poems//x", b"")], "neither empty nor . nor .."),
    ([MAIN, ("poems/", b"")], "neither empty nor . nor .."),
    ([MAIN, ("", b"")], "neither empty nor . nor .."),
    ([MAIN, ("poems/a\tb", b"")], "can't be shown"),
    ([MAIN, ("poems/\u202etxt", b"")], "can't be shown"),
    ([MAIN, (f"poems/{'x' * 256}", b"")], "is too long"),
    ([MAIN, ("poems/" + "x/" * 16 + "x", b"")], "is too long"),
    ([MAIN, ("poems/x", b"1"), ("poems/x", b"2")], "x comes twice"),
    ([MAIN, ("poems/x", b"1"), ("poems/x/y/z", b"2")], "x can't be a file and a folder"),
    ([("poems/SKILL.md", b"\xff\xfe")], "it is not UTF-8"),
    ([("poems/SKILL.md", b"x" * 200_001)], "larger than 200000 bytes"),
    (head("no head"), "must begin with YAML"),
    (head("---\nname: [\n---\n"), "must begin with YAML"),
    (head("---\n- a\n---\n"), "must begin with YAML"),
    (head("---\nname: poems\n---\n"), "description: field is required"),
    (head("---\nname: poems\ndescription: ''\n---\n"), "description: must be a text of 1 to 1024"),
    (head(f"---\nname: poems\ndescription: {'x' * 1025}\n---\n"), "description: must be a text of 1 to 1024"),
    (head("---\nname: poems\ndescription: [x]\n---\n"), "description: must be a text"),
    (head('---\nname: poems\ndescription: "\\ud800"\n---\n'), "SKILL.md"),
    (head("---\nname: 7\ndescription: x\n---\n", "7"), "name: must be a text of 1 to 64"),
    (head("---\nname: Poems\ndescription: x\n---\n", "Poems"), "only lower-case letters"),
    (head("---\nname: po_ems\ndescription: x\n---\n", "po_ems"), "only lower-case letters"),
    (head("---\nname: a-\ndescription: x\n---\n", "a-"), "only lower-case letters"),
    (head("---\ndescription: x\n---\n", "Poems"), "only lower-case letters"),
    (head(f"---\nname: {'x' * 65}\ndescription: x\n---\n", "x" * 65), "name: must be a text of 1 to 64"),
    ([("a.zip", b"PK\x03\x04 and no more")], "the zip is damaged"),
    ([("a.zip", zip_of(MAIN)[:-30])], "the zip is damaged"),
    ([("a.zip", zip_of(MAIN).replace(b"\x00\x00\x00\x00poems", b"\x00\x00\x09\x00poems"))], "the zip is damaged"),
    ([("a.zip", of_unknown_compression())], "the zip is damaged, or of a kind"),
    ([("a.zip", encrypted())], "is encrypted"),
    ([("a.zip", zip_of())], "a skill has at least the file SKILL.md"),
    ([("a.zip", zip_of(("SKILL.md", skill_md())))], "all files must lie in one top folder"),
    ([("a.zip", zip_of(MAIN, ("odes/x", b"")))], "all files must lie in one top folder"),
    ([("a.zip", zip_of(MAIN, ("../x", b"")))], "neither empty nor . nor .."),
    ([("a.zip", zip_of(MAIN, ("../x/", b"")))], "neither empty nor . nor .."),
    ([("a.zip", zip_of(MAIN, ("/x", b"")))], "must be a relative path"),
    ([("a.zip", zip_of(MAIN, (entry("poems/x", stat.S_IFLNK), b"/etc/passwd")))], "neither a file nor a folder"),
    ([("a.zip", zip_of(MAIN, (entry("poems/x", stat.S_IFIFO), b"")))], "neither a file nor a folder"),
    ([("a.zip", doubled("poems/x"))], "x comes twice"),
    ([("a.zip", renamed(b"poems/xx", b"poems/\xe9x"))], "is not UTF-8"),
    ([("a.zip", renamed(b"poems/xx", b"poems/\0x"))], "is not UTF-8"),
    ([("a.zip", BOMB)], "unpacks to more than 30 MB"),
    ([("a.zip", zip_of(MAIN, *((f"poems/{n}", b"") for n in range(MAX_FILES))))], "at most 1000 files"),
    ([MAIN, *((f"poems/{n}", b"") for n in range(MAX_FILES))], "at most 1000 files"),
    ([MAIN, *((f"poems/{n}", b"") for n in range(MAX_FILES + 20))], "at most 1000 files"),
    ([("a.zip", b"PK\x03\x04" + b"PK\x01\x02" * 30_000)], "at most 1000 files"),
]  # fmt: skip


def post(server: Server, path: str, data: bytes) -> tuple[int, str]:
    kind = "multipart/form-data; boundary=part"
    answer = server.app.test_client().post(path, data=data, headers=HEADERS, content_type=kind)
    said: Any = answer.get_json()
    assert said["type"] == "error", said
    assert said["error"]["type"] in ("invalid_request_error", "request_too_large")
    return answer.status_code, said["error"]["message"]


def form(files: list[tuple[str, bytes]], *, field: str = "files[]", **fields: str) -> bytes:
    written = io.BytesIO()
    for name, text in fields.items():
        head = f'--part\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        written.write(f"{head}{text}\r\n".encode())
    for path, data in files:
        head = f'--part\r\nContent-Disposition: form-data; name="{field}"; filename="{path}"\r\n\r\n'
        written.write(head.encode() + data + b"\r\n")
    return written.getvalue() + b"--part--\r\n"


def count(server: Server) -> int:
    listed: Any = server.app.test_client().get("/v1/skills?limit=1000", headers=HEADERS).get_json()
    return len(listed["data"])


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_no_skill_is_refused(laptop: Server, number: int) -> None:
    files, words = REFUSED[number]
    before = count(laptop)
    status, said = post(laptop, "/v1/skills", form(files))
    assert (status, words in said) == (400, True), said
    assert count(laptop) == before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (form([]), "files: field is required"),
        (b"{}", "files: field is required"),
        (b"--part\r\nno head", "files: field is required"),
        (form([], **{"files[]": "poems/SKILL.md"}), "'files[]': unknown field, or not a text"),
        (form([MAIN], **{"files[]": "x"}), "'files[]': unknown field, or not a text"),
        (form([MAIN]).replace(b' name="files[]";', b""), "'None': unknown field"),
        (form([MAIN], name="x"), "'name': unknown field"),
        (form([MAIN], field="file"), "'file': unknown field"),
        (form([MAIN], field="display_name"), "'display_name': unknown field, or not a file"),
        (form([MAIN], display_name="x" * 256), "display_name: must be one line of at most 255"),
        (form([MAIN], display_name="a\nb"), "display_name: must be one line"),
        (form([MAIN], display_name="x" * 600_000), "its fields are short"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(laptop: Server, data: bytes, words: str) -> None:
    status, said = post(laptop, "/v1/skills", data)
    assert (status, words in said) == (400, True), said


def test_more_than_thirty_megabytes_are_too_large(laptop: Server) -> None:
    one = bytes(MAX_BYTES)
    assert post(laptop, "/v1/skills", form([MAIN, ("poems/x", one)]))[0] == 413
    assert post(laptop, "/v1/skills", form([MAIN, ("poems/x", one + bytes(4 << 20))]))[0] == 413


def test_heads_are_read_as_editors_write_them(laptop: Server) -> None:
    http = laptop.app.test_client()
    for text in (
        "\ufeff---\r\nname: poems\r\ndescription: >\r\n  Writes\r\n  poems.\r\n---\r\nRhyme.",
        "---\ndescription: Writes poems.\nlicense: MIT\n---\n",
        '---\n{"name": "poems", "description": " Writes poems. "}\n---\n',
    ):
        kind, body = "multipart/form-data; boundary=part", form(head(text), field="files")
        made: Any = http.post("/v1/skills", data=body, headers=HEADERS, content_type=kind).get_json()
        path = f"/v1/skills/{made['id']}/versions/latest"
        version: Any = http.get(path, headers=HEADERS).get_json()
        assert (version["name"], version["description"]) == ("poems", "Writes poems.")
