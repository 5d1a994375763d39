"""Each recipe of docs/cookbook.md, run as its reader runs it: as a program of its own, against a running server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from anthropic_standin.standin_server import OfflineServer
from app.commands.main import cli
from tests.harness.nginx import Nginx, find_nginx
from tests.harness.postgres import PostgresServer
from tests.harness.process import ROOT, BatonProcess, free_port
from tests.harness.wire import Client

COOKBOOK = ROOT / "docs" / "examples" / "cookbook"
PAGE = (ROOT / "docs" / "cookbook.md").read_text()
BIN = Path(sys.executable).parent
SECONDS = 60


class Kitchen:
    """A directory with the files of the page, and a server that serves its agents and works there."""

    def __init__(self, place: Path, url: str) -> None:
        self.place = place
        self.url = url

    def begin(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "BATON_URL": self.url,
            **variables,
        }
        return subprocess.Popen(
            command,
            cwd=self.place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, expected: int = 0, **variables: str) -> str:
        process = self.begin(*command, **variables)
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == expected, output
        return output


def copied(directory: Path) -> Path:
    place = directory / "cookbook"
    shutil.copytree(COOKBOOK, place, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def serving(place: Path, model_url: str, **more: str) -> BatonProcess:
    settings = {"BATON_ROOTS": str(place), "PATH": f"{BIN}:{os.environ['PATH']}"}
    database = more.pop("database_url", None)
    return BatonProcess(
        place.parent,
        model_url=model_url,
        agents=place,
        database_url=database,
        settings={**settings, **more},
    )


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Kitchen]:
    place = copied(tmp_path_factory.mktemp("kitchen"))
    with serving(place, stand_in.url) as baton:
        yield Kitchen(place, baton.url)


@pytest.fixture(autouse=True)
def clean(model: OfflineServer) -> None:
    """The stand-in of each test remembers nothing, and has nothing to complain of at the end."""


def call(tool: str, **arguments: object) -> str:
    return f"[call {tool} {json.dumps(arguments)}] [then] "


def test_the_page_shows_exactly_the_files() -> None:
    shown = re.findall(r"\[([\w.]+)\]\(examples/cookbook/\1\)[^\n]*\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert dict(shown) == {path.name: path.read_text() for path in COOKBOOK.iterdir() if path.is_file()}
    assert len(re.findall(r"^## [1-8]\. ", PAGE, re.MULTILINE)) == 8


def test_the_agent_files_are_in_no_doubt() -> None:
    done = CliRunner().invoke(cli, ["check", "--strict", str(COOKBOOK)])
    assert done.exit_code == 0, done.output


class Chat(BaseHTTPRequestHandler):
    """A chat's webhook, and a person who follows the link that ends in `answer`."""

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        self.server.said.append(text)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        link = next(word for word in text.split() if word.endswith(self.server.answer))  # type: ignore[attr-defined]
        # A click of its own: the script listens only when the webhook has answered.
        threading.Thread(target=requests.get, args=(link,), kwargs={"timeout": SECONDS}).start()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("answer", "came"), [("/yes", "Done."), ("/no", "Then not.")])
def test_somebody_in_a_chat_approves_or_does_not(kitchen: Kitchen, answer: str, came: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Chat) as chat:
        chat.said, chat.answer = [], answer  # type: ignore[attr-defined]
        thread = threading.Thread(target=chat.serve_forever)
        thread.start()
        try:
            output = kitchen.run(
                *("python", "approve_in_chat.py", "desk"),
                call("shell", cmd=f"touch asked{answer[1:]}") + f"[say {came}]",
                CHAT_WEBHOOK=f"http://127.0.0.1:{chat.server_port}/hook",
                BRIDGE=f"http://127.0.0.1:{free_port()}",
            )
        finally:
            chat.shutdown()
            thread.join()
    assert output.strip() == came
    assert "May root call shell" in chat.said[0]  # type: ignore[attr-defined]
    assert (kitchen.place / f"asked{answer[1:]}").exists() is (answer == "/yes")


def test_a_job_of_a_pipeline_fails_when_the_review_does(kitchen: Kitchen) -> None:
    (kitchen.place / "changes.diff").write_text("+print(1)\n")
    look = call("read_file", path="changes.diff")
    assert "Verdict: pass" in kitchen.run("sh", "ci_job.sh", f"{look}[say Fine.\nVerdict: pass]")
    kitchen.run("sh", "ci_job.sh", f"{look}[say a.py:1 prints.\nVerdict: fail]", expected=1)
    assert "did not come to its end" in kitchen.run("sh", "ci_job.sh", "[fail 400]", expected=1)


