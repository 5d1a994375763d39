"""Where a session may work: below a root, in no directory of the server; an answer tells nothing of what lies
elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.selfcheck.own_files import own_files
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient

ROOT = Path(__file__).parents[2]
ANN, BEN = "ann-has-a-long-token", "ben-has-a-long-token"

TEAM = """
agents:
  root:
    model: m
    toolsets: [{type: filesystem}]
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
"""


OWN = (
    "baton.db",
    "baton.db-wal",
    "baton.db-shm",
    "baton.db-journal",
    "tokens",
    "agents/team.yaml",
    "agents/new.yaml",
    "numbers/gauge.db",
    ".baton/memory/team/memory.db",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for directory in ("agents", "numbers", ".baton/memory/team"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "agents" / "team.yaml").write_text(TEAM)
    (tmp_path / "tokens").write_text(f"ann:{ANN}\n")
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "fine.txt").write_text("fine")
    return tmp_path


@pytest.fixture
def server(place: Path, model: OfflineServer) -> Iterator[Server]:
    """The root holds the server's files, as a checkout does."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place),
        "PROMETHEUS_MULTIPROC_DIR": str(place / "numbers"),
    }
    settings = make_settings(
        place, model.url, agents=place / "agents", tokens_file=place / "tokens", environment=environment
    )
    built = build(settings)
    yield built
    built.close()


def results(server: Server, working_dir: Path, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """The tools' answers, one after the other."""
    client = LocalClient(server, token=ANN)
    session = client.new_session(tools_approved=True, working_dir=str(working_dir))
    said = "[then]".join(f"[call {name} {json.dumps(arguments)}]" for name, arguments in calls)
    events = client.say(session, f"{said}[then][say done]", agent="team")
    return [event["response"] for event in events if event["type"] == "tool_call_response"]


def test_file_tools_refuse_the_servers_own_files_wherever_they_lie(server: Server, place: Path) -> None:
    (place / "link").symlink_to(place / "baton.db")
    (place / "way").symlink_to(place / "agents")
    os.link(place / "baton.db", place / "hard")
    os.link(place / "tokens", place / "hard-tokens")
    paths = [
        *OWN,
        *(str(place / path) for path in OWN),
        "link",
        "way/team.yaml",
        "way/x.yaml",
        "hard",
        "hard-tokens",
    ]
    calls: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        calls += [
            ("read_file", {"path": path}),
            ("write_file", {"path": path, "content": "x"}),
            ("create_directory", {"paths": [path]}),
        ]
    before = {path: (place / path).read_bytes() for path in ("tokens", "agents/team.yaml")}
    for (name, arguments), answer in zip(calls, results(server, place, calls), strict=True):
        assert "this belongs to the server" in answer, (name, arguments, answer)
    assert {path: (place / path).read_bytes() for path in before} == before
    assert not (place / "agents" / "new.yaml").exists()
    searched, read = results(
        server,
        place,
        [("search_files_content", {"query": "ann-has", "path": "."}), ("read_file", {"path": "fine.txt"})],
    )
    assert (searched, read) == ("No results found", "fine")


def test_the_program_itself_is_refused_and_the_directory_that_holds_it_is_not(
    server: Server, place: Path
) -> None:
    own = own_files(replace(server.settings, roots=(ROOT,)))
    for path in (
        ROOT / "app",
        ROOT / "anthropic_standin",
        ROOT / "baton_client",
        ROOT / "wsgi.py",
        ROOT / "gunicorn.conf.py",
        ROOT / "Makefile",
    ):
        assert path in own
    assert ROOT not in own


@pytest.mark.parametrize("directory", ["agents", "numbers", ".baton", ".baton/memory", "way"])
def test_no_session_works_in_a_directory_of_the_server(server: Server, place: Path, directory: str) -> None:
    (place / "way").symlink_to(place / "agents")
    assert ask(server, str(place), ANN)[0] == 200
    status, text = ask(server, str(place / directory), ANN)
    assert (status, "is outside the directories" in text) == (422, True)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".GIT/config",
        ".git./config",
        ".g\u200cit/config",
        "git~1/config",
        "sub/.git/hooks/pre-commit",
        "sub/../.git/config",
        "link/config",
        ".git",
        ".hg/hgrc",
        ".husky/pre-commit",
        ".vscode/tasks.json",
        ".envrc",
        ".mcp.json",
        ".claude/settings.json",
        ".claude/Settings.local.json",
        ".claude/hooks/stop.sh",
        ".gemini/settings.json",
        ".devcontainer/devcontainer.json",
        ".zed/tasks.json",
        ".pre-commit-config.yaml",
        ".nvim.lua",
        ".bashrc",
        ".gitconfig",
        ".config/git/config",
        ".ssh/authorized_keys",
    ],
)
def test_file_tools_write_nowhere_that_other_programs_execute(server: Server, place: Path, path: str) -> None:
    (place / "link").symlink_to(".git")
    for existing in (True, False):
        if existing:
            (place / ".git").mkdir()
            (place / ".git" / "config").write_text("old")
        calls: list[tuple[str, dict[str, Any]]] = [
            ("write_file", {"path": path, "content": "x"}),
            ("create_directory", {"paths": [path]}),
            ("edit_file", {"path": path, "edits": [{"oldText": "old", "newText": "x"}]}),
        ]
        for answer in results(server, place, calls):
            assert answer.startswith("Error"), answer
        if existing:
            assert (place / ".git" / "config").read_text() == "old"
            shutil.rmtree(place / ".git")
    assert sorted(entry.name for entry in place.iterdir() if "git" in entry.name.casefold()) == []


