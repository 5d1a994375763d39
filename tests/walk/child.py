"""A server that lives in a forked child for one scenario, in which one touch of the outside world goes wrong.

`python -m tests.walk.child` has imported everything and opened nothing, and forks a child for every order that it
reads. The child tells what its user saw, so it is known afterwards what had been acknowledged.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import json
import logging
import os
import signal
import sys
import traceback
from collections import Counter
from typing import Any, Final

import app.agent.anthropic.anthropic_model  # noqa: F401 - before the fork, or each child imports the SDK anew, for seconds
from app.factory import Server
from tests.harness.process import eventually
from tests.walk import belongings, journal, touches
from tests.walk.faults import Point, Tripwire, tell
from tests.walk.haste import haste
from tests.walk.order import Order
from tests.walk.person import Broken, Refused
from tests.walk.scenarios import SCENARIOS
from tests.walk.stage import Stage, person_of

PATIENCE: Final = 60
"""Seconds after which a child that neither lives nor dies is killed, which breaks its step."""


class Life:
    """One child's."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.scenario = SCENARIOS[order.scenario]
        self.problems: list[str] = []
        self.log = io.StringIO()
        self.wire = Tripwire(Point.read(order.point) if order.point else None, order.fault)

    def live(self) -> None:
        os.setsid()
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        logging.basicConfig(level=logging.WARNING, stream=self.log, force=True)
        journal.write_to(self.order.journal)
        with haste(), journal.installed():
            self._live_before()
            self._live_here()

    def _live_here(self) -> None:
        touches.watch(self.wire)
        before = Counter(belongings.descriptors())
        server = self.order.server()
        outcome = self._play(server)
        if not self.scenario.leaves:
            self._look_at(server)
        if not server.runtime.runs.draining:
            server.close()
        left = self._look_around(server, before)
        tell(
            {
                "type": "report",
                "outcome": outcome,
                "tripped": self.wire.tripped,
                "touches": self.wire.touches,
                "left": left,
                "problems": self.problems,
                "log": self.log.getvalue()[-6000:] if self.problems else "",
            }
        )

    def _live_before(self) -> None:
        """A server that is killed before this one starts."""
        if self.scenario.before is None:
            return
        child = os.fork()
        if child == 0:
            stage = self._stage(self.order.server())
            self.scenario.before(stage)
            os._exit(70)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise AssertionError("the server before this one was not killed")

    def _stage(self, server: Server) -> Stage:
        person = person_of(
            server,
            self.order.session,
            lambda event: tell({"type": "event", "event": event}),
            managed=self.scenario.agent is not None,
        )
        person.problems = self.problems
        return Stage(server, person, self.order.word, self.order.shell_journal, self.wire.aside)

    def _play(self, server: Server) -> str:
        stage = self._stage(server)
        outcome = "played"
        self.wire.arm()
        try:
            self.scenario.play(stage)
        except Refused as refusal:
            outcome = f"refused: {refusal}"
        except Broken as error:
            outcome = f"broken: {error}"
        except Exception:
            self.problems.append(f"the scenario broke: {traceback.format_exc(limit=-6)}")
        if not self.scenario.leaves:
            stage.person.settle()
        self.wire.disarm()
        journal.Journal.gate.set()
        return outcome

    def _look_at(self, server: Server) -> None:
        """Looks at what the server has given back, and whether it can be talked to."""
        stage = self._stage(server)
        self._expect_nothing("the server kept", lambda: belongings.kept_by(server))
        stage.person.see = lambda _event: None
        stage.person.speak("still here")
        self._expect_nothing("the server kept, after one more run,", lambda: belongings.kept_by(server))

    def _look_around(self, server: Server, before: Counter[str]) -> list[str]:
        """The descriptors that have stayed open."""
        spared = before + Counter(self.order.spared)

        def left() -> list[str]:
            gc.collect()  # a connection that broke is closed with the last trace of its error
            server.store.database.close()  # a reader that outlived the drain may have opened it anew
            return sorted((Counter(belongings.descriptors()) - spared).elements())

        self._expect_nothing("these threads were left", belongings.threads)
        self._expect_nothing("these processes were left", belongings.processes)
        if self.order.point:
            self._expect_nothing("these descriptors were left", left)
        return left()

    def _expect_nothing(self, what: str, look: Any) -> None:
        try:
            eventually(lambda: not look(), what, seconds=5)
        except AssertionError:
            self.problems.append(f"{what}: {look()}")


def main() -> None:
    gc.collect()
    gc.freeze()  # a collection in a child would write to the pages that it shares
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                Life(Order(**json.loads(line))).live()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(70)
        _, status = os.waitpid(child, 0)
        tell({"type": "exit", "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
