"""Tool servers over pipes: real processes that answer, ask, change, hang and die."""

from __future__ import annotations

import base64
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.toolbox import Toolbox
from app.agent.tools.deferred import Shelf, Shelved
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.process_mark import carries, marking
from app.agent.toolset import Elicitation, Outcome, ToolContext, ToolResult
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.pictures import png
from tests.agent.tools.workbench import Workbench, find
from tests.harness.process import eventually

ROOT = Path(__file__).parents[3]
PATIENCE = ServerTimeouts(start=60.0, call=60.0, restarts=(0.01,))

Start = Callable[..., McpToolset]


RUN = f"exec {sys.executable} -m tests.agent.tools.mcp_server"
SILENT = "while read -r line; do :; done"


def address(folder: Path, script: str = RUN, owner: str = "", **environment: str) -> ServerAddress:
    """A server that a shell starts, in words that can do more than that."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    return ServerAddress.of_command(
        "/bin/sh", ["-c", script], environment=variables, working_dir=str(folder), owner=owner
    )


@pytest.fixture(scope="module")
def servers() -> Iterator[ToolServers]:
    """One server for all tests that leave it as it was."""
    servers = ToolServers(patience=PATIENCE)
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def shared(servers: ToolServers, folder: Path) -> Iterator[McpToolset]:
    toolset = McpToolset(servers, address(folder, GREETING="hello"), cancellation=FakeCancellation())
    toolset.start()
    yield toolset
    toolset.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers of the test's own."""
    opened: list[ToolServers] = []

    def begin(script: str, patience: ServerTimeouts = PATIENCE) -> McpToolset:
        opened.append(ToolServers(patience=patience))
        return McpToolset(opened[-1], address(tmp_path, script), cancellation=FakeCancellation())

    yield begin
    for servers in opened:
        servers.close()


def context(folder: Path, cancellation: FakeCancellation | None = None) -> ToolContext:
    return ToolContext(folder, cancellation or FakeCancellation())


def call(toolset: McpToolset, name: str, **arguments: Any) -> ToolResult:
    result = find(toolset, name).call(arguments, context(Path()))
    assert isinstance(result, ToolResult)
    return result


def ask(toolset: McpToolset, cancellation: FakeCancellation | None = None) -> Elicitation:
    asked = find(toolset, "ask").call({}, context(Path(), cancellation))
    assert isinstance(asked, Elicitation)
    return asked


def names(toolset: McpToolset) -> list[str]:
    return [tool.name for tool in toolset.tools()]


def test_tools_are_what_the_server_says(shared: McpToolset) -> None:
    definition = find(shared, "echo").definition()
    assert (definition["name"], definition["category"]) == ("echo", "")
    assert definition["description"] == "Says it again."
    assert definition["annotations"] == {"readOnlyHint": True, "title": "Echo"}
    assert definition["parameters"]["required"] == ["text"]
    assert definition["outputSchema"]["properties"]["result"]["type"] == "string"
    assert not find(shared, "die").read_only
    assert shared.instructions == "Use these well."
    assert names(shared) == sorted(names(shared))


def test_a_result_brings_text_and_structure(shared: McpToolset) -> None:
    result = call(shared, "echo", text="again")
    assert (result.output, result.is_error, result.structured) == ("again", False, {"result": "again"})


def test_arguments_that_are_null_are_not_sent(shared: McpToolset) -> None:
    assert call(shared, "echo", text="a", more=None).output == "a"


def test_a_tools_failure_is_its_own_and_a_wrong_call_is_too(shared: McpToolset) -> None:
    result = call(shared, "fail")
    assert result.is_error
    assert "it does not work" in result.output
    assert call(shared, "echo").is_error


def test_a_picture_goes_with_the_result(shared: McpToolset) -> None:
    result = call(shared, "picture")
    assert result.output == "no output"
    assert result.images == [("image/png", base64.b64encode(png(2, 2)).decode())]


