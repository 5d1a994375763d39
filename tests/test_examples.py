"""The examples of docs/agents.md: the page shows exactly the files, each loads, and each does what its comments say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from anthropic_standin.standin_server import OfflineServer
from app.commands.main import cli
from app.factory import build
from app.team.schema import agent_file_schema
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient, LocalStream
from tests.managed.conftest import Sdk
from tests.managed.work_story import work

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
PAGE = (ROOT / "docs" / "agents.md").read_text()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A session's directory that looks like a checkout: the examples, and the Python of a virtual environment."""
    place = tmp_path / "checkout"
    shutil.copytree(EXAMPLES, place / "docs" / "examples")
    python = place / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return place


@pytest.fixture
def client(tmp_path: Path, place: Path, model: OfflineServer) -> Iterator[LocalClient]:
    server = build(make_settings(tmp_path, model.url, agents=EXAMPLES, roots=(place,)))
    yield LocalClient(server)
    server.close()


def call(tool: str, **arguments: Any) -> str:
    return f"[call {tool} {json.dumps(arguments)}] [then] [say Done.]"


def responses(stream: LocalStream) -> list[str]:
    return [event["response"] for event in stream.rest() if event["type"] == "tool_call_response"]


def run(client: LocalClient, session: str, agent: str, text: str) -> list[str]:
    """The tools' answers of a run that asks nobody."""
    with client.run(session, text, agent=agent) as stream:
        answers = responses(stream)
    assert "tool_call_confirmation" not in stream.types
    assert stream.types[-1] == "stream_stopped"
    assert "error" not in stream.types
    return answers


def run_approved(client: LocalClient, session: str, agent: str, text: str) -> list[str]:
    """The tools' answers of a run whose first question is approved."""
    with client.run(session, text, agent=agent) as stream:
        stream.until("tool_call_confirmation")
        client.resume(session, "approve")
        return responses(stream)


