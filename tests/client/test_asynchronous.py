"""The client for asyncio: the same promises as the other one, which is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import assert_type

import pytest

from anthropic_standin.standin_server import OfflineServer
from baton_client import (
    BatonClient,
    NotFoundError,
    QueuedMessage,
    Run,
    Session,
    SessionBusyError,
    SessionSummary,
    StreamEvent,
    TextEvent,
    ToolApprovalEvent,
    UnavailableError,
)
from baton_client.asynchronous import AsyncBatonClient, AsyncRunStream
from tests.client import sync_twin
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess, free_port
from tests.harness.proxy import BreakingProxy

ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'

Talk = Callable[[AsyncBatonClient], Awaitable[None]]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    with BatonProcess(tmp_path_factory.mktemp("work"), model_url=stand_in.url, agents=AGENTS) as one:
        yield one


@pytest.fixture
def within(process: BatonProcess, model: OfflineServer) -> Callable[[Talk], None]:
    """Runs a coroutine with a client of the server."""

    async def begin(talk: Talk) -> None:
        async with AsyncBatonClient(process.url, retry_seconds=20) as baton:
            await talk(baton)

    return lambda talk: asyncio.run(begin(talk))


@pytest.mark.parametrize("name", sync_twin.TWINS)
def test_the_client_for_scripts_is_made_of_this_one(name: str) -> None:
    """`make client` writes it."""
    assert (sync_twin.ROOT / f"{name}.py").read_text() == sync_twin.sync_source(name)


def test_a_run_is_read_and_answered(within: Callable[[Talk], None]) -> None:
    async def talk(baton: AsyncBatonClient) -> None:
        session = (await baton.create_session())["id"]
        said, asked = "", 0
        async with await baton.run(session, ECHO, agent="tools") as run:
            async for event in run:
                match event:
                    case ToolApprovalEvent(call_id=call_id):
                        asked += 1
                        await run.approve(call_id)
                    case TextEvent(text=text):
                        said += text
            assert run.ended
        assert (said, asked) == ("done", 1)
        assert (await baton.get_run(run.id))["status"] == "finished"

    within(talk)


def test_two_runs_are_followed_at_a_time(within: Callable[[Talk], None]) -> None:
    """Each is asked about before either is answered."""

    async def talk(baton: AsyncBatonClient) -> None:
        both_ask = asyncio.Barrier(2)

        async def one() -> str:
            run = await baton.run((await baton.create_session())["id"], ECHO, agent="tools")
            said = ""
            async for event in run:
                if isinstance(event, ToolApprovalEvent):
                    await both_ask.wait()
                    await run.approve(event.call_id)
                said += event.text if isinstance(event, TextEvent) else ""
            return said

        assert list(await asyncio.gather(one(), one())) == ["done", "done"]

    within(talk)


def test_leaving_stops_the_run_and_refusals_are_exceptions(within: Callable[[Talk], None]) -> None:
    async def talk(baton: AsyncBatonClient) -> None:
        session = (await baton.create_session())["id"]
        async with await baton.run(session, ECHO, agent="tools") as run:
            async for event in run:
                if isinstance(event, ToolApprovalEvent):
                    break
            with pytest.raises(SessionBusyError) as busy:
                await baton.run(session, "me too", agent="tools")
            assert busy.value.holder["id"] == run.id
            attached = await baton.attach(run.id)
            assert (await anext(aiter(attached))).id == 1
            await attached.detach()
        assert (await baton.get_run(run.id))["status"] == "cancelled"
        await baton.delete_session(session)
        with pytest.raises(NotFoundError):
            await baton.session(session)

    within(talk)


def test_a_server_that_is_away_is_unavailable() -> None:
    async def talk() -> None:
        async with AsyncBatonClient(f"http://127.0.0.1:{free_port()}", retry_seconds=0) as baton:
            await baton.sessions()

    with pytest.raises(UnavailableError, match="can't be reached"):
        asyncio.run(talk())


@pytest.mark.parametrize("bytes_before_each_cut", [700, 3000])
def test_no_event_is_lost_or_comes_twice_over_broken_connections(
    process: BatonProcess, model: OfflineServer, bytes_before_each_cut: int
) -> None:
    events: list[StreamEvent] = []

    async def talk(url: str) -> None:
        async with AsyncBatonClient(url) as baton:
            async for event in await baton.run(session, "[words 150]", agent="plain"):
                events.append(event)

    with BatonClient(process.url) as scripts:
        session = scripts.create_session()["id"]
    cuts = iter([bytes_before_each_cut] * 3)
    with BreakingProxy(process.port, lambda: next(cuts, None)) as proxy:
        asyncio.run(talk(proxy.url))
        assert proxy.cuts > 0
    numbers = [event.id for event in events if event.id is not None]
    assert numbers == list(range(1, len(numbers) + 1))
    with BatonClient(process.url) as baton:
        [_, answer] = baton.session(session)["messages"]
    assert "".join(one.text for one in events if isinstance(one, TextEvent)) == answer["message"]["content"]


async def the_types_of_a_users_script(baton: AsyncBatonClient, scripts: BatonClient) -> None:
    """Never called: mypy reads it."""
    assert_type(await baton.session("id"), Session)
    assert_type(scripts.session("id"), Session)
    assert_type(await baton.sessions(), list[SessionSummary])
    assert_type(scripts.runs(), list[Run])
    assert_type(await baton.get_run("id"), Run)
    assert_type(scripts.follow_up("id", "text"), list[QueuedMessage])
    assert_type(await baton.queue("id"), list[QueuedMessage])
    assert_type(await baton.run("id", "text"), AsyncRunStream)
