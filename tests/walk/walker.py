"""Walks one database: steps that each let one touch go wrong in one scenario, and the verdict after each."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import make_url

from anthropic_standin.standin_server import OfflineServer
from app.store.engine import Database
from app.store.store import Store
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.kill_points.nursery import Nursery
from tests.walk import belongings, journal
from tests.walk.haste import LEASE_SECONDS, haste
from tests.walk.invariants import Told, broken
from tests.walk.managed_client import new_session
from tests.walk.managed_invariants import broken_events
from tests.walk.order import Order, walking_server
from tests.walk.person import BOUND, Broken, Person, Refused
from tests.walk.scenarios import SCENARIOS
from tests.walk.stage import Stage, person_of
from tests.walk.steps import Step

LONGEST_STOP: Final = LEASE_SECONDS + 0.5


@dataclass
class Verdict:
    """The outcome of a step. A point that was not `reached` did not come up this time: some depend on timing."""

    step: Step
    reached: bool
    outcome: str
    touched: str = ""
    problems: list[str] = field(default_factory=list)
    log: str = ""


class Walker:
    """One server that survives all steps, and a nursery for those that do not. The judge is in no hurry: however busy
    the machine is, its transactions last. Owned by one thread."""

    def __init__(self, directory: Path, database_url: str, model: OfflineServer) -> None:
        self._directory = directory
        self._database_url = database_url
        self._model = model
        self._is_sqlite = make_url(database_url).get_backend_name() == "sqlite"
        self._spared: dict[str, tuple[str, ...]] = {}
        self._nursery = Nursery("tests.walk.child")
        self._all = ExitStack()

    def __enter__(self) -> Self:
        with self._all as stack:
            stack.enter_context(haste())
            stack.enter_context(journal.installed())
            self._survivor = walking_server(self._directory, self._model.url, self._database_url)
            stack.callback(self._survivor.close)
            database = Database(self._database_url, connections=1)
            stack.callback(database.close)
            self._judge = Store(database, lease_seconds=LEASE_SECONDS)
            stack.enter_context(self._nursery)
            self._all = stack.pop_all()
        journal.Journal.gate.set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.close()

    def points(self, scenario: str) -> Mapping[str, str]:
        """Every touch of a faultless pass, and what it touched. AssertionError if that pass breaks anything."""
        verdict, report = self._walk(Step(scenario, "", "once"))
        assert not verdict.problems, f"{scenario} breaks without any fault: {verdict.problems}\n{verdict.log}"
        assert verdict.outcome == "played", verdict.outcome
        self._spared[scenario] = tuple(report["left"])
        touches: Mapping[str, str] = report["touches"]
        return touches

    def walk(self, step: Step) -> Verdict:
        return self._walk(step)[0]

    def _walk(self, step: Step) -> tuple[Verdict, Mapping[str, Any]]:
        self._model.reset()
        order = self._order(step)
        journal.write_to(order.journal)
        told = Told()
        managed = SCENARIOS[step.scenario].agent is not None
        after = person_of(self._survivor, order.session, lambda _event: None, managed=managed)
        code = self._nursery.watch_one(order.line(), lambda event: self._see(event, told, after))
        killed = code == -signal.SIGKILL
        report = told.report
        problems = list(report.get("problems", ()))
        if code and not (killed and step.fault == "kill"):
            problems.append(f"the child ended with {code}: its own words are on stderr")
        self._talk_again(step, order, after)
        problems += after.problems
        problems += broken(self._judge, order, told)
        if managed:
            problems += broken_events(self._judge, order.session, told.events)
        problems += [f"the model refused a request: {words}" for words in self._model.violations]
        return (
            Verdict(
                step,
                reached=killed or bool(report.get("tripped")),
                outcome="killed" if killed else str(report.get("outcome", f"died of {code}")),
                touched=str(report.get("tripped", "")),
                problems=problems,
                log=str(report.get("log", "")),
            ),
            report,
        )

    def _order(self, step: Step) -> Order:
        client, scenario = LocalClient(self._survivor), SCENARIOS[step.scenario]
        return Order(
            step.scenario,
            step.point,
            step.fault,
            directory=str(self._directory),
            database_url=self._database_url,
            model_url=self._model.url,
            session=client.new_session(**scenario.session)
            if scenario.agent is None
            else new_session(client, scenario.agent),
            word=uuid.uuid4().hex[:12],
            spared=self._spared.get(step.scenario, ()),
        )

    def _see(self, event: dict[str, Any], told: Told, after: Person) -> None:
        match event["type"]:
            case "event":
                told.events.append(event["event"])
            case "accepted":
                told.accepted.append(event["text"])
            case "begun":
                told.begun.append(event["run"])
            case "pause wanted":
                told.paused = True
            case "answer please":
                after.answer()
            case "stopped":
                self._while_it_is_stopped(event["pid"], after)
            case "report":
                told.report = event

    def _while_it_is_stopped(self, pid: int, after: Person) -> None:
        """Takes the session over, if that can be done, and wakes the stopped process past its lease."""
        until = time.monotonic() + LONGEST_STOP
        eventually(lambda: belongings.is_stopped(pid), "the process is stopped")
        try:
            self._take_over(after)
            eventually(lambda: time.monotonic() >= until, "its lease is over")
        finally:
            os.kill(pid, signal.SIGCONT)

    def _take_over(self, after: Person) -> None:
        """A run that waits for a person is not taken over; nor is anything while SQLite is locked by who stands
        still in a transaction."""

        refusals: list[str] = []

        def taken() -> bool:
            try:
                after.take_over()
            except Refused as refusal:
                refusals.append(str(refusal))
                waits = "awaiting_" in str(refusal) or "waits for an answer" in str(refusal)
                locked = "store_unavailable" in str(refusal) or "can't be reached" in str(refusal)
                return waits or (self._is_sqlite and locked)
            after.settle()
            return True

        try:
            eventually(taken, "the session is taken over", seconds=BOUND)
        except (AssertionError, Broken) as error:
            after.problems.append(f"while its holder was stopped: {error} {refusals[-1:]}")

    def _talk_again(self, step: Step, order: Order, after: Person) -> None:
        scenario = SCENARIOS[step.scenario]
        if scenario.again:
            stage = Stage(self._survivor, after, order.word, order.shell_journal)
            try:
                scenario.play(stage)
            except (Refused, Broken) as error:
                after.problems.append(f"the same request to another server: {error!r}")
        after.speak("one more")
        after.settle()
        try:
            eventually(lambda: not belongings.kept_by(self._survivor), "given back", seconds=5)
        except AssertionError:
            after.problems.append(f"the surviving server kept {belongings.kept_by(self._survivor)}")
