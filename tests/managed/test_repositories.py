"""Repositories that are cloned into sessions, through the official SDK, from a web server of the test."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types.beta import BetaManagedAgentsSession

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools import git_clone, git_command
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_files import rows
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import TOOLSET, call, events, results


class Site(SimpleHTTPRequestHandler):
    """The files of a directory; /401/… and /403/… are refused, /302/… leads elsewhere."""

    def do_GET(self) -> None:
        status = self.path.split("/")[1]
        if status in ("401", "403", "302"):
            self.send_response(int(status))
            self.send_header("Location", "/code.git/info/refs")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


def git(directory: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@t.example", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *words], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A repository with two commits on main and a branch beside it."""
    place = tmp_path_factory.mktemp("site")
    work = place / "code.git"
    work.mkdir()
    git(work, "init", "--quiet")
    made = []
    for text in ("one", "two"):
        (work / "a.txt").write_text(text)
        git(work, "add", "a.txt")
        git(work, "commit", "--quiet", "-m", text)
        made.append(git(work, "rev-parse", "HEAD"))
    git(work, "branch", "beside/it", made[0])
    git(work, "update-server-info")
    (work / "info").symlink_to(".git/info")
    for name in ("HEAD", "objects", "refs", "packed-refs"):
        if (work / ".git" / name).exists():
            (work / name).symlink_to(f".git/{name}")
    return place, made


@pytest.fixture
def site(commits: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The repository's server; its address is taken for a public one, and needs no TLS."""
    monkeypatch.setattr(git_command, "SCHEMES", ("http", "https"))
    monkeypatch.setattr(git_clone, "is_public", lambda _address: True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(commits[0]))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


def repository(url: Any, **more: Any) -> Any:
    return {"type": "github_repository", "url": url, **more}


def session_of(sdk: Sdk, *resources: Any) -> BetaManagedAgentsSession:
    tools: Any = [{"type": TOOLSET}]
    agent = sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)
    environment = sdk.beta.environments.create(name="here")
    return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id, resources=list(resources))


def run(sdk: Sdk, session: str, command: str) -> None:
    sdk.beta.sessions.events.send(session, events=[say(call("bash", command=command) + "[then][say Done.]")])
    until_idle(sdk, session)


def test_a_repository_is_cloned_before_the_first_turn(
    server: Server, site: str, commits: tuple[Path, list[str]], model: OfflineServer
) -> None:
    url, (first, second) = f"{site}/code.git", commits[1]
    with Sdk(server, "anything") as sdk:
        session = sdk.checked(
            session_of(
                sdk,
                repository(url),
                repository(
                    url, mount_path="/workspace/old/it", checkout={"type": "commit", "sha": first[:7]}
                ),
                repository(url, mount_path="/workspace/b", checkout={"type": "branch", "name": "beside/it"}),
            )
        )
        resources: list[Any] = session.resources
        assert [one.mount_path for one in resources] == [
            "/workspace/code",
            "/workspace/old/it",
            "/workspace/b",
        ]
        assert resources[1].checkout.sha == first[:7]
        [one, _, _] = sdk.checked(sdk.beta.sessions.resources.list(session.id)).data
        assert one == resources[0]
        run(
            sdk,
            session.id,
            "cat */a.txt old/it/a.txt; git -C code rev-parse HEAD; git -C b branch --show-current; ls -a ..",
        )
        found = results(sdk, session.id)[0][0].split()
        assert found[:2] == [f"onetwoone{second}", "beside/it"]
        assert not [name for name in found if name.startswith(".cloning")]
        assert events(sdk, session.id, "session.error") == []
        assert f"- code: {url}" in str(model.requests[-1]["system"])
        with pytest.raises(anthropic.BadRequestError):
            sdk.beta.sessions.resources.delete(resources[0].id, session_id=session.id)
        with pytest.raises(anthropic.BadRequestError, match="authorization_token"):
            sdk.beta.sessions.resources.update(
                resources[0].id, session_id=session.id, authorization_token="t"
            )


