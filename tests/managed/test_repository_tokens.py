"""Repositories that are cloned with a token, which nobody is shown: through the official SDK, from a web server of the
test."""

from __future__ import annotations

import base64
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools import git_clone, git_command
from app.agent.tools.git_relay import relay
from app.factory import Server, build
from app.managed.vaults.resealing import reseal_all
from app.managed.vaults.secret_box import SecretBox
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import VAULT_KEY, Sdk, SessionMaker
from tests.managed.guarded_site import GuardedSite, guarded_site
from tests.managed.test_files import rows
from tests.managed.test_repositories import commits, repository, session_of  # noqa: F401 - a fixture
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import call, events, results

TOKEN = "ghp_Nobody-May-See.This+1"
SECRETS = (TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode())
OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="
URL = "https://github.com/a/b"


@pytest.fixture
def site(commits: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedSite]:  # noqa: F811
    """The repository's server; its address is taken for a public one, and needs no TLS."""
    monkeypatch.setattr(git_command, "SCHEMES", ("http", "https"))
    monkeypatch.setattr(git_clone, "is_public", lambda _address: True)
    with guarded_site(commits[0], TOKEN) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = server_with(tmp_path, model, VAULT_KEY)
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


def server_with(tmp_path: Path, model: OfflineServer, *keys: str) -> Server:
    return build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",), vault_keys=keys))


def private(url: str, token: Any = TOKEN, **more: Any) -> Any:
    return repository(url, authorization_token=token, **more)


def run(sdk: Sdk, session: str, command: str, *, times: int = 1) -> str:
    """What a command has said in a further turn."""
    sdk.beta.sessions.events.send(session, events=[say(call("bash", command=command) + "[then][say Done.]")])
    until_idle(sdk, session, times=times)
    return results(sdk, session)[-1][0]


def ids(session: Any) -> list[str]:
    """Those of its resources."""
    return [one.id for one in session.resources]


