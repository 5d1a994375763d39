"""A server imports nothing of the directory in which it is started, except its own program in a checkout."""

from __future__ import annotations

import ast
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

from tests.harness.process import GUNICORN, ROOT, BatonProcess, eventually
from tests.harness.wheel import copy_checkout
from tests.harness.wire import Client, text_of

OPTIONAL: Final = {
    "brotli",
    "chardet",
    "h2",
    "simplejson",
    "sitecustomize",
    "usercustomize",
    "uvloop",
    "zstandard",
}
"""Modules that a library or the interpreter tries to import, and does without."""

OWN: Final = {"anthropic_standin", "app", "baton_client", "wsgi"}

AGENT: Final = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: Searches
    instruction: Search.
    toolsets:
      - type: filesystem
"""
SEARCH: Final = (
    '[call search_files_content {"path": ".", "query": "n[e]edle", "is_regex": true}][then][say found]'
)
SETTINGS: Final = {"PYTHONPATH": "", "ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": "", "BATON_WORKERS": "2"}
"""Without a key the server starts the stand-in too; two workers share what the master has imported."""

DIRECTORY: Final = "work"


def importable() -> set[str]:
    """All names that the interpreter and the libraries of these tests could be asked for."""
    libraries = {name for name in metadata.packages_distributions() if name.isidentifier()}
    return {*sys.stdlib_module_names, *libraries, *OPTIONAL, *OWN} - {"tests", "bench"}


def plant(directory: Path, names: Iterable[str], marker: Path) -> None:
    """Modules that write their name into `marker` when they are imported, and a distribution of our name."""
    code = f"with open({str(marker)!r}, 'a') as marker:\n    print(__name__, file=marker)\n"
    for name in names:
        (directory / f"{name}.py").write_text(code)
    fake = directory / "baton_server-99.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: baton-server\nVersion: 99\n")


Prepare = Callable[[Path, Path], list[str]]
"""Makes a directory hostile, with a marker elsewhere; returns the command that starts a server in it."""


@pytest.fixture(params=["wheel", "editable", "checkout"])
def prepare(request: pytest.FixtureRequest) -> Prepare:
    def installed(directory: Path, marker: Path) -> list[str]:
        plant(directory, [*importable(), "gunicorn.conf"], marker)
        if request.param == "wheel":
            return [str(request.getfixturevalue("wheel") / "baton"), "serve"]
        return [str(Path(sys.executable).with_name("baton")), "serve"]

    def checkout(directory: Path, marker: Path) -> list[str]:
        copy_checkout(directory)
        plant(directory, importable() - OWN, marker)
        return [str(GUNICORN)]

    return checkout if request.param == "checkout" else installed


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "imported"


@pytest.fixture
def hostile(prepare: Prepare, marker: Path, tmp_path: Path) -> Iterator[BatonProcess]:
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    agent = tmp_path / "searcher.yaml"
    agent.write_text(AGENT)
    command = prepare(directory, marker)
    settings = {**SETTINGS, "BATON_DATABASE_URL": f"sqlite:///{tmp_path / 'baton.db'}"}
    server = BatonProcess(directory, model_url="", agents=agent, settings=settings, command=command)
    yield server
    server.kill()


def imported(marker: Path) -> list[str]:
    return sorted(set(marker.read_text().split())) if marker.exists() else []


def assert_works(client: Client) -> None:
    """A run that searches: the model, its stand-in, a tool and the tool's own process are all at work."""
    session = client.new_session(tools_approved=True)
    assert text_of(client.say(session, SEARCH, agent="searcher")).endswith("found")
    assert client.get("/openapi.json").json()["info"]["version"] == metadata.version("baton-server")


def test_a_server_imports_nothing_of_its_directory(
    hostile: BatonProcess, marker: Path, request: pytest.FixtureRequest
) -> None:
    """At the start and after a reload; a server of a wheel also in a second server beside it."""
    hostile.start()
    client = Client(hostile.url)
    assert_works(client)
    assert imported(marker) == []

    before = set(hostile.worker_pids())
    hostile.signal(signal.SIGHUP)
    eventually(lambda: hostile.log().count("Booting worker") == 4, "two new workers", seconds=60)
    eventually(lambda: len(set(hostile.worker_pids()) & before) == 1, "the old ones are gone", seconds=60)
    assert_works(client)
    assert imported(marker) == []

    if "wheel" in request.node.name:
        _start_another(hostile, client)
    client.close()
    assert imported(marker) == []
    assert "Traceback" not in hostile.log()


def _start_another(hostile: BatonProcess, client: Client) -> None:
    hostile.signal(signal.SIGUSR2)
    eventually(lambda: hostile.log().count("Booting worker") == 6, "a second server", seconds=60)
    hostile.signal(signal.SIGTERM)
    eventually(
        lambda: not hostile.running, "the first server is gone", seconds=60
    )  # the fixture ends the second
    assert_works(client)


def test_a_checkout_serves_its_own_program_and_not_the_installed_one(tmp_path: Path) -> None:
    """Its virtual environment may have another version of it installed."""
    directory, loaded = copy_checkout(tmp_path / "checkout"), tmp_path / "loaded"
    for name in ("gunicorn.conf.py", "wsgi.py", "app/__init__.py", "anthropic_standin/__init__.py"):
        with (directory / name).open("a") as file:
            file.write(f"\nwith open({str(loaded)!r}, 'a') as file:\n    print({name!r}, file=file)\n")
    settings = {**SETTINGS, "BATON_WORKERS": "1"}
    command = [str(GUNICORN)]
    with BatonProcess(
        directory, model_url="", agents=ROOT / "agents", settings=settings, command=command
    ) as server:
        assert server.running
    assert set(loaded.read_text().split()) == {
        "gunicorn.conf.py",
        "wsgi.py",
        "app/__init__.py",
        "anthropic_standin/__init__.py",
    }


@pytest.mark.parametrize("words", [["--version"], ["db", "upgrade"], ["doctor"], ["check"]])
def test_a_command_imports_nothing_of_its_directory(
    words: list[str], wheel: Path, marker: Path, tmp_path: Path
) -> None:
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    plant(directory, importable(), marker)
    shutil.copytree(ROOT / "agents", directory / "agents")
    environment = {"PATH": "/usr/bin:/bin", "BATON_DATABASE_URL": f"sqlite:///{tmp_path / 'baton.db'}"}
    done = subprocess.run(
        [wheel / "baton", *words], cwd=directory, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert done.stdout + done.stderr
    assert imported(marker) == []


def started_pythons(path: Path) -> list[tuple[str, bool]]:
    """Each list in a program that begins with the interpreter: where it stands, and whether it is told not to look
    for modules in the current directory."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
            is_safe = ast.unparse(node.elts[1]) in (
                "'-P'",
                "'-I'",
                "*sys.orig_argv[1:]",
            )  # the last: as before
            found.append((f"{path.relative_to(ROOT)}:{node.lineno}", is_safe))
    return found


def test_every_interpreter_that_the_program_starts_is_told_to_ignore_its_directory() -> None:
    programs = [ROOT / "gunicorn.conf.py", ROOT / "wsgi.py"]
    for package in sorted(OWN - {"wsgi"}):
        programs += (ROOT / package).rglob("*.py")
    found = [one for path in programs for one in started_pythons(path)]
    assert len(found) >= 3
    assert [place for place, is_safe in found if not is_safe] == []
