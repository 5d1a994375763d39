"""What workers' tokens open, and what they do not: the key of an environment, and the token of one item of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.managed.conftest import Sdk
from tests.managed.self_hosted import BASH, READ, environment_of, new_session, result
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import TOOLSET, waiting
from tests.managed.work_story import token_of

KEY = "the-key-of-an-environment"
Ask = Callable[[], object]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server's threads end with it."""


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    _write(path, "")
    return path


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer, tokens: Path
) -> Iterator[Server]:
    known = [(f"{name}/{role}", f"{name}-has-this-token") for name, role in _NAMES.items()]
    settings = make_settings(
        tmp_path_factory.mktemp("w"), stand_in.url, auth_tokens=known, tokens_file=tokens
    )
    built = build(settings)
    yield built
    built.close()


_NAMES = {"olga": "operator", "ann": "user", "ben": "user", "rita": "readonly"}


@pytest.fixture
def ann(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "ann-has-this-token") as client:
        yield client


def _write(path: Path, line: str) -> None:
    path.touch(mode=0o600)
    path.write_text(line + "\n")


def _session(sdk: Sdk, environment: str) -> str:
    """Of an agent whose tools run unasked, which only workers may."""
    agent = sdk.beta.agents.create(name="Plain", model="claude-sonnet-5-5")
    overridden: Any = {"type": "agent_with_overrides", "id": agent.id, "tools": [{"type": TOOLSET}]}
    first: Any = [say(f"{BASH}{READ}[then][say Done.]")]
    made = sdk.beta.sessions.create(agent=overridden, environment_id=environment, initial_events=first)
    return made.id


def all_refused(asks: list[Ask], kind: type[anthropic.APIStatusError]) -> None:
    for ask in asks:
        with pytest.raises(kind):
            ask()


def _at_the_other_door(server: Server, token: str) -> int:
    with server.app.test_client() as client:
        answer = client.get("/api/sessions", headers={"Authorization": f"Bearer {token}"})
        return int(answer.status_code)


def test_a_key_does_the_work_of_its_environment_and_nothing_else(
    server: Server, ann: Sdk, tokens: Path
) -> None:
    environment, other = environment_of(ann), environment_of(ann)
    _write(tokens, f"ann/worker={environment}:{KEY}")
    session = _session(ann, environment)
    waiting(ann, session)
    with Sdk(server, KEY) as key:
        work = key.beta.environments.work
        assert [item.data.id for item in work.list(environment)] == [session]
        assert work.stats(environment).depth == 1
        all_refused([lambda: work.poll(other), lambda: work.stats(other)], anthropic.NotFoundError)
        item = work.poll(environment)
        assert item is not None
        of_item: Any = {"environment_id": environment}
        all_refused(
            [
                lambda: work.retrieve(item.id, **of_item),
                lambda: work.update(item.id, metadata={}, **of_item),
                lambda: key.beta.environments.retrieve(environment),
                lambda: key.beta.environments.list(),
                lambda: key.beta.sessions.retrieve(session),
                lambda: key.beta.sessions.events.list(session),
                lambda: key.beta.sessions.events.send(session, events=[say("Hello.")]),
                lambda: key.beta.sessions.list(),
                lambda: key.beta.agents.list(),
            ],
            anthropic.PermissionDeniedError,
        )
        assert _at_the_other_door(server, KEY) == 403
        work.ack(item.id, **of_item)
        first = work.heartbeat(item.id, expected_last_heartbeat="NO_HEARTBEAT", **of_item)
        assert first.state == "active"
        assert work.stop(item.id, force=True, **of_item).state == "stopped"
    until_idle(ann, session, times=1)
    ann.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(ann, session, times=2)