def shown(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


class Processes:
    """What all processes of this machine show of themselves, at the moments at which it is called."""

    def __init__(self) -> None:
        self.seen = ""

    def __call__(self) -> None:
        for name in ("cmdline", "environ"):
            for file in Path("/proc").glob(f"[0-9]*/{name}"):
                try:
                    self.seen += file.read_text(errors="replace").replace("\0", "\n")
                except OSError:
                    pass  # it has ended, or is somebody else's


def test_a_private_repository_is_cloned_and_nobody_is_shown_the_token(
    server: Server,
    site: GuardedSite,
    commits: tuple[Path, list[str]],  # noqa: F811
    model: OfflineServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("app", "urllib3"):  # the SDK's own tells what the client has sent
        caplog.set_level(logging.DEBUG, logger=name)
    url, (first, second) = f"{site.url}/basic/code.git", commits[1]
    site.looked = processes = Processes()
    told = []
    with Sdk(server, "anything") as sdk:
        session = sdk.checked(
            session_of(
                sdk,
                private(url, checkout=None),
                private(
                    f"{site.url}/bearer/code.git/",
                    mount_path="/workspace/old/it",
                    checkout={"type": "commit", "sha": first[:7]},
                ),
                private(url, mount_path="/workspace/b", checkout={"type": "branch", "name": "beside/it"}),
            )
        )
        told.append(sdk.sent)
        command = (
            "cat */a.txt old/it/a.txt; git -C code rev-parse HEAD; git -C b branch --show-current; ls -A .."
        )
        said = run(sdk, session.id, command).split()
        assert said[:2] == [f"onetwoone{second}", "beside/it"]
        assert not [name for name in said if name.startswith(".cloning")]
        assert events(sdk, session.id, "session.error") == []
        fetched = run(sdk, session.id, "git -C code fetch 2>&1; cat code/.git/config; env", times=2)
        assert "could not read Username" in fetched
        assert f"url = {url}\n" in fetched
        for ask in (
            lambda: sdk.beta.sessions.retrieve(session.id),
            lambda: sdk.beta.sessions.list(),
            lambda: sdk.beta.sessions.resources.list(session.id),
            lambda: sdk.beta.sessions.resources.retrieve(ids(session)[0], session_id=session.id),
            lambda: sdk.beta.sessions.events.list(session.id),
        ):
            sdk.checked(ask())
            told.append(sdk.sent)
    exported = [*server.store.belongings.rows("")]
    assert "repository_tokens" in [table for table, _ in exported]
    assert site.url in processes.seen  # git itself was there
    assert "/basic/code.git" in caplog.text
    files = [file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()]
    places = [str(told), str(exported), str(model.requests), caplog.text, processes.seen, *files]
    assert [shown(place) for place in places if shown(place)] == []
    assert shown(str(site.asked))  # the search finds it


FAILING: list[tuple[str, str, str, str]] = [
    ("/basic/code.git", "wrong", "authentication", "localhost refuses the authorization_token"),
    ("/bearer/code.git", "wrong", "authentication", "localhost refuses the authorization_token"),
    ("/echo/code.git", TOKEN, "forbidden", "/echo/code.git/': The requested URL returned error: 403"),
    ("/moved/code.git", TOKEN, "clone", "/moved/code.git/': The requested URL returned error: 302"),
    ("/basic/none.git", TOKEN, "not_found", "/basic/none.git/' not found"),
]


def test_a_token_goes_nowhere_else_and_failures_do_not_show_it(
    server: Server,
    site: GuardedSite,
    commits: tuple[Path, list[str]],  # noqa: F811
    model: OfflineServer,
) -> None:
    with guarded_site(commits[0], TOKEN) as other, Sdk(server, "anything") as sdk:
        site.elsewhere = other.url
        given = [
            private(site.url + path, token, mount_path=f"/workspace/r{number}")
            for number, (path, token, _, _) in enumerate(FAILING)
        ]
        session = session_of(sdk, *given)
        assert run(sdk, session.id, "ls -d r* || echo none").endswith("none")
        told = events(sdk, session.id, "session.error")
        assert [one.error.type for one in told] == [f"repository_{kind}_error" for _, _, kind, _ in FAILING]
        assert [one.error.repository_url for one in told] == [site.url + path for path, *_ in FAILING]
        for one, (path, _, _, words) in zip(told, FAILING, strict=True):
            assert words in one.error.message, path
            assert "127.0.0.1" not in one.error.message
        assert shown(str(told) + str(sdk.sent) + str(model.requests)) == []
        assert other.asked == []

        first: Any = session.resources[0]
        changed: Any = sdk.checked(
            sdk.beta.sessions.resources.update(first.id, session_id=session.id, authorization_token=TOKEN)
        )
        assert shown(str(sdk.sent)) == []
        assert changed.updated_at > first.updated_at
        assert changed.model_copy(update={"updated_at": first.updated_at}) == first
        assert run(sdk, session.id, "cat r0/a.txt", times=2) == "two"


def test_no_private_address_is_shown_a_token(
    site: GuardedSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = iter([True, False])  # the name leads elsewhere the second time
    monkeypatch.setattr(git_clone, "is_public", lambda _address: next(answers, False))
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", site.server_port))]
    )
    with pytest.raises(git_clone.CloneFailed, match="localhost is not a public address"):
        git_clone.clone(f"{site.url}/basic/code.git", None, tmp_path / "a", {}, seconds=60.0, token=TOKEN)
    assert site.asked == []


def test_a_relay_lets_git_read_one_repository_and_nobody_else(site: GuardedSite) -> None:
    with relay(f"{site.url}/basic/code.git", TOKEN, seconds=60.0, allows=lambda _: True) as made:
        name, _, permission = made.variables["GIT_CONFIG_VALUE_0"].partition(": ")
        refs = "/info/refs?service=git-upload-pack"

        def status(path: str, *, method: str = "GET", **headers: str) -> int:
            return requests.request(method, made.address + path, headers=headers, timeout=9).status_code

        mine = {name: permission}
        assert status(refs, **mine) == 200
        for headers in ({}, {name: "Bearer x"}, {name: f"Basic {SECRETS[1]}"}, {name: "Bearer \xff"}):
            assert status(refs, **headers) == 403
            assert status("/git-upload-pack", method="POST", **headers) == 403
        before = len(site.asked)
        for method, path in [
            ("GET", "/info/refs?service=git-receive-pack"),
            ("GET", "/info/refs?service=git-upload-pack&x=y"),
            ("GET", "/objects/..%2f..%2fa"),
            ("GET", "/other"),
            ("GET", "/git-upload-pack"),
            ("POST", "/git-receive-pack"),
            ("POST", "/info/refs"),
        ]:
            assert status(path, method=method, **mine) == 403, path
        assert (
            requests.post(
                f"{made.address}/git-upload-pack", data=iter([b"x"]), headers=mine, timeout=9
            ).status_code
            == 403
        )
        assert len(site.asked) == before


def test_a_lost_key_is_told_and_a_token_is_given_anew(
    tmp_path: Path, model: OfflineServer, site: GuardedSite
) -> None:
    url = f"{site.url}/basic/code.git"
    with ExitStack() as closing:

        def start(*keys: str) -> Sdk:
            closing.pop_all().close()
            server = server_with(tmp_path, model, *keys)
            closing.callback(server.close)
            return closing.enter_context(Sdk(server, "anything"))

        sdk = start(OTHER_KEY)
        session = session_of(sdk, private(url))
        resource = ids(session)[0]
        for times, (keys, words) in enumerate(
            [
                ((), "this server has no BATON_VAULT_KEY"),
                ((VAULT_KEY,), "no key of BATON_VAULT_KEY opens them"),
            ]
        ):
            sdk = start(*keys)
            assert run(sdk, session.id, "ls code || echo none", times=times + 1).endswith("none")
            said = events(sdk, session.id, "session.error")[-1].error
            assert said.type == "repository_authentication_error"
            assert words in said.message
        sdk.beta.sessions.resources.update(resource, session_id=session.id, authorization_token=TOKEN)
        assert run(sdk, session.id, "cat code/a.txt", times=3) == "two"


def test_tokens_are_sealed_anew_and_go_with_their_session(tmp_path: Path, model: OfflineServer) -> None:
    server = server_with(tmp_path, model, OTHER_KEY)
    with Sdk(server, "anything") as sdk:
        made = [session_of(sdk, private(URL), repository(f"{URL}c")).id for _ in range(2)]
        store = server.store.resources
        known = [resource for resource, _ in store.sealed(behind="", limit=9)]
        assert len(known) == 2
        assert reseal_all(store, SecretBox((VAULT_KEY,))) == (0, known)
        assert reseal_all(store, SecretBox((VAULT_KEY, OTHER_KEY))) == (2, [])
        resource, sealed = store.sealed(behind=known[0], limit=9)[0]
        assert SecretBox((VAULT_KEY,)).open(resource, sealed) == {"token": TOKEN}
        for end in (sdk.beta.sessions.archive, sdk.beta.sessions.delete):
            before = rows(server.store.database, "repository_tokens")[0]
            end(made.pop())
            assert rows(server.store.database, "repository_tokens") == [before - 1]
    server.close()


def test_without_a_key_tokens_are_refused(tmp_path: Path, model: OfflineServer) -> None:
    server = server_with(tmp_path, model)
    with Sdk(server, "anything") as sdk:
        with pytest.raises(anthropic.BadRequestError, match=r"authorization_token: .* BATON_VAULT_KEY"):
            session_of(sdk, private(URL))
        assert shown(str(sdk.sent)) == []
        assert rows(server.store.database, "sessions", "session_resources") == [0, 0]
        session = session_of(sdk, repository(URL, authorization_token=None))
        with pytest.raises(anthropic.BadRequestError, match=r"authorization_token: .* BATON_VAULT_KEY"):
            sdk.beta.sessions.resources.update(
                ids(session)[0], session_id=session.id, authorization_token=TOKEN
            )
        assert list((tmp_path / "w").rglob("sesn_*")) == [tmp_path / "w" / "environments" / session.id]
    server.close()


def test_bad_rotations_are_refused(sdk: Sdk, laptop: Server, new_session: SessionMaker) -> None:
    file = sdk.beta.files.upload(file=("a.txt", b"a", "text/plain")).id
    session = new_session(resources=[private(URL), {"type": "file", "file_id": file}])
    cloned, mounted = ids(session)
    before = laptop.store.resources.token(cloned)

    def update(token: Any, resource: str = cloned) -> None:
        sdk.beta.sessions.resources.update(resource, session_id=session.id, authorization_token=token)

    for bad in ("", "x" * 4097, "a b", "a\n", "é", None, 7, [TOKEN], {"a": TOKEN}):
        with pytest.raises(anthropic.BadRequestError, match="authorization_token"):
            update(bad)
        assert shown(str(sdk.sent)) == []
    for more in ({"url": URL}, {"checkout": None}):
        with pytest.raises(anthropic.BadRequestError):
            sdk.beta.sessions.resources.update(
                cloned, session_id=session.id, authorization_token=TOKEN, extra_body=more
            )
    with pytest.raises(anthropic.BadRequestError, match="this resource has none"):
        update(TOKEN, mounted)
    with pytest.raises(anthropic.NotFoundError):
        update(TOKEN, f"{cloned[:-4]}1111")
    assert laptop.store.resources.token(cloned) == before
    update("x" * 4096)
    assert laptop.store.resources.token(cloned) != before
    sdk.beta.sessions.archive(session.id)
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        update(TOKEN)
    assert laptop.store.resources.token(cloned) is None


def test_nobody_else_rotates_a_token(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann:
        agent = ann.beta.agents.create(name="Plain", model="claude-sonnet-5-5")
        environment = ann.beta.environments.create(name="here")
        session = ann.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, resources=[private(URL)]
        )
        [resource] = ids(session)
        before = company.store.resources.token(resource)
        for token, refusal in [
            ("ben-has-this-token", anthropic.NotFoundError),
            ("rita-has-this-token", anthropic.PermissionDeniedError),
        ]:
            with Sdk(company, token) as other, pytest.raises(refusal):
                other.beta.sessions.resources.update(
                    resource, session_id=session.id, authorization_token="theirs"
                )
        assert company.store.resources.token(resource) == before
        ann.beta.sessions.resources.update(resource, session_id=session.id, authorization_token="mine")
        assert company.store.resources.token(resource) != before