ORDERS = (("HEAD", "config", "objects/a", "refs/a"), ("config", "objects/a", "refs/a", "HEAD"))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("below", ["", "sub/"])
def test_file_tools_make_no_repository_without_that_name(
    server: Server, place: Path, order: Sequence[str], below: str
) -> None:
    """git looks for one in the directory itself, too, and runs what its config names."""
    proof = place / "ran"
    config = f'[core]\nrepositoryformatversion = 0\nbare = false\nworktree = .\nfsmonitor = "touch {proof}; false"\n'
    contents = {"config": config, "HEAD": "ref: refs/heads/main\n"}
    results(
        server,
        place,
        [("write_file", {"path": below + name, "content": contents.get(name, "x")}) for name in order],
    )
    subprocess.run(["git", "status"], cwd=place / below, capture_output=True, check=False)
    assert not proof.exists()
    assert (place / below / "objects" / "a").exists()


@pytest.mark.parametrize("name", ["config", "hooks/pre-commit", "new/HEAD", "commondir"])
@pytest.mark.parametrize("folder", ["bare.git", "fixtures/one"])
def test_file_tools_change_nothing_in_a_repository_of_another_name(
    server: Server, place: Path, folder: str, name: str
) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(place / folder)], check=True)
    before = (place / folder / "config").read_text()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("write_file", {"path": f"{folder}/{name}", "content": "x"}),
        ("edit_file", {"path": f"{folder}/config", "edits": [{"oldText": "bare", "newText": "x"}]}),
        ("create_directory", {"paths": [f"{folder}/hooks/more"]}),
    ]
    assert all("other programs execute" in answer for answer in results(server, place, calls))
    assert (place / folder / "config").read_text() == before


def test_a_directory_may_be_called_head(server: Server, place: Path) -> None:
    calls = [("write_file", {"path": "components/head/index.html", "content": "x"})]
    assert results(server, place, calls)[0].startswith("File written")


def test_a_working_directory_inside_such_a_place_is_not_written_to(server: Server, place: Path) -> None:
    (place / ".git" / "hooks").mkdir(parents=True)
    calls = [("write_file", {"path": "pre-commit", "content": "x"})]
    assert "other programs execute" in results(server, place / ".git" / "hooks", calls)[0]
    assert list((place / ".git" / "hooks").iterdir()) == []


@pytest.mark.parametrize(
    "path", [".env", ".env/", ".env//", "./.env", "sub/../.env", "ABSOLUTE", "link", "sub/../link/"]
)
@pytest.mark.parametrize("rule", ["*:path=*.env", "*:path=.env", "*:path=ABSOLUTE"])
def test_no_spelling_of_a_path_passes_a_deny(server: Server, place: Path, path: str, rule: str) -> None:
    (place / ".env").write_text("hidden")
    (place / "sub").mkdir()
    (place / "link").symlink_to(".env")
    path, rule = (text.replace("ABSOLUTE", str(place / ".env")) for text in (path, rule))
    client = LocalClient(server, token=ANN)
    session = client.new_session(permissions={"deny": [rule]}, working_dir=str(place))
    calls = f"[call read_file {json.dumps({'path': path})}][call read_multiple_files {json.dumps({'paths': [path]})}]"
    events = client.say(session, f"{calls}[then][say done]", agent="team")
    answers = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert len(answers) == 2
    assert all("is denied by session permissions" in answer for answer in answers), answers


