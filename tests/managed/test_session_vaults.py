"""The vaults that a new session names."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk


def test_the_vaults_of_a_session_are_looked_at(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "ben-has-this-token") as ben:
        agent = ann.beta.agents.create(name="A", model="claude-sonnet-5-5").id
        place = ann.beta.environments.create(name="here").id
        first, archived = (ann.beta.vaults.create(display_name=one).id for one in "ab")
        ann.beta.vaults.archive(archived)
        foreign = ben.beta.vaults.create(display_name="ben's").id

        def make(vaults: Any) -> Any:
            return ann.beta.sessions.create(agent=agent, environment_id=place, vault_ids=vaults)

        for vaults, kind, words in [
            ([foreign], anthropic.NotFoundError, r"Vault not found\."),
            (["vlt_x"], anthropic.BadRequestError, r"Invalid vault ID\."),
            ([first, archived], anthropic.BadRequestError, f"vault_ids: vault {archived} is archived"),
            ([first] * 51, anthropic.BadRequestError, "vault_ids"),
            (first, anthropic.BadRequestError, "vault_ids"),
        ]:
            with pytest.raises(kind, match=words):
                make(vaults)
        session = make([first])
        assert ann.beta.sessions.retrieve(session.id).vault_ids == [first]
        for change in ([], [first]):
            with pytest.raises(anthropic.BadRequestError, match="vault_ids"):
                ann.beta.sessions.update(session.id, vault_ids=change)
        ann.beta.vaults.delete(first)
        assert ann.beta.sessions.retrieve(session.id).vault_ids == [first]