def test_the_process_gets_its_directory_and_environment_and_no_more(shared: McpToolset, folder: Path) -> None:
    assert call(shared, "where").output == f"{folder} hello -"


@pytest.mark.parametrize(
    ("action", "content", "words"),
    [("accept", {"colour": "red"}, "painted red"), ("decline", None, "none: decline")],
)
def test_a_question_goes_to_the_user_and_the_call_goes_on_with_the_answer(
    shared: McpToolset, action: str, content: dict[str, str] | None, words: str
) -> None:
    asked = ask(shared)
    assert (asked.message, asked.mode) == ("Which colour?", "form")
    assert asked.schema["required"] == ["colour"]
    assert asked.then is not None
    outcome = asked.then(action, content)
    assert isinstance(outcome, ToolResult)
    assert outcome.output == words


def test_a_question_that_nobody_answers_any_more_ends_its_call(shared: McpToolset) -> None:
    ask(shared).abandon()
    asked = ask(shared)  # the only call under way now, so the question is put to it
    assert asked.then is not None
    assert asked.then("cancel", None) == ToolResult(
        "none: cancel", structured={"result": "none: cancel"}, images=[], audios=[]
    )


def test_a_question_among_calls_of_one_run_goes_to_the_oldest_and_among_those_of_several_to_nobody(
    shared: McpToolset, servers: ToolServers, folder: Path, tmp_path: Path
) -> None:
    """Over a pipe nothing says which call it belongs to."""
    other = McpToolset(servers, address(folder, GREETING="hello"), cancellation=FakeCancellation())
    other.start()
    oldest: list[Outcome] = []
    meeting = {"folder": str(tmp_path), "mark": "a", "wait_for": "b"}
    first = threading.Thread(
        target=lambda: oldest.append(find(shared, "meet").call(meeting, context(Path())))
    )
    first.start()
    eventually((tmp_path / "a").exists, "the first call is under way")
    assert call(other, "ask").output == "none: decline"
    answered: list[str] = []
    second = threading.Thread(target=lambda: answered.append(call(shared, "ask").output))
    second.start()
    first.join()
    [asked] = oldest
    assert isinstance(asked, Elicitation)
    assert asked.then is not None
    (tmp_path / "b").touch()
    outcome = asked.then("accept", {"colour": "red"})
    second.join()
    other.stop()
    assert isinstance(outcome, ToolResult)
    assert (outcome.output, answered) == ("a", ["painted red"])


