"""The encodings of answers, as they are named, and what every tool that reads the web makes of them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

import pytest

from app.agent.tools.api import ApiToolset
from app.agent.tools.fetch import FetchToolset
from app.agent.tools.http_text import decoded
from app.agent.tools.openapi import OpenApiToolset
from app.agent.tools.run_facts import RunFacts
from app.agent.tools.skill_files import remote_skills
from app.team.toolset_spec import ApiToolSpec
from tests.agent.tools.web_site import WebSite, running
from tests.agent.tools.workbench import Workbench

HTML, TEXT = "text/html", "text/plain"
LATIN = "é".encode("latin-1")


@pytest.fixture
def site() -> Iterator[WebSite]:
    with running() as site:
        yield site


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é".encode(), TEXT, "é"),
        ("é".encode(), "", "é"),
        (LATIN, f"{TEXT}; charset=iso-8859-1", "é"),
        (LATIN, f'{TEXT}; Charset="Latin1"; x=y', "é"),
        (LATIN, f"{TEXT};charset = 'cp1252'", "é"),
        (b"\x93a\x94", f"{TEXT}; charset=iso-8859-1", "“a”"),
        (b"\x93a\x94", f"{TEXT}; charset=us-ascii", "“a”"),
        ("日本".encode("shift_jis"), f"{TEXT}; charset=Shift_JIS", "日本"),
        ("мир".encode("koi8-r"), f"{TEXT}; charset=koi8-r", "мир"),
        ("é".encode("utf-16"), TEXT, "é"),
        ("é".encode("utf-16"), f"{TEXT}; charset=utf-8", "é"),
        ("é".encode("utf-16-le"), f"{TEXT}; charset=utf-16", "é"),
        ("é".encode("utf-16-be"), f"{TEXT}; charset=utf-16be", "é"),
        (codecs.BOM_UTF8 + "é".encode(), f"{TEXT}; charset=latin-1", "é"),
        (b'<meta charset="latin-1">' + LATIN, HTML, '<meta charset="latin-1">é'),
        (
            b"<meta http-equiv=x content='text/html; charset=latin-1'>" + LATIN,
            HTML,
            "<meta http-equiv=x content='text/html; charset=latin-1'>é",
        ),
        (b"<meta charset=utf-8>" + LATIN, f"{HTML}; charset=latin-1", "<meta charset=utf-8>é"),
        (b"<meta charset=utf-16>" + "é".encode(), HTML, "<meta charset=utf-16>é"),
        (b"<meta charset=latin-1>" + LATIN, f"{HTML}; charset=bogus", "<meta charset=latin-1>é"),
        (b"<meta charset=latin-1>" + "é".encode(), TEXT, "<meta charset=latin-1>é"),
        (
            b'<?xml version="1.0" encoding="latin-1"?>' + LATIN,
            "application/xml",
            '<?xml version="1.0" encoding="latin-1"?>é',
        ),
        *[
            ("é".encode(), f"{TEXT}; charset={name}", "é")
            for name in (
                "bogus",
                "",
                "rot13",
                "hex",
                "base64",
                "idna",
                "punycode",
                "utf-7",
                "unicode_escape",
                "undefined",
                "../utf-8",
                "x" * 5000,
            )
        ],
        (b"a\0b\xff", TEXT, "a\ufffdb\ufffd"),
    ],
)
def test_a_body_is_read_as_it_says(body: bytes, content_type: str, text: str) -> None:
    assert decoded(body, content_type) == text


def test_every_tool_that_reads_the_web_heeds_the_encoding(bench: Workbench, site: WebSite) -> None:
    kind = "application/json; charset=iso-8859-1"
    url = site.add("/a", b'"caf\xe9"', kind=kind)
    asked = ApiToolset(
        ApiToolSpec.model_validate({"name": "ask", "endpoint": url, "method": "GET"}),
        fill_in=RunFacts().fill_in,
    )
    assert bench.call(asked, "ask").output == '"café"'
    document = {
        "openapi": "3.0.0",
        "info": {"title": "é", "version": "1"},
        "servers": [{"url": site.url("")}],
        "paths": {"/a": {"get": {"operationId": "look", "summary": "café", "responses": {}}}},
    }
    described = site.add("/doc", json.dumps(document, ensure_ascii=False).encode("latin-1"), kind=kind)
    openapi = OpenApiToolset(
        described, headers={}, fill_in=RunFacts().fill_in, cancellation=bench.cancellation
    )
    openapi.start()
    assert "café" in openapi.tools()[0].description
    assert bench.call(openapi, "look").output == '"café"'
    fetched = bench.call(FetchToolset(allow_private=True), "fetch", urls=[url])
    assert '"café"' in fetched.output
    index = json.dumps({"skills": [{"name": "one", "description": "café"}]}, ensure_ascii=False)
    site.add("/.well-known/skills/index.json", index.encode("latin-1"), kind=kind)
    site.add("/.well-known/skills/one/SKILL.md", b"caf\xe9\r\n", kind="text/markdown; charset=latin-1")
    skill = remote_skills(site.url(""), bench.cancellation)["one"]
    assert (skill.description, skill.read("SKILL.md", bench.cancellation)) == ("café", "café\n")