def test_the_token_of_an_item_opens_its_session_and_no_other(server: Server, ann: Sdk, tokens: Path) -> None:
    environment = environment_of(ann)
    _write(tokens, f"ann/worker={environment}:{KEY}")
    first, second = _session(ann, environment), _session(ann, environment)
    for session in (first, second):
        waiting(ann, session)
    with Sdk(server, KEY) as key:
        items = [key.beta.environments.work.poll(environment) for _ in range(2)]
        by_session = {item.data.id: item for item in items if item is not None}
        for item in by_session.values():
            key.beta.environments.work.ack(item.id, environment_id=environment)
    mine, theirs = by_session[first], by_session[second]
    uses, others = waiting(ann, first), waiting(ann, second)
    with Sdk(server, token_of(mine)) as worker:
        send, work = worker.beta.sessions.events.send, worker.beta.environments.work
        assert worker.beta.sessions.retrieve(first).id == first
        all_refused(
            [
                lambda: worker.beta.sessions.retrieve(second),
                lambda: worker.beta.sessions.events.list(second),
                lambda: send(second, events=[result(others[0])]),
                lambda: work.heartbeat(theirs.id, environment_id=environment),
                lambda: work.stop(theirs.id, environment_id=environment),
            ],
            anthropic.NotFoundError,
        )
        all_refused([lambda: send(first, events=[result(others[0])])], anthropic.BadRequestError)
        all_refused(
            [
                lambda: send(first, events=[say("Hello.")]),
                lambda: send(first, events=[result(uses[0]), {"type": "user.interrupt"}]),
                lambda: work.poll(environment),
                lambda: work.list(environment),
                lambda: work.stats(environment),
                lambda: worker.beta.sessions.update(first, title="mine"),
                lambda: worker.beta.sessions.archive(first),
                lambda: worker.beta.sessions.delete(first),
                lambda: worker.beta.sessions.list(),
                lambda: worker.beta.agents.create(name="x", model="claude-sonnet-5-5"),
            ],
            anthropic.PermissionDeniedError,
        )
        assert _at_the_other_door(server, token_of(mine)) == 403
        send(first, events=[result(uses[0]), result(uses[1])])
        until_idle(ann, first, times=2)
        work.stop(mine.id, environment_id=environment, force=True)
        all_refused([lambda: worker.beta.sessions.retrieve(first)], anthropic.AuthenticationError)
    with Sdk(server, "work-token.x") as stranger:
        all_refused([lambda: stranger.beta.sessions.retrieve(first)], anthropic.AuthenticationError)
    ann.beta.sessions.events.send(second, events=[{"type": "user.interrupt"}])
    until_idle(ann, second, times=2)


def test_a_queue_is_its_owners(server: Server, ann: Sdk) -> None:
    environment = environment_of(ann)
    with (
        Sdk(server, "olga-has-this-token") as olga,
        Sdk(server, "ben-has-this-token") as ben,
        Sdk(server, "rita-has-this-token") as rita,
    ):
        shared = environment_of(olga)
        asks: list[Callable[[Sdk, str], object]] = [
            lambda sdk, where: sdk.beta.environments.work.list(where),
            lambda sdk, where: sdk.beta.environments.work.stats(where),
            lambda sdk, where: sdk.beta.environments.work.poll(where),
        ]
        for ask in asks:
            with pytest.raises(anthropic.NotFoundError):
                ask(ben, environment)
            with pytest.raises(anthropic.PermissionDeniedError):
                ask(ben, shared)
            ask(ann, environment)
            ask(olga, environment)
        with pytest.raises(anthropic.PermissionDeniedError):
            rita.beta.environments.work.poll(environment)
        assert rita.beta.environments.work.stats(environment).depth == 0


def test_an_items_token_is_a_fence_also_where_no_tokens_are_asked_for(laptop: Server, sdk: Sdk) -> None:
    environment = environment_of(sdk)
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    waiting(sdk, session)
    item = sdk.beta.environments.work.poll(environment)
    assert item is not None
    with Sdk(laptop, token_of(item)) as worker:
        all_refused([lambda: worker.beta.sessions.retrieve(session)], anthropic.AuthenticationError)
        sdk.beta.environments.work.ack(item.id, environment_id=environment)
        assert worker.beta.sessions.retrieve(session).id == session
        all_refused([lambda: worker.beta.sessions.list()], anthropic.PermissionDeniedError)
        assert _at_the_other_door(laptop, token_of(item)) == 403
        sdk.beta.sessions.archive(session)
        assert worker.beta.environments.work.stop(item.id, environment_id=environment, force=True)
    with Sdk(laptop, f"work-token.{item.id}.{'x' * 43}") as stranger:
        all_refused([lambda: stranger.beta.sessions.retrieve(session)], anthropic.AuthenticationError)