def test_calls_run_at_the_same_time(shared: McpToolset, tmp_path: Path) -> None:
    results: list[str] = []

    def meet(name: str, wait_for: str) -> None:
        results.append(call(shared, "meet", folder=str(tmp_path), mark=name, wait_for=wait_for).output)

    threads = [threading.Thread(target=meet, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["a", "b"]


def test_a_cancel_ends_the_wait_and_nobody_elses_call(shared: McpToolset, tmp_path: Path) -> None:
    cancellation, mark = FakeCancellation(), tmp_path / "mark"

    def cancel() -> None:
        eventually(mark.exists, "the server has the call")
        cancellation.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    outcome = find(shared, "hang").call({"mark": str(mark)}, context(Path(), cancellation))
    canceller.join()
    assert isinstance(outcome, ToolResult)
    assert outcome.is_unknown
    assert call(shared, "echo", text="still here").output == "still here"


def test_a_name_is_put_before_the_tools_and_taken_off_again(servers: ToolServers, folder: Path) -> None:
    where = address(folder, GREETING="hello")
    toolset = McpToolset(servers, where, name="paint/er", cancellation=FakeCancellation())
    toolset.start()
    assert "paint_er_echo" in names(toolset)
    assert call(toolset, "paint_er_echo", text="hi").output == "hi"
    toolset.stop()


def test_new_tools_are_listed_from_then_on(shared: McpToolset) -> None:
    assert "grown" not in names(shared)
    call(shared, "grow")
    eventually(lambda: "grown" in names(shared), "the new tool is listed")
    assert call(shared, "grown").output == "new"


def test_a_server_that_dies_in_mid_call_is_started_again_and_the_call_is_not_repeated(
    start: Start, tmp_path: Path
) -> None:
    toolset = start(f"echo x >> starts; {RUN}", ServerTimeouts(start=60.0, call=1.0, restarts=(0.01,)))
    toolset.start()
    result = call(toolset, "die")
    assert result == ToolResult.unknown("failed to call tool: Connection closed")
    assert "die" in names(toolset), "the tools stay listed"
    toolset.start()
    eventually(lambda: call(toolset, "echo", text="back").output == "back", "it is back", seconds=60)
    assert (tmp_path / "starts").read_text() == "x\nx\n"

    # its calls may take a second, and more if there are signs of life
    assert call(toolset, "step", times=8, pause=0.2).output == "done"
    result = call(toolset, "hang")
    assert result == ToolResult.unknown("failed to call tool: no answer within 1 seconds")
    toolset.stop()


def test_a_server_that_can_not_be_started_again_is_given_up(start: Start, tmp_path: Path) -> None:
    toolset = start(f"mkdir begun || exit 1; {RUN}")
    toolset.start()
    call(toolset, "die")
    result = call(toolset, "echo", text="back")
    assert result.is_error
    assert "Connection closed" in result.output
    with pytest.raises(ServerUnavailable):
        toolset.start()
    toolset.stop()


def test_a_server_that_hangs_is_given_up_and_costs_the_next_one_no_time(start: Start) -> None:
    toolset = start(SILENT, ServerTimeouts(start=0.5, retry=600))
    for _ in range(2):
        with pytest.raises(ServerUnavailable, match=r"no answer within 0\.5 seconds"):
            toolset.start()
    toolset.stop()


def test_a_failed_start_is_tried_again_after_a_while(start: Start, tmp_path: Path) -> None:
    toolset = start("echo x >> starts", ServerTimeouts(start=60.0, retry=0.0))
    for _ in range(2):
        with pytest.raises(ServerUnavailable, match="Connection closed"):
            toolset.start()
    toolset.stop()
    assert (tmp_path / "starts").read_text() == "x\nx\n"


def test_a_command_that_does_not_exist_says_so(tmp_path: Path) -> None:
    servers = ToolServers(patience=PATIENCE)
    nowhere = ServerAddress.of_command(
        "no-such-command", ["a"], environment={}, working_dir=str(tmp_path), owner=""
    )
    toolset = McpToolset(servers, nowhere, cancellation=FakeCancellation())
    assert toolset.label == "mcp(stdio cmd=no-such-command args_len=1)"
    with pytest.raises(ServerUnavailable, match="No such file"):
        toolset.start()
    failing = servers.failing
    toolset.stop()
    assert (failing, servers.failing) == (True, False), "nobody wants it any more"
    servers.close()


def test_a_cancelled_run_does_not_wait_for_a_server(tmp_path: Path) -> None:
    servers, cancellation = ToolServers(), FakeCancellation()
    toolset = McpToolset(servers, address(tmp_path, SILENT), cancellation=cancellation)
    cancellation.cancel()
    with pytest.raises(ServerUnavailable, match="cancelled"):
        toolset.start()
    toolset.stop()
    servers.close()


def test_runs_share_a_server_and_other_owners_have_their_own(bench: Workbench) -> None:
    servers = ToolServers(patience=PATIENCE)
    mine = address(bench.root, SILENT, **bench.environment)
    theirs = address(bench.root, SILENT, owner="ann", **bench.environment)
    assert servers.acquire(mine) is servers.acquire(mine)
    assert servers.acquire(mine) is not servers.acquire(theirs)
    eventually(lambda: len(bench.processes()) == 2, "both have started", seconds=60)
    servers.close()
    assert bench.processes() == []


def test_a_server_that_nobody_uses_is_ended_after_a_while(bench: Workbench) -> None:
    servers = ToolServers(patience=PATIENCE, idle_seconds=0.01)
    where = address(bench.root, SILENT, **bench.environment)
    for _ in range(2):
        servers.acquire(where)
    servers.release(where)
    eventually(lambda: len(bench.processes()) == 1, "it has started", seconds=60)
    servers.release(where)
    eventually(lambda: bench.processes() == [], "it has ended")
    servers.close()


def test_the_end_of_the_process_waits_for_a_server_that_is_being_ended_for_idleness(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    servers = ToolServers(patience=PATIENCE, idle_seconds=0.0)
    where = address(bench.root, SILENT, **bench.environment)
    server = servers.acquire(where)
    monkeypatch.setattr(server, "begin_close", told.set)  # the timer's; it ends only when it is closed
    servers.release(where)
    assert told.wait(5)
    monkeypatch.undo()
    servers.close()
    assert server.has_ended


def test_all_servers_of_an_agent_start_at_the_same_time(tmp_path: Path) -> None:
    servers = ToolServers(patience=ServerTimeouts(start=20.0))
    names = ("a", "b")
    meet = "touch {}; until test -e {}; do sleep 0.01; done; exit 1"  # each waits for the other
    toolsets = {
        mine: McpToolset(
            servers, address(tmp_path, meet.format(mine, other)), cancellation=FakeCancellation()
        )
        for mine, other in (names, names[::-1])
    }
    box = Toolbox({key: Shelved(toolset, Shelf(), True) for key, toolset in toolsets.items()})
    assert box.list_tools() == []
    assert [problem.rpartition(": ")[2] for problem in box.take_problems()] == ["Connection closed"] * 2
    box.stop()
    servers.close()


def test_without_the_package_the_warning_says_what_to_install(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_name: str) -> None:
        raise ImportError("no module named mcp")

    monkeypatch.setattr("app.agent.tools.mcp.tool_server.import_module", missing)
    toolset = start(SILENT)
    with pytest.raises(ServerUnavailable, match=r"pip install -e '\.\[mcp\]'"):
        toolset.start()
    toolset.stop()


def test_nothing_starts_when_the_process_is_ending(tmp_path: Path) -> None:
    servers = ToolServers()
    servers.close()
    with pytest.raises(RuntimeError, match="stopping"):
        servers.acquire(address(tmp_path))


LEAVES = """
setsid sh -c 'setsid env -i PATH="$PATH" sh -c ": > left; exec 9>alive; while [ -e left ]; do sleep 0.1; done" &'
until test -e left; do :; done
"""


def test_a_server_leaves_nothing_behind_that_has_left_its_process_group(tmp_path: Path) -> None:
    """A process that lives holds the pipe open."""
    os.mkfifo(tmp_path / "alive")
    servers = ToolServers(patience=PATIENCE)
    with open(os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        toolset = McpToolset(servers, address(tmp_path, LEAVES + RUN), cancellation=FakeCancellation())
        toolset.start()
        assert "echo" in names(toolset)
        eventually(lambda: pipe.read(1) is None, "what the server left is there")
        toolset.stop()
        servers.close()
        try:
            assert pipe.read(1) == b""
        finally:
            (tmp_path / "left").unlink()


class Turns:
    """A lock that tells of attempts in vain."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.refused = threading.Event()

    def acquire(self, *, blocking: bool) -> bool:
        taken = self.lock.acquire(blocking=blocking)
        if not taken:
            self.refused.set()
        return taken

    def release(self) -> None:
        self.lock.release()


def test_a_server_waits_while_a_command_gets_its_mark(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would carry that mark, and end with the command."""
    turns = Turns()
    monkeypatch.setattr("app.agent.tools.mcp.server_connection.STARTING", turns)
    servers = ToolServers(patience=PATIENCE)
    with turns.lock, marking("ab" * 16):
        servers.acquire(address(bench.root, SILENT, **bench.environment))
        assert turns.refused.wait(60)
        assert bench.processes() == []
    eventually(lambda: len(bench.processes()) == 1, "it has started", seconds=60)
    assert not carries(bench.processes()[0], "ab" * 16)
    servers.close()
