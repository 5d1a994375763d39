"""The part of a request to run that can be settled before it stops, waits for or queues behind another run."""

from __future__ import annotations

from app.errors import Draining, ServerFull
from app.runtime.live_runs import LiveRuns
from app.runtime.run_plan import Planner
from app.store.run_request import RunRequest
from app.store.store import Store


def preflight(store: Store, planner: Planner, runs: LiveRuns, request: RunRequest, *, when_busy: str) -> str:
    """The agent that the request names, as "key/name"; without a name, "key/" for any agent of the team.

    `when_busy` is `wait`, `interrupt` or `queue`.

    Takes no lock and changes nothing, so a refusal disturbs no run. Raises what `RuntimeManager.start` would raise
    in the end: AgentNotFound, InvalidAgentConfig, MissingEnvironment, SessionNotFound, StalePrecondition,
    BudgetReached, Draining; for `interrupt` also ServerFull and TooManyRuns, since the new run would have no room.
    """
    agent = planner.plan(request.key, request.name).agent
    if when_busy == "interrupt":
        with runs.admitted(request.session_id):
            if runs.full:  # the stopped run's place is given back too late to count on it
                raise ServerFull()
    elif when_busy == "wait" and runs.draining:
        raise Draining()
    store.claims.check(
        request.session_id,
        visible_to=request.visible_to,
        expected_position=request.expected_position,
        counts_runs=when_busy == "interrupt",
    )
    return agent if request.name is not None else agent.partition("/")[0] + "/"
