"""What a session may cost: the cap stops it, and a change of the cap lets it go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types.beta import BetaManagedAgentsSession

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.id_validation import number_of
from app.managed.resuming import Resuming
from tests.conftest import make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import IDLE, say, server, types, until_idle
from tests.managed.toolset_calls import TOOLSET, call

__all__ = ["server"]

DEAR = f"[words 400]{call('bash', command='echo ran')}[then][say Done.]"
"""Its first request costs more than a cent."""


def limit(amount: Any, currency: Any = "USD") -> Any:
    return {"type": "limit", "max_list_cost": {"amount": amount, "currency": currency}}


def started(sdk: Sdk, budget: Any, *said: str, model: str = "claude-fable-5") -> BetaManagedAgentsSession:
    tools: Any = [{"type": TOOLSET}]
    agent = sdk.beta.agents.create(name="Dear", model=model, tools=tools)
    environment = sdk.beta.environments.create(name="here")
    given = {} if budget is None else {"budget": budget}
    return sdk.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[say(text) for text in said], **given
    )


def reasons(sdk: Sdk, session: str) -> list[str]:
    sdk.checked(listed := sdk.beta.sessions.events.list(session))
    return [event.stop_reason.type for event in listed if event.type == "session.status_idle"]


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def test_the_cap_stops_a_session_and_a_higher_one_lets_it_go_on(sdk: Sdk) -> None:
    made = sdk.checked(started(sdk, limit("1"), DEAR))
    assert sdk.sent["budget"] == limit("1")
    session = made.id
    until_idle(sdk, session)
    assert reasons(sdk, session) == ["budget_reached"]
    assert types(sdk, session)[-4:] == ["agent.tool_result", *IDLE]
    usage: Any = list(sdk.beta.sessions.events.list(session))[-2]
    assert usage.budget.max_list_cost.amount == "1"
    assert int(usage.usage.list_cost.amount) >= 1
    send = sdk.beta.sessions.events.send
    for events in ([say("More.")], [{"type": "user.interrupt"}, say("More.")]):
        with pytest.raises(anthropic.BadRequestError, match=r"only user.tool_confirmation, user.tool_result"):
            send(session, events=events)
    before = types(sdk, session)
    assert sdk.checked(send(session, events=[{"type": "user.interrupt"}])).data == []
    assert types(sdk, session) == before
    with pytest.raises(
        anthropic.BadRequestError, match=r"budget.max_list_cost must be greater .*budget_not_raised"
    ):
        sdk.beta.sessions.update(session, budget=limit("1"))
    assert sdk.checked(sdk.beta.sessions.update(session, budget=limit("1000"))).budget is not None
    until_idle(sdk, session, times=2)
    assert reasons(sdk, session) == ["budget_reached", "end_turn"]
    told: Any = [event for event in sdk.beta.sessions.events.list(session) if event.type == "agent.message"]
    assert told[-1].content[0].text == "Done."
    send(session, events=[say("[say Again.]")])
    until_idle(sdk, session, times=3)


def test_a_session_without_its_cap_goes_on_and_gets_no_other(sdk: Sdk, server: Server) -> None:
    session = started(sdk, limit("1"), DEAR).id
    until_idle(sdk, session)
    changed = sdk.checked(sdk.beta.sessions.update(session, budget=None))
    assert changed.budget is None
    until_idle(sdk, session, times=2)
    (updated,) = [
        event for event in sdk.beta.sessions.events.list(session) if event.type == "session.updated"
    ]
    assert updated.budget is None
    assert "budget" in updated.model_fields_set
    assert sdk.beta.sessions.update(session, budget=None).budget is None
    with pytest.raises(anthropic.BadRequestError, match="budget_create_only"):
        sdk.beta.sessions.update(session, budget=limit("1000"))
    with pytest.raises(anthropic.BadRequestError, match="budget_create_only"):
        sdk.beta.sessions.update(started(sdk, None).id, budget=limit("1000"))
    assert server.store.sessions.get(number_of(session)).budget is None


def test_another_process_goes_on_with_it(sdk: Sdk, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that stored the higher cap dies then."""
    session = started(sdk, limit("1"), DEAR).id
    until_idle(sdk, session)
    settings = server.settings
    other = build(make_settings(settings.roots[0], settings.api_base_url, database_url=settings.database_url))
    with monkeypatch.context() as dying, Sdk(other, "anything") as beside:
        dying.setattr(other.runtime.manager, "start_queued", lambda *_: False)
        beside.beta.sessions.update(session, budget=limit("1000"))
    other.close()
    Resuming(server.store, server.runtime.manager).resume_stranded()
    until_idle(sdk, session, times=2)
    assert reasons(sdk, session) == ["budget_reached", "end_turn"]


def test_an_end_of_the_turn_at_the_cap_is_one(sdk: Sdk) -> None:
    session = started(sdk, limit("1"), "[words 400]").id
    until_idle(sdk, session)
    assert reasons(sdk, session) == ["end_turn"]
    with pytest.raises(anthropic.BadRequestError, match="has reached its budget"):
        sdk.beta.sessions.events.send(session, events=[say("More.")])
    sdk.beta.sessions.update(session, budget=limit("1000"))
    sdk.beta.sessions.events.send(session, events=[say("[say More.]")])
    until_idle(sdk, session, times=2)
    assert reasons(sdk, session) == ["end_turn"] * 2


REFUSED: Any = [
    (limit("25.00"), "budget.max_list_cost.amount"),
    (limit("0"), "budget.max_list_cost.amount"),
    (limit("01"), "budget.max_list_cost.amount"),
    (limit("-1"), "budget.max_list_cost.amount"),
    (limit("1" * 13), "budget.max_list_cost.amount"),
    (limit("1\n"), "budget.max_list_cost.amount"),
    (limit(1), "budget.max_list_cost.amount"),
    (limit("1", "EUR"), "budget.max_list_cost.currency"),
    ({"type": "tokens"}, "budget.type"),
    ({"type": "limit"}, "budget.max_list_cost: field is required"),
    ({**limit("1"), "more": 1}, "budget.more: unknown field"),
    ("25", "budget"),
]


def test_what_is_no_budget_is_refused(sdk: Sdk) -> None:
    for budget, words in REFUSED:
        with pytest.raises(anthropic.BadRequestError, match=words):
            started(sdk, budget)
    with pytest.raises(anthropic.BadRequestError, match="model_not_budgetable"):
        started(sdk, limit("1"), model="claude-mythos-5-2")


def test_a_session_may_not_cost_more_than_the_operator_says(tmp_path: Any, model: OfflineServer) -> None:
    """Its own cap is higher; the operator's is no `budget_reached`, for no client can raise it."""
    built = build(make_settings(tmp_path, model.url, session_budget=0.01))
    with Sdk(built, "anything") as sdk:
        session = started(sdk, limit("1000"), DEAR).id
        until_idle(sdk, session)
        assert reasons(sdk, session) == ["retries_exhausted"]
        sdk.beta.sessions.update(session, budget=None)
        assert built.store.sessions.get(number_of(session)).budget is None
        eventually(lambda: built.store.runs.live_run(number_of(session)) is None, "no run begins")
    built.close()
