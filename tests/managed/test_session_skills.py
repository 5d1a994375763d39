"""Skills in agents and sessions: which version a session has, what its model is told, and where the files lie."""

from __future__ import annotations

import os
import shutil
import stat
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
from tests.managed.skill_files import skill
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import TOOLSET, call, results


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    """For runs: its threads end with the test."""
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def either(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    """Once with each kind of database."""
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",), database_url=database_url))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def own(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


NOBODY = "skill_011111111111111111111111"
READ = call("read", file_path="skills/poems/SKILL.md") + "[then][say Done.]"


def custom(skill_id: str, **more: Any) -> Any:
    return {"type": "custom", "skill_id": skill_id, **more}


def made_agent(sdk: Sdk, *skills: Any, **more: Any) -> Any:
    tools: Any = [{"type": TOOLSET}]
    return sdk.checked(
        sdk.beta.agents.create(
            name="Poet", model="claude-sonnet-5-5", tools=tools, skills=list(skills), **more
        )
    )


def made_session(sdk: Sdk, agent: Any, **more: Any) -> Any:
    environment = sdk.beta.environments.create(name="here")
    return sdk.checked(sdk.beta.sessions.create(agent=agent, environment_id=environment.id, **more))


def directory(server: Server, session: str) -> Path:
    (root,) = server.settings.roots
    return Path(root) / "environments" / session


def asked(model: OfflineServer, words: str) -> str:
    """The system prompt of the request that has these words."""
    (found,) = [one for one in model.requests if words in str(one["messages"])][:1]
    return str(found["system"])


def test_a_session_has_the_version_that_was_the_latest_when_it_was_made(
    own: Sdk, server: Server, model: OfflineServer
) -> None:
    made = own.beta.skills.create(files=skill(description="Odes & <songs>."))
    agent = made_agent(own, custom(made.id), system="Be brief.")
    assert [one.version for one in agent.skills] == ["latest"]
    session = made_session(own, agent.id)
    assert [one.version for one in session.agent.skills] == [made.latest_version_id]
    own.beta.skills.versions.create(made.id, files=skill(description="New.", body="New."))

    said = (
        call("bash", command="skills/poems/count.sh < skills/poems/notes/metre.md") + READ + "[say of poems]"
    )
    own.beta.sessions.events.send(session.id, events=[say(said)])
    until_idle(own, session.id)
    (counted, _), (text, _) = results(own, session.id)
    assert counted.strip() == "0"
    assert text.endswith("description: Odes & <songs>.\n---\nRhyme.\n")
    system = asked(model, "of poems")
    assert "Be brief." in system
    assert "<description>Odes &amp; &lt;songs&gt;.</description>" in system
    assert "<location>skills/poems/SKILL.md</location>" in system
    here = directory(server, session.id) / "skills/poems"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in here.iterdir() if path.is_file()}
    assert modes == {"SKILL.md": 0o444, "count.sh": 0o555}
    own.beta.sessions.delete(session.id)
    assert not here.exists()


def test_files_that_are_gone_come_back_and_those_that_are_there_stay(own: Sdk, server: Server) -> None:
    made = own.beta.skills.create(files=skill())
    session = made_session(own, made_agent(own, custom(made.id)).id, initial_events=[say("[say One.]")])
    until_idle(own, session.id)
    here = directory(server, session.id)
    shutil.rmtree(here)
    own.beta.sessions.events.send(session.id, events=[say(READ)])
    until_idle(own, session.id, times=2)
    assert results(own, session.id)[0][0].endswith("Rhyme.\n")
    (here / "skills/poems/notes/metre.md").unlink()
    own.beta.sessions.events.send(session.id, events=[say("[say Three.]")])
    until_idle(own, session.id, times=3)
    assert not (here / "skills/poems/notes/metre.md").exists()


def test_no_link_leads_a_skill_out_of_its_session(own: Sdk, server: Server, tmp_path: Path) -> None:
    made = own.beta.skills.create(files=skill())
    session = made_session(own, made_agent(own, custom(made.id)).id)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    os.symlink(elsewhere, directory(server, session.id) / "skills")
    own.beta.sessions.events.send(session.id, events=[say("[say One.]")])
    until_idle(own, session.id)
    assert list(elsewhere.iterdir()) == []


