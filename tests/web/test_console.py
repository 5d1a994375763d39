"""The console's files as they are served: open, checked, and under a policy that they keep themselves."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from flask.testing import FlaskClient

from app.factory import build
from app.web import console
from app.web.console import FILES
from tests.conftest import make_settings

OURS: Final = sorted(path for path in FILES.iterdir() if path.is_file())
LIBRARIES: Final = sorted(FILES.glob("vendor/*/*js"))
NAMES: Final = [str(path.relative_to(FILES)) for path in (*OURS, *LIBRARIES) if path.name != "index.html"]
TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """Without a token, at a server that has some."""
    directory = tmp_path_factory.mktemp("console")
    built = build(make_settings(directory, "", auth_tokens=(("anna", "annas-token-0123456789"),)))
    yield built.app.test_client()
    built.close()


@pytest.mark.parametrize("path", ["/", *(f"/console/{name}" for name in NAMES)])
def test_every_file_is_served_under_a_strict_policy_and_asked_for_again(
    browser: FlaskClient, path: str
) -> None:
    response = browser.get(path, buffered=True)
    assert response.status_code == 200
    assert response.content_type == TYPES.get(path.rpartition(".")[2], "text/html; charset=utf-8")
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"
    again = browser.get(path, headers={"If-None-Match": response.headers["ETag"]}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


def test_the_page_names_its_files_by_their_version_and_a_browser_keeps_them(
    browser: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def version() -> str:
        found: set[str] = set(
            re.findall(r'="console/v/([0-9a-f]{16})/', browser.get("/").get_data(as_text=True))
        )
        assert len(found) == 1
        return found.pop()

    def kept(path: str) -> str:
        response = browser.get(path, buffered=True)
        assert response.status_code == 200
        assert "Content-Security-Policy" in response.headers
        return str(response.headers["Cache-Control"])

    first = version()
    library = str(LIBRARIES[0].relative_to(FILES))
    for name in ("main.js", "base.css", library):
        assert kept(f"/console/v/{first}/{name}") == "public, max-age=31536000, immutable"
        assert kept(f"/console/v/0123456789abcdef/{name}") == "no-cache"
        assert browser.get(f"/console/v/{first}/{name}x").status_code == 404
    assert '"console/main.js"' not in browser.get("/").get_data(as_text=True)
    shutil.copytree(FILES, tmp_path / "console")
    monkeypatch.setattr(console, "FILES", tmp_path / "console")
    assert version() == first
    (tmp_path / "console" / "main.js").write_text("import './dom.js';")
    assert version() != first


@pytest.mark.parametrize(
    "path",
    [
        "/console/index.html",
        "/console/v/x/index.html",
        "/console/v/x/vendor/../main.js",
        "/console/v/../console.py",
        "/console/",
        "/console/nothing.js",
        "/console/../console.py",
        "/console/..%2fconsole.py",
        "/console/%2e%2e/console.py",
        "/console/main.js%00.css",
        "/console//etc/passwd",
        "/console/vendor",
        "/console/vendor/",
        "/console/vendor/README.md",
        "/console/vendor/checksums.sha256",
        "/console/vendor/dompurify",
        "/console/vendor/dompurify/",
        "/console/vendor/dompurify/LICENSE",
        "/console/vendor/dompurify/nothing.js",
        "/console/vendor/../main.js",
        "/console/vendor/%2e%2e/main.js",
        "/console/vendor/..%2f..%2fconsole.py/x.js",
        "/console/vendor/dompurify/..%2f..%2fmain.js",
        "/console/vendor/dompurify/../../../console.py",
        "/console/vendor/dompurify/purify.es.mjs%00.js",
        "/console/vendor/dompurify/a/purify.es.mjs",
    ],
)
def test_nothing_else_is_served(browser: FlaskClient, path: str) -> None:
    assert browser.get(path, buffered=True).status_code == 404


@pytest.mark.parametrize("path", ["/api/sessions", "/api/agents", "/consoles", "/console.py"])
def test_what_is_not_one_of_its_files_needs_a_token(browser: FlaskClient, path: str) -> None:
    assert browser.get(path, buffered=True).status_code == 401


def test_a_page_of_another_name_is_refused_as_everywhere(browser: FlaskClient) -> None:
    assert browser.get("/", buffered=True, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_file_names_only_files_that_are_there_and_no_other_host(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"from \"\./([\w./-]+)\"|\"console/([\w.-]+)\"", text):
        assert (FILES / "".join(name)).is_file(), name
    addresses = set(re.findall(r"https?://[\w.-]+", text)) - {"http://www.w3.org"}
    assert addresses == set()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert not re.search(r"<style|\sstyle=|<script(?![^>]* src=)|\son\w+=", text)
