"""Skills and memory stores of a session whose tools workers run: a worker has those of its session, for its lease."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.self_hosted import BASH, environment_of
from tests.managed.skill_files import skill
from tests.managed.test_sessions import say, until_idle
from tests.managed.test_work_tokens import all_refused
from tests.managed.toolset_calls import TOOLSET
from tests.managed.work_story import token_of


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


def test_a_worker_has_the_skills_and_memories_of_its_session(server: Server) -> None:
    with Sdk(server, "anything") as sdk:
        beta: Any = sdk.beta
        mine, other = (beta.skills.create(files=skill(name)).id for name in ("poems", "prose"))
        notes, laws, foreign = (
            beta.memory_stores.create(name=name).id for name in ("notes", "laws", "foreign")
        )
        beta.memory_stores.memories.create(laws, path="/one.md", content="Be kind.")
        agent = beta.agents.create(
            name="W",
            model="claude-sonnet-5-5",
            tools=[{"type": TOOLSET}],
            skills=[{"type": "custom", "skill_id": mine}],
        )
        environment = environment_of(sdk)
        made = beta.sessions.create(
            agent=agent.id,
            environment_id=environment,
            resources=[
                {"type": "memory_store", "memory_store_id": notes},
                {"type": "memory_store", "memory_store_id": laws, "access": "read_only"},
            ],
            initial_events=[say(BASH)],
        )
        until_idle(sdk, made.id, times=1)
        item = beta.environments.work.poll(environment)
        beta.environments.work.ack(item.id, environment_id=environment)
        version = made.agent.skills[0].version
        with Sdk(server, token_of(item)) as worker:
            has: Any = worker.beta
            assert has.skills.versions.retrieve(version, skill_id=mine).name == "poems"
            assert has.skills.versions.download(version, skill_id=mine).read().startswith(b"PK")
            memories = has.memory_stores.memories
            assert [one.path for one in memories.list(laws)] == ["/one.md"]
            kept = memories.create(notes, path="/two.md", content="Rhymes.")
            memories.update(kept.id, memory_store_id=notes, content="Rhymes with times.")
            all_refused(
                [
                    lambda: has.skills.versions.retrieve("latest", skill_id=other),
                    lambda: memories.list(foreign).data,
                    lambda: memories.create(foreign, path="/x", content="x"),
                ],
                anthropic.NotFoundError,
            )
            all_refused(
                [
                    lambda: memories.create(laws, path="/x", content="x"),
                    lambda: has.skills.list(),
                    lambda: has.skills.create(files=skill("more")),
                    lambda: has.memory_stores.retrieve(notes),
                    lambda: has.memory_stores.memory_versions.list(notes),
                ],
                anthropic.PermissionDeniedError,
            )
            beta.environments.work.stop(item.id, environment_id=environment, force=True)
            with pytest.raises(anthropic.AuthenticationError):
                memories.list(laws)
        versions = beta.memory_stores.memory_versions.list(notes, memory_id=kept.id).data
        assert [one.created_by.session_id for one in versions] == [made.id, made.id]
        beta.sessions.events.send(made.id, events=[{"type": "user.interrupt"}])
        until_idle(sdk, made.id, times=2)