def test_what_is_deleted_stays_for_the_sessions_that_have_it(either: Server) -> None:
    own = Sdk(either, "anything")
    made = own.beta.skills.create(files=skill())
    agent = made_agent(own, custom(made.id))
    session = made_session(own, agent.id)
    own.beta.skills.versions.delete(made.latest_version_id, skill_id=made.id)
    own.beta.skills.delete(made.id)
    with pytest.raises(anthropic.BadRequestError, match=r"agent\.skills\.0: Skill not found"):
        made_session(own, agent.id)
    own.beta.sessions.events.send(session.id, events=[say(READ)])
    until_idle(own, session.id)
    assert results(own, session.id)[0][0].endswith("Rhyme.\n")
    own.beta.sessions.delete(session.id)
    assert either.store.prune().skill_versions == 1
    assert either.store.skills.archive_of(made.latest_version_id) == b""
    own.close()


def test_a_session_may_have_other_skills_than_its_agent(sdk: Sdk) -> None:
    poems, odes = sdk.beta.skills.create(files=skill()), sdk.beta.skills.create(files=skill("odes"))
    agent = made_agent(sdk, custom(poems.id))

    def skills(**more: Any) -> list[Any]:
        override: Any = {"type": "agent_with_overrides", "id": agent.id, **more}
        return [(one.skill_id, one.version) for one in made_session(sdk, override).agent.skills]

    assert skills() == [(poems.id, poems.latest_version_id)]
    assert skills(skills=None) == skills(skills=[]) == []
    assert skills(skills=[custom(odes.id, version=odes.latest_version_id)]) == [
        (odes.id, odes.latest_version_id)
    ]
    number = sdk.get(
        f"/v1/skills/{odes.id}", cast_to=object, options={"headers": {"anthropic-version": "2023-06-01"}}
    )["latest_version"]  # type: ignore[index]
    assert skills(skills=[custom(odes.id, version=number)]) == [(odes.id, odes.latest_version_id)]


def test_skills_that_can_not_be_had_are_refused(sdk: Sdk) -> None:
    poems, other = sdk.beta.skills.create(files=skill()), sdk.beta.skills.create(files=skill())
    agent = made_agent(sdk, custom(poems.id))
    for skills, words in (
        (
            [{"type": "anthropic", "skill_id": "xlsx"}],
            "skills.0.type: this server has no skills of Anthropic's",
        ),
        ([custom(NOBODY)], f"skills.0: Skill not found: {NOBODY}, version latest"),
        ([custom("poems")], "skills.0: Invalid skill ID: poems"),
        ([custom(poems.id, version="new")], "skills.0: Invalid skill version ID"),
        ([custom(poems.id, version=other.latest_version_id)], "skills.0: Skill version not found"),
        ([custom(poems.id, version="7")], "skills.0: Skill version not found"),
        ([custom(poems.id), custom(poems.id)], f'duplicate skill_id "{poems.id}"'),
        ([custom(poems.id), custom(other.id)], "skills.1: there is another skill with the name poems"),
        ([custom(poems.id)] * 501, "skills: list should have at most 500 items"),
        ([{"type": "plugin", "skill_id": poems.id}], 'skills[0].type: "plugin" is not a valid value'),
    ):
        override = {"type": "agent_with_overrides", "id": agent.id, "skills": skills}
        for send in (
            lambda given: made_agent(sdk, *given),
            lambda given: sdk.beta.agents.update(agent.id, skills=given),
            lambda _, override=override: made_session(sdk, override),
        ):
            with pytest.raises(anthropic.BadRequestError):
                send(skills)
            assert words in sdk.sent["error"]["message"]
    assert sdk.beta.agents.retrieve(agent.id).version == 1
    assert sdk.checked(sdk.beta.agents.update(agent.id, skills=None)).skills == []


def test_skills_of_others_are_not_there(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "ben-has-this-token") as ben:
        private = ann.beta.skills.create(files=skill())
        model: Any = {"name": "x", "model": "claude-sonnet-5-5"}
        assert ann.beta.agents.create(**model, skills=[custom(private.id)]).skills
        with pytest.raises(anthropic.BadRequestError, match=r"skills\.0: Skill not found"):
            ben.beta.agents.create(**model, skills=[custom(private.id)])