def test_the_servers_files_are_for_its_user_only_and_tools_keep_their_mode(
    tmp_path: Path, model: OfflineServer
) -> None:
    (tmp_path / "team.yaml").write_text(
        TEAM.replace("{type: filesystem}", "{type: filesystem}, {type: tasks}, {type: memory, path: m.db}")
    )
    url = f"sqlite:///{tmp_path / 'new.db'}"
    settings = make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=url)
    umask = os.umask(0o022)
    try:
        server = build(settings)
        client = LocalClient(server)
        session = client.new_session(tools_approved=True, working_dir=str(tmp_path))
        said = '[call create_task {"title": "a"}][call add_memory {"memory": "a"}]'
        said += '[call write_file {"path": "w", "content": "a"}][then][say done]'
        client.say(session, said, agent="team")
        modes = {
            name: (tmp_path / name).stat().st_mode & 0o777 for name in ("new.db", "tasks.json", "m.db", "w")
        }
        beside = [file.stat().st_mode & 0o777 for file in tmp_path.glob("new.db-*")]
        server.close()
    finally:
        os.umask(umask)
    assert modes == {"new.db": 0o600, "tasks.json": 0o600, "m.db": 0o600, "w": 0o644}
    assert beside
    assert set(beside) == {0o600}


def ask(server: Server, working_dir: str, token: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = server.app.test_client().post(
        "/api/sessions", json={"working_dir": working_dir}, headers=headers
    )
    return answer.status_code, answer.get_data(as_text=True)


@pytest.fixture
def shared(place: Path, model: OfflineServer) -> Iterator[Server]:
    (place / "work").mkdir()
    settings = make_settings(place, model.url, agents=place / "agents", roots=(place / "work",))
    built = build(settings)
    yield built
    built.close()


def test_an_answer_is_the_same_whether_a_path_outside_exists_or_not(shared: Server, place: Path) -> None:
    (place / "work" / "way-out").symlink_to("/etc")
    (place / "work" / "way-to-nothing").symlink_to("/nothing/is/here")
    (place / "alias").symlink_to(place / "work")
    for wanted in (
        "/etc",
        "/etc/passwd",
        "/nothing",
        "/root/x",
        "~nobody-of-that-name",
        "~root",
        f"{place}/agents",
        f"{place}/gone",
        f"{place}/work/way-out",
        f"{place}/work/way-to-nothing",
        f"{place}/work/way-out/ssl",
        f"{place}/work/../agents",
        f"{place}/alias",
        "/etc/" + "x" * 3000,
    ):
        words = json.dumps(wanted)[1:-1]
        status, text = ask(shared, wanted)
        assert status == 422
        expected = "failed to create session: PATH is outside the directories where sessions may work"
        assert json.loads(text.replace(words, "PATH"))["message"] == expected


def test_below_a_root_the_answer_says_what_is_wrong(shared: Server, place: Path) -> None:
    (place / "work" / "file").touch()
    assert "no such file or directory" in ask(shared, f"{place}/work/gone")[1]
    assert "must be a directory" in ask(shared, f"{place}/work/file")[1]
    assert ask(shared, f"{place}/nothing/../work")[0] == 200


def test_a_working_directory_that_became_a_link_leads_nowhere(
    shared: Server, place: Path, model: OfflineServer
) -> None:
    (place / "work" / "mine").mkdir()
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "fine.txt").write_text("out of reach")
    client = LocalClient(shared)
    session = client.new_session(tools_approved=True, working_dir=str(place / "work" / "mine"))
    (place / "work" / "mine").rmdir()
    (place / "work" / "mine").symlink_to(place / "elsewhere")
    calls = '[call read_file {"path": "fine.txt"}][call write_file {"path": "new", "content": "x"}]'
    client.say(session, f"{calls}[call directory_tree {{}}][then][say done]", agent="team")
    assert "out of reach" not in json.dumps(model.requests)
    assert [file.name for file in (place / "elsewhere").iterdir()] == ["fine.txt"]


@pytest.fixture
def parted(place: Path, model: OfflineServer) -> Iterator[Server]:
    settings = make_settings(
        place,
        model.url,
        agents=place / "agents",
        roots=(place / "homes" / "{name}" / "work",),
        auth_tokens=(("ann", ANN), ("ben", BEN)),
    )
    (place / "homes").mkdir()
    built = build(settings)
    yield built
    built.close()


def test_a_root_with_name_parts_the_owners_of_sessions(parted: Server, place: Path) -> None:
    ann, ben = LocalClient(parted, token=ANN), LocalClient(parted, token=BEN)
    call = '[call write_file {"path": "x.txt", "content": "of %s"}][then][say done]'
    for name, client in (("ann", ann), ("ben", ben)):
        session = client.new_session(tools_approved=True)
        client.say(session, call % name, agent="team")
        assert (place / "homes" / name / "work" / "x.txt").read_text() == f"of {name}"
    assert (place / "homes" / "ann" / "work").stat().st_mode & 0o077 == 0
    assert ask(parted, str(place / "homes" / "ann" / "work"), ANN)[0] == 200
    for other in ("ann", "ann/work", "gone"):
        status, text = ask(parted, str(place / "homes" / other), BEN)
        assert (status, "is outside the directories" in text) == (422, True)
