"""F30, and the rest of what a follow-up promises: a turn of its own, once, in order, whenever it is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import in_parallel, text_of
from tests.while_it_runs.talk import body, confirmed, follow_up, queue, roles, said_by_user

DONE = "[then][say done]"


def test_each_follow_up_gets_a_turn_of_its_own_in_the_same_run(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        answer = here.call(
            "POST", f"/api/sessions/{session}/followup", body("[say 1]", "[say 2]"), expect=202
        )
        ids = [message["id"] for message in answer["messages"]] + follow_up(there, session, "[say 3]")
        assert answer["status"] == "queued_streaming"
        gate.open()
        events = stream.rest()
    assert confirmed(events, ids) == ids
    assert roles(here, session)[3:] == ["assistant"] + ["user", "assistant"] * 3
    answers = [m["content"] for m in here.messages(session) if m["role"] == "assistant"]
    assert answers[1:] == ["done", "1", "2", "3"]
    assert stream.types.count("stream_stopped") == 1


def test_a_follow_up_to_an_idle_session_is_begun_by_the_agent_that_ran_last(
    here: LocalClient, there: LocalClient
) -> None:
    session = here.new_session()
    here.say(session, "[say hello]")
    here.say(session, "[say hands]", agent="tools")
    with there.follow(session, begin="run") as reader:
        answer = there.call("POST", f"/api/sessions/{session}/followup", body("[say back]"), expect=202)
        assert answer["status"] == "queued_streaming"
        reader.until("stream_stopped")
    assert text_of(reader.events) == "back"
    ids = [answer["messages"][0]["id"]]
    assert confirmed(reader.events, ids) == ids
    [last, *_] = here.call("GET", f"/api/runs?session={session}")
    assert last["agent"].startswith("tools/")
    assert queue(here, session) == []


def test_a_follow_up_waits_in_the_open_when_no_agent_ever_ran(local: LocalClient) -> None:
    session = local.new_session()
    answer = local.call("POST", f"/api/sessions/{session}/followup", body("[say later]"), expect=202)
    assert answer["status"] == "queued_idle"
    assert queue(local, session) == ["[say later]"]
    local.say(session, "[say first]")
    assert [m["content"] for m in local.messages(session) if m["role"] == "assistant"] == ["first", "later"]


def test_a_cancelled_run_leaves_its_follow_ups_in_the_queue(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        follow_up(local, session, "one", "two")
        local.stop(session)
        stream.rest()
    assert queue(local, session) == ["one", "two"]
    follow_up(local, session, "three")
    eventually(lambda: queue(local, session) == [], "the next follow-up began with those before it")
    local.wait_until_free(session)
    assert said_by_user(local, session)[1:] == ["one", "two", "three"]


INJECTORS = 4
ROUNDS = 6


def points(random: Random) -> Iterator[int]:
    """How many events of a run are let pass before the next word; a run of this test has about 25."""
    while True:
        yield random.choice((random.randrange(25), random.randrange(18, 30)))


def test_f30_whatever_was_accepted_enters_exactly_once_however_close_to_the_end_it_came(
    servers: tuple[Server, Server], model: OfflineServer
) -> None:
    """Steers and follow-ups at random points of many short runs, through both processes, from many sides."""
    results = in_parallel([lambda side=side: inject(servers, side) for side in range(INJECTORS)])
    accepted, refused = (sum(column) for column in zip(*results, strict=True))
    assert accepted > INJECTORS * ROUNDS
    assert accepted + refused == INJECTORS * ROUNDS * 4


def inject(servers: tuple[Server, Server], side: int) -> tuple[int, int]:
    """How many words were accepted and how many refused; each accepted one was heard exactly once."""
    random = Random(f"side {side}")
    here = LocalClient(servers[0])
    session = here.new_session()
    accepted: list[str] = []
    refused = 0
    delays = points(random)
    for number in range(ROUNDS):
        with here.run(session, "[words 12]", query="?when_busy=wait") as stream:
            talkers = [
                Talker(servers[word % 2], session, f"{side}-{number}-{word}", next(delays), random.random())
                for word in range(4)
            ]
            for _ in stream:
                for talker in talkers:
                    talker.tick()
        for talker in talkers:
            talker.finish()
        accepted += [talker.text for talker in talkers if talker.status == 202]
        refused += sum(talker.status == 409 for talker in talkers)
    eventually(lambda: not queue(here, session), "nothing waits any more", seconds=30)
    here.wait_until_free(session)
    LocalClient(servers[1]).wait_until_free(session)
    heard = [text for text in said_by_user(here, session) if text in accepted]
    assert sorted(heard) == sorted(accepted)
    assert all((a, b) != ("assistant", "assistant") for a, b in pairwise(roles(here, session)))
    return len(accepted), refused


class Talker(threading.Thread):
    """Says one thing after a number of events, from a thread of its own."""

    def __init__(self, server: Server, session: str, text: str, after: int, dice: float) -> None:
        super().__init__()
        self.text = text
        self.status = 0
        self._path = f"/api/sessions/{session}/{'steer' if dice < 0.7 else 'followup'}"
        self._client = LocalClient(server)
        self._after = after
        self._spoken = False

    def tick(self) -> None:
        self._after -= 1
        if self._after <= 0 and not self._spoken:
            self._spoken = True
            self.start()

    def finish(self) -> None:
        """Sends the message now if it has not been sent yet: the run has ended."""
        self._after = 0
        self.tick()
        self.join()

    def run(self) -> None:
        self.status = self._client.ask("POST", self._path, body(self.text)).status_code


def test_what_waits_is_begun_with_when_somebody_asks(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    assert local.call("POST", f"/api/sessions/{session}/queue/begin") == {"streaming": False}
    with local.run(session, gate.call, agent="tools"):
        gate.wait_until_reached()
        assert local.call("POST", f"/api/sessions/{session}/queue/begin") == {"streaming": True}
        local.call("POST", f"/api/sessions/{session}/followup", [{"content": "[say later]"}], expect=202)
        local.stop(session)
    assert [one["content"] for one in local.call("GET", f"/api/sessions/{session}/queue")["messages"]] == [
        "[say later]"
    ]
    assert local.call("POST", f"/api/sessions/{session}/queue/begin") == {"streaming": True}
    local.wait_until_free(session)
    assert local.messages(session)[-1]["content"] == "later"
    assert local.call("GET", f"/api/sessions/{session}/queue")["messages"] == []
