"""F35: servers on one database. A holder that was away too long writes nothing more; a dead one is replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

from anthropic_standin.standin_server import OfflineServer
from tests.chaos.cluster import Cluster
from tests.chaos.invariants import broken_promises
from tests.harness.process import eventually
from tests.harness.wire import Client, Stream, in_parallel, text_of

TALK = "[words 90][pace 30]"
"""Long enough to be stopped in the middle. The message after it is joined to it, so this is said once more."""


def take_over(client: Client, session: str, text: str) -> Stream:
    """Asks again and again until the session is to be had."""

    def ask() -> Stream | None:
        response = client.try_run(session, text, agent="tools")
        if response.status_code == 200:
            return Stream(response)
        assert response.status_code == 409, response.text
        assert response.json()["code"] == "session_busy"
        return None

    stream: Stream = eventually(ask, "the lease has run out", seconds=30)
    return stream


def is_alive(pid_file: Path) -> bool:
    try:
        state = Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_holder_that_was_paused_past_its_lease_writes_not_one_row_more(
    cluster: Cluster, model: OfflineServer
) -> None:
    """One session is in the middle of an answer when its server is stopped, another one inside a tool."""
    first, _ = cluster.servers
    pid_file = cluster.directory / f"pid-{os.getpid()}"
    tool = f"[call shell {json.dumps({'cmd': f'echo $$ > {pid_file}; exec sleep 300', 'timeout': 400})}]"
    with cluster.clients() as (on_first, on_second):
        talking, working = (on_first.new_session(tools_approved=True) for _ in range(2))
        with on_first.run(working, tool, agent="tools") as work:
            eventually(lambda: pid_file.exists() and is_alive(pid_file), "the tool runs")
            talk = on_first.run(talking, TALK, agent="tools")
            talk.until("agent_choice")
            cluster.pause(first)
            for session in (talking, working):
                events = take_over(on_second, session, "[say mine now]").rest()
                assert text_of(events).endswith("mine now")
            before = [cluster.rows(session) for session in (talking, working)]
            cluster.go_on(first)
            for stream in (talk, work):
                events = stream.rest()
                assert [event["type"] for event in events[-2:]] == ["error", "stream_stopped"]
                assert events[-2]["code"] == "interrupted"
            eventually(lambda: not is_alive(pid_file), "the tool was stopped")
        for session in (talking, working):
            on_first.say(session, "[say and mine]", agent="tools")
        after = [cluster.rows(session) for session in (talking, working)]
    for earlier, later in zip(before, after, strict=True):
        for name, rows_before, rows_after in zip("smrtqe", earlier, later, strict=True):
            if name != "s":
                assert [row for row in rows_before if row not in rows_after] == [], "a row was changed"
    unknown = [call.state for call in cluster.store.journal.ledger(working).values()]
    assert unknown == ["unknown"]
    assert broken_promises(cluster.store) == []


def test_f35_twenty_posts_over_two_servers_are_one_run_and_the_other_server_follows_a_dead_one(
    cluster: Cluster, model: OfflineServer
) -> None:
    with cluster.clients() as clients:
        session = clients[0].new_session(tools_approved=True)
        tries = [lambda one=client: one.try_run(session, TALK) for client in clients * 10]
        responses = in_parallel(tries)
        [accepted] = [index for index, one in enumerate(responses) if one.status_code == 200]
        assert sorted({one.status_code for one in responses}) == [200, 409]
        holder, other = cluster.servers[accepted % 2], clients[1 - accepted % 2]
        holder.kill()
        assert text_of(take_over(other, session, "[say at once]").rest()).endswith("at once")
        dead = cluster.store.runs.recent(session_id=session)[-1]
        assert dead.status == "interrupted"
        assert dead.ended_at is not None
        assert dead.ended_at < dead.lease_expires_at, "nobody has to wait for the lease of a dead process"
        for response in responses:
            response.close()
        holder.start()
        assert text_of(clients[accepted % 2].say(session, "[say back again]")) == "back again"
    assert broken_promises(cluster.store) == []
