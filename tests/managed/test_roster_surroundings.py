"""What a session has beside its agents, where these have a roster: skills, and the place where they work."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from app.factory import Server
from app.managed.teams import EveryTeam
from tests.managed.conftest import Sdk
from tests.managed.self_hosted import environment_of
from tests.managed.skill_files import skill
from tests.managed.test_rosters import coordinator, member


def having(*skills: str) -> Any:
    return [{"type": "custom", "skill_id": one} for one in skills]


def test_each_agent_has_its_own_skills(sdk: Sdk, laptop: Server) -> None:
    """All are placed in the session's directory; a model is told of those of its agent."""
    first, second = (sdk.skills.create(files=skill(name)).id for name in ("verses", "essays"))
    poet, writer = (
        member(sdk, "Poet", skills=having(first)),
        member(sdk, "Writer", skills=having(first, second)),
    )
    lead = coordinator(sdk, poet.id, writer.id, {"type": "self"})
    environment = sdk.beta.environments.create(name="skilled")
    made = sdk.checked(sdk.beta.sessions.create(agent=lead.id, environment_id=environment.id))
    roster: Any = made.agent.multiagent
    pinned = [[one.version for one in agent.skills] for agent in roster.agents]
    assert [len(one) for one in pinned] == [1, 2, 0]
    assert "latest" not in [*pinned[0], *pinned[1]]
    no_files: Any = None
    team = EveryTeam(no_files, laptop.store.managed).get(made.id)
    told = [[name in one.instruction for name in ("verses", "essays")] for one in team.agents]
    assert told == [[False, False], [True, False], [True, True], [False, False]]


def test_skills_of_one_name_must_be_one(sdk: Sdk) -> None:
    first, second = (sdk.skills.create(files=skill("songs")).id for _ in range(2))
    lead = coordinator(sdk, member(sdk, skills=having(first)).id, member(sdk, skills=having(second)).id)
    environment = sdk.beta.environments.create(name="clash")
    with pytest.raises(anthropic.BadRequestError, match="different skills with the name songs"):
        sdk.beta.sessions.create(agent=lead.id, environment_id=environment.id)


def test_workers_take_no_sessions_of_rosters(sdk: Sdk) -> None:
    lead = coordinator(sdk, member(sdk).id)
    with pytest.raises(anthropic.BadRequestError, match=r"agent\.multiagent"):
        sdk.beta.sessions.create(agent=lead.id, environment_id=environment_of(sdk))