def test_the_tools_of_a_server_of_ones_own(kitchen: Kitchen) -> None:
    (kitchen.place / "stock.json").write_text('{"bolts": 12}')
    look = call("stock_in_stock", item="bolts")
    take = call("stock_take", item="bolts", count=5)
    output = kitchen.run(
        *("baton", "send", "new", f"{look}{take}[say Here you are.]", "--agent", "stock", "--approve", "all")
    )
    assert "12" in output
    assert "Here you are." in output
    assert json.loads((kitchen.place / "stock.json").read_text()) == {"bolts": 7}


def test_a_hook_stands_before_each_command(kitchen: Kitchen) -> None:
    refused = call("shell", cmd="git push origin main --force")
    allowed = call("shell", cmd="echo allowed")
    output = kitchen.run("baton", "send", "new", f"{refused}{allowed}[say Done.]", "--agent", "guarded")
    assert "nobody forces a push here" in output
    assert "\n  allowed\n" in output


def test_invoices_become_lines_of_a_table(kitchen: Kitchen) -> None:
    for number in (1, 2):
        answer = {"number": f"R-{number}", "total": 10.5 * number, "currency": "EUR"}
        (kitchen.place / f"{number}.txt").write_text(f"Invoice… [say {json.dumps(answer)}]")
    assert kitchen.run("python", "invoices_to_csv.py", "1.txt", "2.txt").splitlines() == [
        *("file,number,total,currency", "1.txt,R-1,10.5,EUR", "2.txt,R-2,21.0,EUR")
    ]


def test_a_long_job_is_left_and_watched_later(kitchen: Kitchen, model: OfflineServer) -> None:
    run = kitchen.run("python", "long_job.py", "start", "desk", "[words 8][hold 4]").strip()
    watcher = kitchen.begin("python", "long_job.py", "watch", run)
    assert watcher.stdout is not None
    begun = watcher.stdout.read(1)
    assert begun, "the watcher sees the beginning while the job goes on"
    model.release()
    rest = watcher.stdout.read()
    assert watcher.wait(SECONDS) == 0
    watcher.stdout.close()
    assert len(f"{begun}{rest}".split()) == 9
    assert rest.endswith("finished\n")
    assert kitchen.run("python", "long_job.py", "watch", run).strip() == "finished"


@pytest.mark.postgres
def test_a_conversation_goes_on_at_another_host(
    tmp_path: Path, model: OfflineServer, postgres: PostgresServer
) -> None:
    place, url = copied(tmp_path), postgres.migrated_database()
    with (
        serving(place, model.url, database_url=url) as one,
        serving(place, model.url, database_url=url) as other,
    ):
        output = Kitchen(place, one.url).run("python", "two_hosts.py", one.url, other.url)
    assert output.splitlines() == [
        *("It does not matter.", "Still the same conversation.", "6 messages at both")
    ]


@pytest.mark.nginx
@pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
def test_behind_nginx_each_person_sees_their_own_sessions(tmp_path: Path, model: OfflineServer) -> None:
    place = copied(tmp_path)
    alone = Kitchen(place, "")
    anna, ben = (
        alone.run("python", "new_token.py", name, "user", "tokens.txt").strip() for name in ("anna", "ben")
    )
    (tmp_path / "nginx").mkdir()
    with (
        serving(place, model.url, BATON_TOKENS_FILE=str(place / "tokens.txt")) as baton,
        Nginx(tmp_path / "nginx", baton.port) as nginx,
    ):
        kitchen = Kitchen(place, nginx.url)
        kitchen.run("baton", "send", "new", "[say hello]", "--agent", "desk", expected=5)
        assert "hello" in kitchen.run(
            "baton", "send", "new", "[say hello]", "--agent", "desk", BATON_TOKEN=anna
        )
        seen = {name: Client(nginx.url, token=token) for name, token in (("anna", anna), ("ben", ben))}
        assert {name: len(one.get("/api/sessions").json()) for name, one in seen.items()} == {
            "anna": 1,
            "ben": 0,
        }
        for one in seen.values():
            one.close()
