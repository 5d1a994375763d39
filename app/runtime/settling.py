"""What can be settled about a request to run before it stops, waits for or queues behind another run."""

from __future__ import annotations

from app.errors import Draining, ServerFull
from app.runtime.manager import RuntimeManager
from app.store.store import Store


def settle(
    store: Store,
    manager: RuntimeManager,
    session_id: str,
    *,
    when_busy: str,
    key: str,
    name: str | None,
    visible_to: str | None,
    expected_position: int | None,
) -> str:
    """The agent that the request names, as "key/name"; without a `name`, "key/" for any agent of the team.

    `when_busy` is `wait`, `interrupt` or `queue`.

    Takes no lock and changes nothing, so a refusal disturbs no run. Raises what `RuntimeManager.start` would raise
    in the end: AgentNotFound, InvalidAgentConfig, MissingEnvironment, SessionNotFound, StalePrecondition,
    BudgetReached, Draining; for `interrupt` also ServerFull and TooManyRuns, since the new run would have no room.
    """
    agent = manager.plan_of(key, name).agent
    if when_busy == "interrupt":
        with manager.admitted(session_id):
            if manager.places.full:  # the stopped run's place is given back too late to count on it
                raise ServerFull()
    elif when_busy == "wait" and manager.draining:
        raise Draining()
    store.runs.check(
        session_id,
        visible_to=visible_to,
        expected_position=expected_position,
        counts_runs=when_busy == "interrupt",
    )
    return agent if name is not None else agent.partition("/")[0] + "/"
