"""A worker of a self-hosted environment, step by step, at a server of this process."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from anthropic.types.beta.environments import BetaSelfHostedWork

from app.factory import Server
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import listed
from tests.managed.self_hosted import RESULT, result


def token_of(item: BetaSelfHostedWork | None) -> str:
    """The token of an item that a poll has answered."""
    assert item is not None
    assert item.secret is not None
    payload = base64.urlsafe_b64decode(item.secret + "=" * (-len(item.secret) % 4))
    return str(json.loads(payload)["sessions_token"])


def unmade(sdk: Sdk, session: str) -> list[str]:
    """The calls that a worker may make, and that have no result: as the SDK's worker finds them."""
    done = {event.tool_use_id for event in listed(sdk, session, RESULT)}
    allowed = {
        event.tool_use_id
        for event in listed(sdk, session, "user.tool_confirmation")
        if event.result == "allow"
    }
    return [
        event.id
        for event in listed(sdk, session, "agent.tool_use")
        if event.id not in done and (event.evaluated_permission == "allow" or event.id in allowed)
    ]


def work(
    server: Server,
    environment: str,
    make: Callable[[str], None],
    is_done: Callable[[], bool] = lambda: True,
) -> bool:
    """Takes an item, makes the calls that its session waits for, and gives the item back. False if there is none.
    `make` is told of each call before its result is sent; the worker stays until it `is_done`."""
    with Sdk(server, "anything") as key:
        item = key.beta.environments.work.poll(environment, reclaim_older_than_ms=0)
        if item is None:
            return False
        key.beta.environments.work.ack(item.id, environment_id=environment)
    with Sdk(server, token_of(item)) as worker:
        here: Any = {"environment_id": environment}
        items, session = worker.beta.environments.work, item.data.id
        beat = items.heartbeat(item.id, expected_last_heartbeat="NO_HEARTBEAT", **here)

        def is_worked_off() -> bool:
            for use in unmade(worker, session):
                make(use)
                worker.beta.sessions.events.send(session, events=[result(use, f"Result of {use}.")])
            return is_done()

        eventually(is_worked_off, "the worker is done")
        items.heartbeat(item.id, expected_last_heartbeat=beat.last_heartbeat, **here)
        items.stop(item.id, force=True, **here)
    return True