FAILING: list[tuple[str, Any, str]] = [
    ("/401/code.git", None, "repository_authentication_error"),
    ("/403/code.git", None, "repository_forbidden_error"),
    ("/404/code.git", None, "repository_not_found_error"),
    ("/302/code.git", None, "repository_clone_error"),
    ("/code.git", {"type": "branch", "name": "none"}, "repository_checkout_error"),
    ("/code.git", {"type": "commit", "sha": "0" * 40}, "repository_checkout_error"),
]


def test_a_session_goes_on_without_repositories(server: Server, site: str) -> None:
    with Sdk(server, "anything") as sdk:
        given = [
            repository(site + path, checkout=checkout, mount_path=f"/workspace/r{number}")
            for number, (path, checkout, _) in enumerate(FAILING)
        ]
        session = session_of(sdk, *given)
        run(sdk, session.id, "ls -d r* || echo none")
        told = events(sdk, session.id, "session.error")
        assert [one.error.type for one in told] == [kind for _, _, kind in FAILING]
        assert [one.error.repository_url for one in told] == [site + path for path, _, _ in FAILING]
        assert {one.error.retry_status.type for one in told} == {"retrying"}
        assert all(one.error.message for one in told)
        assert results(sdk, session.id)[0][0].endswith("none")


def test_no_repository_is_cloned_from_a_private_address(
    server: Server, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(git_command, "SCHEMES", ("http",))
    with Sdk(server, "anything") as sdk:
        session = session_of(sdk, repository(f"{site}/code.git"))
        run(sdk, session.id, "ls code || echo none")
        [told] = events(sdk, session.id, "session.error")
        assert told.error.type == "repository_clone_error"
        assert "not on the public internet" in told.error.message


URL = "https://github.com/a/b"


BAD: list[Any] = [
    repository("http://github.com/a/b"),
    repository("ssh://github.com/a/b"),
    repository("git@github.com:a/b"),
    repository("file:///etc"),
    repository("https://"),
    repository("https://github.com"),
    repository("https://github.com/"),
    repository("https://github.com/.git"),
    repository("https://u:p@github.com/a/b"),
    repository("https://github.com/a/b?x=y"),
    repository("https://github.com/a b"),
    repository("https://github.com:x/a/b"),
    repository("https://[::1/a"),
    repository("--upload-pack=x"),
    repository(f"{URL}{'x' * 2048}"),
    repository(7),
    {"type": "github_repository"},
    *(
        repository(URL, authorization_token=token)
        for token in ("", "secret" * 683, "a secret", "secret\n", "secret\0", "sécret", 7, ["secret"])
    ),
    repository(URL, more=1),
    repository(URL, checkout="main"),
    repository(URL, checkout={"type": "tag", "name": "x"}),
    repository(URL, checkout={"type": "branch"}),
    *(
        repository(URL, checkout={"type": "branch", "name": name})
        for name in ("", "x" * 256, "-x", "a..b", "a b", "a:b", "a\\b", "x.lock", "a\0", "@{x")
    ),
    *(
        repository(URL, checkout={"type": "commit", "sha": sha})
        for sha in ("", "abcdef", "0" * 65, "-abcdefg", "ghijklm")
    ),
    *(
        repository(URL, mount_path=path)
        for path in (
            "b",
            "/workspace",
            "/workspace/../x",
            "/etc/x",
            "/workspace/uploads/x",
            "/workspace/Outputs",
        )
    ),
]


def test_bad_repositories_are_refused(sdk: Sdk, laptop: Server, new_session: SessionMaker) -> None:
    before = rows(laptop.store.database, "sessions", "session_resources")
    for bad in BAD:
        with pytest.raises(anthropic.BadRequestError):
            new_session(resources=[bad])
        assert sdk.sent["error"]["type"] == "invalid_request_error", bad
        assert "secret" not in str(sdk.sent)
    assert rows(laptop.store.database, "sessions", "session_resources") == before


def test_repositories_do_not_lie_in_one_another(sdk: Sdk, new_session: SessionMaker) -> None:
    for path in ("/workspace/b", "/workspace/B/c", "/workspace/./b/"):
        with pytest.raises(anthropic.BadRequestError, match="overlaps another resource"):
            new_session(resources=[repository(URL), repository(URL, mount_path=path)])
    many = [repository(URL, mount_path=f"/workspace/{number}") for number in range(11)]
    with pytest.raises(anthropic.BadRequestError, match="at most 10 repositories"):
        new_session(resources=many)
