"""Requests made from the document, right and wrong ones: every answer is as the document says.

schemathesis runs as the command that it is, against a server in this process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.process import ROOT

TOKEN: Final = "token-of-the-fuzzer-1"
COMMAND: Final = Path(sys.executable).with_name("st")

CONFIGURATION: Final = """\
seed = 20261122
continue-on-failure = true
request-timeout = 120
warnings = false
[headers]
Authorization = "Bearer {token}"
[generation]
database = "none"
[checks]
enabled = true
[phases.coverage]
unexpected-methods = ["PUT"]
[[operations]]
include-path-regex = "/(fork|undo|messages|messages/.position.)$"
[operations.checks]
positive_data_acceptance.enabled = false
[[operations]]
include-path-regex = "/status$"
parameters = {{ wait = "0s" }}
[operations.checks]
not_a_server_error.enabled = false
"""
"""All checks. No request waits for a run that never begins: 503 says that none has. Only a fork and what is written or
taken back between two runs may be refused though it fits the schema: the conversation decides."""


class HangsUp:
    """A client that leaves a session's events after the first bytes; their reader would wait for ever."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]]) -> Any:
            return start_response(status, [one for one in headers if one[0] != "Connection"])

        chunks: Any = self._app(environ, start)
        if not environ["PATH_INFO"].endswith("/events"):
            return chunks  # type: ignore[no-any-return]
        try:
            return [next(iter(chunks), b"")]
        finally:
            chunks.close()


class Silent(WSGIRequestHandler):
    """Writes no access log."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@pytest.fixture
def url(model: OfflineServer, tmp_path: Path) -> Iterator[str]:
    server = build(make_settings(tmp_path, model.url, auth_tokens=(("fuzzer", TOKEN),)))
    http = make_server("127.0.0.1", 0, HangsUp(server.app), threaded=True, request_handler=Silent)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()
    server.close()


def fuzz(url: str, directory: Path, *arguments: str) -> None:
    """Fails with what schemathesis prints if it has found anything."""
    (directory / "schemathesis.toml").write_text(CONFIGURATION.format(token=TOKEN))
    command = [COMMAND, "--config-file", directory / "schemathesis.toml", "run", f"{url}/openapi.json"]
    options = ["--no-color", *arguments]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.openapi.formats",
        "ROOT_OF_THE_FUZZER": str(directory),
    }
    done = subprocess.run(
        [*map(str, command), *options],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"Selected: (\d+)/\1\n +Tested: \1\n", done.stdout), done.stdout


def test_schemathesis_finds_nothing_wrong_with_any_route(
    url: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """At every boundary that the document names, and along the links between routes; with --thorough, also beyond the
    boundaries (as `tests/web/test_bad_input.py` does), and with what comes to mind."""
    thorough = ("--max-examples", "50", "--phases", "coverage,stateful,fuzzing")
    short = ("--max-examples", "2", "--phases", "coverage,stateful", "--mode", "positive")
    fuzz(url, tmp_path, *(thorough if pytestconfig.getoption("--thorough") else short))
