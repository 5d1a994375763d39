"""Lets loose a number of actors and a lot of trouble, and gives the verdict."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from anthropic_standin.standin_server import OfflineServer
from tests.chaos.actor import Actor
from tests.chaos.cluster import Cluster
from tests.chaos.notes import Notes
from tests.chaos.trouble import Trouble
from tests.chaos.verdict import (
    every_session_works,
    everybody_saw_the_same,
    everything_can_be_read_again,
    everything_holds,
)
from tests.chaos.watcher import Watcher
from tests.harness.postgres import PostgresServer


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions that follow from a seed and a time: the same ones in the same order, though not at the same
    instants."""

    seed: int
    seconds: float
    database: PostgresServer | None = None  # None: SQLite
    actors: int = 6
    servers: int = 2
    watchers: int = 3  # of the first actors' sessions
    cuts: int = 100  # of a reader of everything, at the end


def let_loose(plan: Plan, model: OfflineServer) -> Notes:
    """Returns what was done and seen; `problems` is empty if nothing broke."""
    notes, over = Notes(), threading.Event()
    url = plan.database.new_database() if plan.database else ""
    with Cluster(size=plan.servers, model_url=model.url, database_url=url) as cluster:
        actors = [
            Actor(cluster, notes, random.Random(f"{plan.seed} {number}"), over)
            for number in range(plan.actors)
        ]
        trouble = Trouble(cluster, notes, random.Random(plan.seed), over, plan.database)
        watchers = [
            Watcher(cluster, notes, random.Random(f"{plan.seed} watcher {number}"), over, actor)
            for number, actor in enumerate(actors[: plan.watchers])
        ]
        threads = [threading.Thread(target=one.live, name="actor") for one in actors]
        threads += [threading.Thread(target=one.watch, name="watcher") for one in watchers]
        threads.append(threading.Thread(target=trouble.make, name="trouble"))
        for thread in threads:
            thread.start()
        over.wait(plan.seconds)
        over.set()
        for thread in threads:
            thread.join()
        sessions = [actor.session for actor in actors if actor.session.id]
        every_session_works(cluster, notes, sessions)
        everything_holds(cluster, notes, sessions)
        everybody_saw_the_same(cluster, notes, watchers)
        chance = random.Random(f"{plan.seed} cuts")
        everything_can_be_read_again(cluster, notes, sessions, chance, cuts=plan.cuts)
        if notes.problems:
            notes.logs = [server.log() for server in cluster.servers]
    for violation in model.violations:
        notes.problem(f"the model refused a request: {violation}")
    return notes
