"""The promises about a run whose connection drops: no event is lost, none comes twice, and nothing happens twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from anthropic_standin.standin_server import OfflineServer
from baton_client import (
    BatonClient,
    ErrorEvent,
    GapEvent,
    NotFoundError,
    SessionBusyError,
    StoppedEvent,
    StreamEvent,
    TextEvent,
    ToolApprovalEvent,
    ToolResultEvent,
    UnavailableError,
)
from tests.conftest import AGENTS
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.proxy import BreakingProxy
from tests.harness.wire import Client

ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("work")
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS) as one:
        yield one


@pytest.fixture(scope="module")
def its_process(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    process = BatonProcess(tmp_path_factory.mktemp("killed"), model_url=stand_in.url, agents=AGENTS)
    yield process
    process.kill()


@pytest.fixture
def mortal(its_process: BatonProcess, model: OfflineServer) -> BatonProcess:
    """A server that may be killed, and is there again for the next test."""
    return its_process if its_process.running else its_process.start()


@pytest.fixture
def proxy(process: BatonProcess) -> Iterator[BreakingProxy]:
    with BreakingProxy(process.port) as one:
        yield one


@pytest.fixture
def baton(proxy: BreakingProxy, model: OfflineServer) -> Iterator[BatonClient]:
    """Behind the network that breaks."""
    with BatonClient(proxy.url, retry_seconds=20) as one:
        yield one


@pytest.fixture
def direct(process: BatonProcess) -> Iterator[Client]:
    one = Client(process.url)
    yield one
    one.close()


def cut(first: Iterable[int | None]) -> Callable[[], int | None]:
    """The allowances of the next connections; later connections are not cut."""
    values = itertools.chain(first, itertools.repeat(None))
    return lambda: next(values)


def numbers(events: Iterable[StreamEvent]) -> list[int]:
    return [event.id for event in events if event.id is not None]


def faithful(direct: Client, session: str) -> list[dict[str, object]]:
    """Every event of the session, up to the last one of its run, over a connection that does not break."""
    with direct.follow(session, since=0) as stream:
        stream.until("stream_stopped")
        return stream.events


def test_a_run_whose_connection_breaks_again_and_again_is_told_once_and_whole(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    random = Random(6)
    session = baton.create_session()["id"]
    baton.close()  # a new connection, to which the allowance applies
    proxy.allowance = lambda: random.randrange(500, 3000)
    events = list(baton.run(session, "[words 120][pace 1000]", agent="plain"))
    assert proxy.cuts > 5
    assert [event.data for event in events] == faithful(direct, session)
    assert numbers(events) == list(range(1, len(events) + 1))
    assert len(direct.get(f"/api/runs?session={session}").json()) == 1


@pytest.mark.parametrize("after", [0, 40, 350, 420, 500, 700])
def test_a_start_whose_answer_is_lost_starts_one_run(
    baton: BatonClient, proxy: BreakingProxy, direct: Client, after: int
) -> None:
    """Cut before the answer, within its head, within the first event."""
    session = baton.create_session()["id"]
    baton.close()
    proxy.allowance = cut([after])
    events = list(baton.run(session, "[say once]", agent="plain"))
    assert proxy.cuts == 1
    assert [event.data for event in events] == faithful(direct, session)
    assert len(direct.get(f"/api/runs?session={session}").json()) == 1


def test_a_session_whose_answer_is_lost_is_made_once(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    before = len(direct.get("/api/sessions").json())
    proxy.allowance = cut([0, 60])
    session = baton.create_session()["id"]
    assert proxy.cuts == 2
    assert len(direct.get("/api/sessions").json()) == before + 1
    assert direct.session(session)["id"] == session


def test_an_approval_whose_answer_is_lost_counts_once(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    session = direct.new_session()
    with direct.run(session, ECHO, agent="tools") as stream:
        call_id = stream.until("tool_call_confirmation")["tool_call"]["id"]
        proxy.allowance = cut([0])
        baton.approve(session, call_id)
        assert proxy.cuts == 1
        assert [event["type"] for event in stream.rest()].count("tool_call_response") == 1


def test_messages_for_a_run_whose_answer_is_lost_wait_once(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    session = direct.new_session()
    with direct.run(session, ECHO, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        proxy.allowance = cut([0, None])
        steer = baton.steer(session, "[say steered]")
        baton.close()
        proxy.allowance = cut([0, None])
        follow_up = baton.follow_up(session, "[say followed]")
        assert proxy.cuts == 2
        assert [one["id"] for one in baton.queue(session)] == [steer[0]["id"], follow_up[0]["id"]]
        direct.post(f"/api/sessions/{session}/cancel?wait=5")


def test_a_deletion_whose_answer_is_lost_is_done(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    session = direct.new_session()
    proxy.allowance = cut([0])
    baton.delete_session(session)
    assert proxy.cuts == 1
    with pytest.raises(NotFoundError):
        baton.session(session)


def test_an_answer_that_names_no_call_is_not_repeated(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    """The second one might approve a call that nobody has seen."""
    session = direct.new_session()
    with direct.run(session, ECHO, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        proxy.allowance = cut([0])
        with pytest.raises(UnavailableError):
            baton.approve(session)
        assert len([one for one in proxy.requests if one.startswith(b"POST")]) == 1
        stream.rest()


def test_a_stream_that_falls_silent_is_given_up_and_taken_up_again(
    proxy: BreakingProxy, direct: Client, model: OfflineServer
) -> None:
    direct.say(direct.new_session(), "[say the first words take longer]")
    session = direct.new_session()
    proxy.falls_silent = True
    proxy.allowance = cut([1500])
    with BatonClient(proxy.url, idle_seconds=2) as baton:
        events = list(baton.run(session, "[words 20]", agent="plain"))
    assert proxy.cuts == 1
    assert [event.data for event in events] == faithful(direct, session)


def test_a_session_is_followed_over_several_runs_and_cuts(
    baton: BatonClient, proxy: BreakingProxy, direct: Client
) -> None:
    session = direct.new_session()
    for text in ("[words 50]", "[words 60]"):
        direct.say(session, text)
    random = Random(7)
    proxy.allowance = lambda: random.randrange(500, 3000)
    seen: list[StreamEvent] = []
    for event in baton.events(session, after=0):
        seen.append(event)
        if [one.type for one in seen].count("stream_stopped") == 2:
            break
    assert proxy.cuts > 2
    assert numbers(seen) == list(range(1, len(seen) + 1))


def test_a_session_that_is_deleted_ends_its_followers(baton: BatonClient, direct: Client) -> None:
    session = direct.new_session()
    direct.say(session, "[say hello]")
    following = baton.events(session, after=0)
    next(following)
    direct.request("DELETE", f"/api/sessions/{session}")
    assert list(following)[-1].type == "session_exited"


def test_a_server_killed_in_mid_stream_ends_the_run_and_says_what_is_missing(mortal: BatonProcess) -> None:
    with BatonClient(mortal.url) as baton:
        session = baton.create_session()["id"]
        with baton.run(session, "[words 400][pace 800]", agent="plain") as run:
            events = [event for _, event in zip(range(150), run, strict=False)]
            mortal.kill()
            mortal.start()
            events += list(run)
        assert isinstance(events[-1], StoppedEvent)
        assert [event.code for event in events if isinstance(event, ErrorEvent)] == ["interrupted"]
        ids = numbers(events)
        assert ids == sorted(set(ids)), "each once, and in order"
        gaps = [event.first_available for event in events if isinstance(event, GapEvent)]
        missing = [after for before, after in itertools.pairwise(ids) if after != before + 1]
        assert missing == gaps, "what is not there is said not to be there"
        assert baton.get_run(run.id)["status"] == "interrupted"
        assert "run" not in baton.session(session), "the session is free"


def test_a_run_that_waits_for_an_answer_goes_on_after_its_server_was_killed(mortal: BatonProcess) -> None:
    with BatonClient(mortal.url) as baton:
        session = baton.create_session()["id"]
        events: list[StreamEvent] = []
        with baton.run(session, ECHO, agent="tools") as run:
            for event in run:
                events.append(event)
                if isinstance(event, ToolApprovalEvent):
                    mortal.kill()
                    mortal.start()
                    with pytest.raises(SessionBusyError):
                        baton.run(session, "me too", agent="tools")
                    run.approve(event.call_id)
        assert [event.response.strip() for event in events if isinstance(event, ToolResultEvent)] == ["hands"]
        assert "".join(event.text for event in events if isinstance(event, TextEvent)) == "done"
        assert isinstance(events[-1], StoppedEvent)
        ids = numbers(events)
        assert ids == sorted(set(ids))


def test_a_server_that_stays_away_is_unavailable(mortal: BatonProcess) -> None:
    with BatonClient(mortal.url, retry_seconds=0.5) as baton:
        run = baton.run(baton.create_session()["id"], "[words 2000][pace 50]", agent="plain")
        next(iter(run))
        mortal.kill()
        with pytest.raises(UnavailableError):
            list(run)


def test_the_gate_is_not_passed_twice(tmp_path: Path, process: BatonProcess, model: OfflineServer) -> None:
    """A drop while a tool works changes nothing for the tool."""
    gate = Gate(process.directory, "client-gate")
    with BreakingProxy(process.port) as proxy, BatonClient(proxy.url) as baton:
        session = baton.create_session(tools_approved=True)["id"]
        baton.close()
        proxy.allowance = cut([1500, 200, 900])
        run = baton.run(session, f"{gate.call}[then][say done]", agent="tools")
        gate.wait_until_reached()
        gate.open("opened once")
        results = [event.response.strip() for event in run if isinstance(event, ToolResultEvent)]
    gate.close()
    assert results == ["opened once"]
    assert proxy.cuts == 3
