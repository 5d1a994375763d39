"""A server that lives in a forked child for one story of a client of the Managed Agents API, and kills itself.

As `tests.kill_points.doomed`: `python -m tests.managed.doomed` forks a child for every line that it reads.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import app.agent.anthropic.anthropic_model  # noqa: F401 - before the fork, or each child imports the SDK anew
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.process import eventually
from tests.kill_points.doomed import PATIENCE, die_at_write, tell
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import TWO_CALLS, idle_events, last_stop, results_of
from tests.managed.self_hosted import BASH, READ
from tests.managed.test_sessions import say
from tests.managed.toolset_calls import confirm
from tests.managed.work_story import work


def live(order: dict[str, Any]) -> None:
    """The client says something, makes or confirms the calls that the agent asks for, and waits for the end; or a
    worker makes them."""
    os.setsid()
    signal.alarm(PATIENCE)
    settings = make_settings(Path(order["directory"]), order["model_url"], database_url=order["database_url"])
    server = build(settings)
    die_at_write(order["at_write"], order["moment"])
    session = order["session"]
    if order.get("story") == "work":
        with_worker(server, session, order["environment"])
        return
    with Sdk(server, "anything") as sdk:
        sdk.beta.sessions.events.send(session, events=[say(order.get("says", TWO_CALLS))])
        tell({"type": "message"})
        eventually(lambda: len(idle_events(sdk, session)) == 1, "the session is idle")
        uses = last_stop(sdk, session)
        answers = [confirm(use) for use in uses] if order.get("confirms") else results_of(uses)
        sdk.beta.sessions.events.send(session, events=answers)
        tell({"type": "results"})
        eventually(lambda: len(idle_events(sdk, session)) == 2, "the session is idle again")


def with_worker(server: Server, session: str, environment: str) -> None:
    with Sdk(server, "anything") as sdk:
        sdk.beta.sessions.events.send(session, events=[say(f"{BASH}{READ}[then][say Done.]")])
        tell({"type": "message"})
        eventually(lambda: len(idle_events(sdk, session)) == 1, "the session is idle")
        while not work(server, environment, lambda use: tell({"type": "made", "use": use})):
            pass
        eventually(lambda: len(idle_events(sdk, session)) == 2, "the session is idle again")


def main() -> None:
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                live(json.loads(line))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(70)
        _, status = os.waitpid(child, 0)
        tell({"type": "exit", "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
