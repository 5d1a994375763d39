"""A thread that can't start, once: the next use works, and at the end nothing is left.

The starts are counted, not listed, so a new thread of these parts is walked too.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from app.agent.anthropic.http.interrupt import Interrupt
from app.agent.anthropic.http.pump import Pump
from app.agent.anthropic.http.route import Route, connect
from app.agent.anthropic.http.socket_connection import SocketConnection
from app.agent.hook_runner import HookRunner
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.shell import ShellToolset
from app.agent.toolset import ToolContext, ToolResult, Toolset
from app.team.hook_definitions import Hooks
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.test_api import api
from tests.agent.tools.web_site import running
from tests.agent.tools.workbench import find
from tests.harness.process import eventually
from tests.harness.threads import ThreadStarts, nothing_left

ROOT = Path(__file__).parents[2]

Use = Callable[[], None]
"""Uses the part once; an AssertionError if it did not work, another exception if it says that it can't."""


@contextmanager
def hooks(folder: Path) -> Iterator[Use]:
    points = {
        "pre_tool_use": [{"hooks": [{"type": "command", "command": c} for c in ("true", "exit 2", ": x")]}],
        "on_user_input": [{"type": "command", "command": "sleep 60"}],
    }
    runner = HookRunner(
        Hooks.model_validate(points),
        session_id="s",
        working_dir=folder,
        environment={"PATH": "/usr/bin:/bin"},
        cancellation=FakeCancellation(),
    )

    def use() -> None:
        assert runner.before_call("c", "act", {}).blocked, "a hook that forbids has its say"
        runner.tell_of_question()

    yield use
    runner.stop()


def called(toolset: Toolset, name: str, folder: Path, **arguments: object) -> ToolResult:
    result = find(toolset, name).call(arguments, ToolContext(folder, FakeCancellation()))
    assert isinstance(result, ToolResult)
    return result


@contextmanager
def background_job(folder: Path) -> Iterator[Use]:
    shell = ShellToolset(environment={"PATH": "/usr/bin:/bin"})

    def use() -> None:
        result = called(shell, "run_background_job", folder, cmd="sleep 60")
        if result.is_error:
            raise OSError(result.output)

    yield use
    shell.stop()


@contextmanager
def request_to_an_api(folder: Path) -> Iterator[Use]:
    with running() as site:
        site.add("/", "fine")

        def use() -> None:
            result = called(api(site.url("/")), "ask", folder)
            if result.is_error:
                assert not result.is_unknown, "nothing was sent"
                raise OSError(result.output)
            assert result.output == "fine"

        yield use


@contextmanager
def tool_server(folder: Path) -> Iterator[Use]:
    servers = ToolServers(patience=ServerTimeouts(start=60.0, retry=0.0), idle_seconds=0.01)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    where = ServerAddress.of_command(
        sys.executable,
        ["-m", "tests.agent.tools.mcp_server"],
        environment=environment,
        working_dir=str(folder),
        owner="",
    )

    def use() -> None:
        toolset = McpToolset(servers, where, cancellation=FakeCancellation())
        try:
            toolset.start()
            assert called(toolset, "echo", folder, text="hi").output == "hi"
        finally:
            toolset.stop()

    yield use
    eventually(lambda: not servers._servers, "what is idle is ended")
    servers.close()


@contextmanager
def name_of_an_endpoint(folder: Path) -> Iterator[Use]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        route = Route("http", "localhost", listening.getsockname()[1])

        def use() -> None:
            interrupt = Interrupt()
            connection = connect(route, 5.0, lambda: pytest.fail("no TLS"), interrupt)
            interrupt.release()
            connection.close()

        yield use


@contextmanager
def answer_of_a_model(folder: Path) -> Iterator[Use]:
    pump = Pump()

    def use() -> None:
        near, far = socket.socketpair()
        with near, far:
            far.send(b"hello")
            came: list[bytes] = []

            def take(data: bytes) -> bool:
                came.append(data)
                return False

            pump.read(SocketConnection(near), take, stall_timeout=5.0)
            assert came == [b"hello"]

    yield use
    pump.close()


PARTS = [
    hooks,
    background_job,
    request_to_an_api,
    tool_server,
    name_of_an_endpoint,
    answer_of_a_model,
]
REFUSALS = (OSError, ServerUnavailable, httpx2.TransportError)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_the_nth_thread_can_not_start(
    part: Callable[[Path], Iterator[Use]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = ThreadStarts(monkeypatch)
    place = 0
    while True:
        starts.refuse(place)
        with nothing_left(), part(tmp_path) as use:  # type: ignore[attr-defined]
            with suppress(*REFUSALS):
                use()
            has_refused = len(starts.names) > place
            starts.refuse(None)
            use()
        if not has_refused:
            break
        place += 1
    assert place, "the part starts threads"


def test_a_pump_that_could_not_begin_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = ThreadStarts(monkeypatch)
    with nothing_left():
        starts.refuse(0)
        with answer_of_a_model(Path()) as use, pytest.raises(httpx2.ReadError):
            use()