# -- the page --------------------------------------------------------------------------------------------------------


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_page_shows_exactly_the_files() -> None:
    shown = re.findall(r"\[([\w.]+)\]\(examples/\1\)[^\n]*\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert dict(shown) == {path.name: path.read_text() for path in EXAMPLES.iterdir() if path.is_file()}


def test_the_page_opens_with_a_whole_file_that_works() -> None:
    (first,) = re.findall(r"\A.*?```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert first == (EXAMPLES / "first.yaml").read_text()


def check_dialogue(client: LocalClient, place: Path, texts: list[str]) -> None:
    """Two turns: a call that is approved, and a second one that reads what the first has written."""
    session = client.new_session()
    remember, ask = texts
    assert run_approved(client, session, "first", remember) == [
        "File written successfully: notes.md (14 bytes)"
    ]
    assert (place / "notes.md").read_text() == "Release: 1 May"
    assert run(client, session, "first", ask) == ["Release: 1 May"]
    assert client.messages(session)[-1]["content"] == "The release is on 1 May."


def test_the_first_agent_in_five_minutes_works_with_curl(client: LocalClient, place: Path) -> None:
    page = section("Your first agent in five minutes")
    bodies = re.findall(r"/agent/first -d '(\[.*?\])'$", page, re.DOTALL | re.MULTILINE)
    check_dialogue(client, place, [json.loads(body)[0]["content"] for body in bodies])
    assert """/resume -H 'Content-Type: application/json' -d '{"confirmation":"approve"}'""" in page


def test_the_first_agent_in_five_minutes_works_with_baton_send(client: LocalClient, place: Path) -> None:
    page = section("Your first agent in five minutes").replace("\\\n", "")
    commands = [shlex.split(line) for line in re.findall(r"^\$ (baton send .*)", page, re.MULTILINE)]
    assert [command[4:] for command in commands] == [["--agent", "first"]] * 2
    check_dialogue(client, place, [command[3] for command in commands])


# -- the files -------------------------------------------------------------------------------------------------------


def test_the_files_load_and_nothing_in_them_is_in_doubt() -> None:
    done = CliRunner().invoke(cli, ["check", "--strict", str(EXAMPLES)])
    assert (done.exit_code, done.output) == (0, f"{len(FILES)} files, 0 problems\n")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_fits_the_schema(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), agent_file_schema())


def test_the_first_agent_reads_no_secrets(client: LocalClient, place: Path) -> None:
    (place / "prod.env").write_text("KEY=1")
    (answer,) = run(client, client.new_session(), "first", call("read_file", path="prod.env"))
    assert "KEY" not in answer


def test_approvals_allow_ask_and_refuse(client: LocalClient, place: Path) -> None:
    (place / "notes").mkdir()
    (place / "customers.txt").write_text("Ada")
    session = client.new_session()
    assert run(client, session, "approvals", call("shell", cmd="date"))
    run(client, session, "approvals", call("write_file", path="notes/release.md", content="New: all"))
    assert (place / "notes" / "release.md").read_text() == "New: all"
    (refused,) = run(client, session, "approvals", call("shell", cmd="sudo touch forbidden"))
    assert "denied" in refused
    assert run_approved(client, session, "approvals", call("read_file", path="customers.txt")) == ["Ada"]
    assert run_approved(client, session, "approvals", call("shell", cmd="echo published")) == ["published"]


def test_a_task_is_done_by_a_sub_agent_with_a_model_of_its_own(
    client: LocalClient, model: OfflineServer
) -> None:
    task = '[call list_directory {"path": "docs"}] [then] [say There is one directory.]'
    answers = run(
        client, client.new_session(), "sub_agents", call("transfer_task", agent="researcher", task=task)
    )
    assert answers == ["DIR  examples\n", "There is one directory."]
    assert {request["model"] for request in model.requests} == {"claude-sonnet-5-5", "claude-haiku-5-5"}


def test_the_tool_server_finds_and_lends_books(client: LocalClient) -> None:
    session = client.new_session()
    find, lend = (
        call("library_find_books", words="WALD"),
        call("library_lend_book", title="Walden", reader="Ben"),
    )
    assert run(client, session, "tool_server", find) == ["Walden: on the shelf"]
    assert run_approved(client, session, "tool_server", lend) == ["Walden is lent to Ben for 14 days."]
    assert run(client, session, "tool_server", find) == ["Walden: Ben"]
    (refused,) = run_approved(client, session, "tool_server", lend)
    assert refused.endswith("Walden is lent to Ben.")


def test_the_hooks_hold_a_forced_push_and_keep_a_journal(client: LocalClient, place: Path) -> None:
    session = client.new_session()
    (blocked,) = run_approved(client, session, "hooks", call("shell", cmd="git push origin main --force"))
    assert "This team does not force a push." in blocked
    assert run_approved(client, session, "hooks", call("shell", cmd="echo hello")) == ["hello"]
    (line,) = (place / "journal.jsonl").read_text().splitlines()
    assert json.loads(line)["tool_input"] == {"cmd": "echo hello"}
    assert len((place / "journal-starts.txt").read_text().splitlines()) == 2


def test_structured_output_asks_the_model_for_json_of_the_form(
    client: LocalClient, model: OfflineServer
) -> None:
    mail = '{"topic": "fault", "urgent": true, "summary": "The printer burns."}'
    session = client.new_session()
    run(client, session, "structured_output", f"The printer burns! [say {mail}]")
    wanted = model.requests[0]["output_config"]["format"]
    assert (wanted["type"], wanted["schema"]["required"]) == ("json_schema", ["topic", "urgent", "summary"])
    jsonschema.validate(json.loads(client.messages(session)[-1]["content"]), wanted["schema"])


def test_the_workers_of_an_environment_make_the_calls_of_an_agent(
    client: LocalClient, model: OfflineServer
) -> None:
    with Sdk(client.server, "anything") as sdk:
        config: Any = {"type": "self_hosted"}
        environment = sdk.beta.environments.create(name="build-machine", config=config).id
    session = client.new_session()
    stream = client.run(session, call("bash", command="uname -a"), agent="elsewhere")
    stream.until("warning")
    made: list[str] = []
    assert work(client.server, environment, made.append)
    assert responses(stream) == [f"Result of {made[0]}."]
