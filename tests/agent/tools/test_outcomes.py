"""Calls whose answer does not come, for every toolset that reaches outside of this process.

Output, error, unknown: a request that has left and was not answered may have taken effect, whoever died, was silent
or cancelled. A request that certainly did not leave has failed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.agent.tools.fetch import FetchToolset
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.registry import ToolsetUnavailable, build
from app.agent.tools.run_facts import RunFacts
from app.agent.toolset import CANCELLED, Outcome, Tool, ToolCancelled, ToolResult, Toolset
from app.team.toolset_spec import TYPES, ToolsetSpec
from app.tool_environment import VARIABLE
from tests.agent.tools.test_mcp_remote import Site
from tests.agent.tools.test_mcp_remote import running as tool_server
from tests.agent.tools.web_site import running as web_site
from tests.agent.tools.workbench import Workbench
from tests.harness.process import eventually
from tests.harness.proxy import BreakingProxy

ROOT = Path(__file__).parents[3]
SILENCE = 1  # seconds that a call waits for its answer where that does not come

IN_THIS_PROCESS = {
    "filesystem": "a file is replaced as a whole or not at all",
    "memory": "one transaction of a database file",
    "tasks": "a file is replaced as a whole or not at all",
    "think": "words",
    "todo": "the session's state",
    "user_prompt": "a question",
    "model_picker": "the session's state",
    "background_agents": "rows of the server's own database",
    "file": "a file is replaced as a whole or not at all",
    "plan": "the session's state",
    "environment": "it only reads",
    "session_context": "it only reads",
    "git": "it only reads",
    "open_url": "a question",
    "background_jobs": "it starts a job and does not wait for it",
}
"""The toolsets whose calls send nothing, and what they change instead."""

UNKNOWN = "It is not known whether this tool call took effect: "


@dataclass
class Call:
    """One call of a tool, and the other side of it, which does not answer."""

    toolset: Toolset
    arguments: Mapping[str, Any]
    has_arrived: Callable[[], bool]
    die: Callable[[], object]
    expected: str = "unknown"
    """`read`: it changed nothing, so it failed; `stopped`: it was ended in the middle, and says so."""
    tool: str = ""
    made: Outcome | BaseException | None = field(default=None, init=False)

    def find(self) -> Tool:
        tools = list(self.toolset.tools())
        return next(tool for tool in tools if tool.name == self.tool) if self.tool else tools[0]


def spec(**fields: Any) -> ToolsetSpec:
    return ToolsetSpec.model_validate(fields)


@contextmanager
def over_http(bench: Workbench, kind: str, expected: str, seconds: float, **fields: Any) -> Iterator[Call]:
    """A toolset that is built with the address of a site that takes requests and never answers."""
    over = threading.Event()
    with web_site() as site, BreakingProxy(site.port) as between:

        def wait(_request: BaseHTTPRequestHandler) -> None:
            over.wait(60)

        site.pages["/silent"] = wait
        document = {
            "openapi": "3.1.0",
            "paths": {"/silent": {fields.pop("operation", "post"): {"operationId": "act"}}},
        }
        site.add("/api.json", orjson.dumps(document))
        url = f"{between.url}/silent"
        text = orjson.dumps(fields).decode().replace("URL", url).replace("SITE", between.url)
        toolset = build(
            spec(type=kind, **orjson.loads(text)),
            environment=bench.environment,
            run=RunFacts(cancellation=bench.cancellation, working_dir=bench.root),
        )
        if kind == "fetch":
            toolset = FetchToolset(timeout=int(seconds), allow_private=True)
        toolset.start()
        by_kind: dict[str, dict[str, Any]] = {"fetch": {"urls": [url]}, "webhook": {"message": "hello"}}
        arguments = by_kind.get(kind, {})
        try:
            yield Call(toolset, arguments, lambda: "/silent" in site.asked, between.cut, expected)
        finally:
            over.set()
            toolset.stop()


@contextmanager
def over_mcp(bench: Workbench, transport: str, seconds: float = 60.0) -> Iterator[Call]:
    mark = bench.root / "mark"
    servers = ToolServers(patience=ServerTimeouts(start=60.0, call=seconds, restarts=(60.0,)))
    with ExitStack() as opened:
        opened.callback(servers.close)
        if transport == "stdio":
            named = f"{bench.environment[VARIABLE]},PYTHONPATH"
            environment = {**bench.environment, "PYTHONPATH": str(ROOT), VARIABLE: named}
            command = [sys.executable, "-m", "tests.agent.tools.mcp_server"]
            made = spec(type="mcp", command=command[0], args=command[1:])

            def die() -> None:
                for pid in bench.processes():
                    os.kill(pid, 9)
        else:
            site = Site()
            opened.enter_context(tool_server(transport, site))
            between = opened.enter_context(BreakingProxy(int(site.url.rpartition(":")[2])))
            path = "/sse" if transport == "sse" else "/mcp"
            environment, die = bench.environment, between.cut
            made = spec(type="mcp", remote={"url": between.url + path, "transport_type": transport})
        run = RunFacts(cancellation=bench.cancellation, working_dir=bench.root)
        toolset = build(made, environment=environment, run=run, servers=servers)
        opened.callback(toolset.stop)
        toolset.start()
        yield Call(toolset, {"mark": str(mark)}, mark.exists, die, tool="hang")


@contextmanager
def in_a_command(bench: Workbench, kind: str) -> Iterator[Call]:
    mark, cmd = bench.root / "mark", "echo begun; touch mark; exec sleep 60"
    shell = {"act": {"cmd": cmd, "description": "d"}} if kind == "script" else {}
    toolset = build(spec(type=kind, **({"shell": shell} if shell else {})), environment=bench.environment)
    arguments = {"command": cmd} if kind == "agent_toolset" else {"cmd": cmd, "timeout": 60}
    try:
        yield Call(toolset, arguments, mark.exists, lambda: None, "stopped")
    finally:
        toolset.stop()


API = {"name": "act", "endpoint": "URL"}
SCENES: dict[str, Callable[[Workbench, float], Any]] = {
    "api get": lambda bench, seconds: over_http(
        bench, "api", "unknown", seconds, api_config={**API, "method": "GET"}
    ),
    "api post": lambda bench, seconds: over_http(
        bench, "api", "unknown", seconds, api_config={**API, "method": "POST"}
    ),
    "openapi post": lambda bench, seconds: over_http(
        bench, "openapi", "unknown", seconds, url="SITE/api.json"
    ),
    "openapi get": lambda bench, seconds: over_http(
        bench, "openapi", "read", seconds, url="SITE/api.json", operation="get"
    ),
    "webhook": lambda bench, seconds: over_http(
        bench, "webhook", "unknown", seconds, webhook_config={"url": "URL"}
    ),
    "fetch": lambda bench, seconds: over_http(bench, "fetch", "read", seconds),
    "mcp stdio": lambda bench, seconds: over_mcp(bench, "stdio", seconds),
    "mcp streamable": lambda bench, seconds: over_mcp(bench, "streamable", seconds),
    "mcp sse": lambda bench, seconds: over_mcp(bench, "sse", seconds),
    "shell": lambda bench, _: in_a_command(bench, "shell"),
    "script": lambda bench, _: in_a_command(bench, "script"),
    "agent_toolset": lambda bench, _: in_a_command(bench, "agent_toolset"),
}
THAT_CAN_FAIL = [name for name in SCENES if name not in ("shell", "script", "agent_toolset")]


@pytest.fixture
def seconds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """How long calls wait for their answer."""
    seconds = SILENCE if "is_silent" in request.node.name else 60
    for name in ("api", "openapi", "webhook"):
        monkeypatch.setattr(f"app.agent.tools.{name}.SECONDS", seconds)
    return seconds


@pytest.fixture
def scene(request: pytest.FixtureRequest, bench: Workbench, seconds: float) -> Iterator[Call]:
    with SCENES[request.param](bench, seconds) as call:
        yield call


def made(call: Call, bench: Workbench, meanwhile: Callable[[], object] | None = None) -> ToolResult:
    """The call's outcome; `meanwhile` is done once the other side has the request. A cancel is told as a result."""

    def work() -> None:
        try:
            call.made = call.find().call(call.arguments, bench.context)
        except ToolCancelled as cancelled:
            call.made = cancelled

    thread = threading.Thread(target=work)
    thread.start()
    try:
        if meanwhile is not None:
            eventually(call.has_arrived, "the request has arrived", seconds=60)
            meanwhile()
    finally:
        thread.join(60)
    if isinstance(call.made, ToolCancelled):
        return ToolResult.error(str(call.made))
    assert isinstance(call.made, ToolResult)
    return call.made


@pytest.mark.parametrize("scene", THAT_CAN_FAIL, indirect=True)
def test_the_other_side_dies_when_it_has_the_request(scene: Call, bench: Workbench) -> None:
    result = made(scene, bench, scene.die)
    assert result.is_error
    assert result.is_unknown == (scene.expected == "unknown"), result.output
    assert result.output.startswith(UNKNOWN) == result.is_unknown


@pytest.mark.parametrize("scene", THAT_CAN_FAIL, indirect=True)
def test_the_other_side_is_silent(scene: Call, bench: Workbench) -> None:
    def arrived() -> ToolResult | None:
        result = made(scene, bench)
        assert "no answer within 1 seconds" in result.output
        return result if scene.has_arrived() else None

    result = eventually(arrived, "a call has left within its second")
    assert result.is_unknown == (scene.expected == "unknown"), result.output


@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_the_run_is_cancelled_when_the_other_side_has_the_request(scene: Call, bench: Workbench) -> None:
    result = made(scene, bench, bench.cancellation.cancel)
    assert result.is_error
    match scene.expected:
        case "unknown":
            assert result == ToolResult.unknown("the run was cancelled before the answer came")
        case "read":
            assert (result.output, isinstance(scene.made, ToolCancelled)) == (CANCELLED, True)
        case "stopped":
            assert "It was stopped at work; what it had done by then stays." in result.output
            assert result.output.rstrip().endswith("Output: begun")


@pytest.mark.parametrize("scene", THAT_CAN_FAIL, indirect=True)
def test_a_run_that_was_cancelled_before_sends_nothing(scene: Call, bench: Workbench) -> None:
    bench.cancellation.cancel()
    result = made(scene, bench)
    assert (result.output, isinstance(scene.made, ToolCancelled)) == (CANCELLED, True)
    assert not scene.has_arrived()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_can_not_be_sent_has_failed(bench: Workbench, method: str) -> None:
    for host in ("127.0.0.1:9", "no-such-host.invalid", "127.0.0.1:99999"):
        definition = {"name": "act", "endpoint": f"http://{host}/", "method": method}
        toolset = build(spec(type="api", api_config=definition), environment={})
        result = bench.call(toolset, "act")
        assert (result.is_error, result.is_unknown) == (True, False), result.output


def test_a_tool_server_that_is_not_there_has_carried_out_nothing(bench: Workbench) -> None:
    with over_mcp(bench, "stdio", SILENCE) as call:
        call.die()
        eventually(lambda: not bench.processes(), "it has died")
        result = made(call, bench)
    assert (result.is_error, call.has_arrived()) == (True, False)


def test_an_endpoint_that_refuses_the_connection_has_not_got_the_call(bench: Workbench) -> None:
    servers, site = ToolServers(patience=ServerTimeouts(start=60.0, call=60.0, restarts=())), Site()
    with ExitStack() as opened:
        opened.callback(servers.close)
        with tool_server("streamable", site):
            made_of = spec(type="mcp", remote={"url": f"{site.url}/mcp", "transport_type": "streamable"})
            toolset = build(made_of, environment={}, run=RunFacts(), servers=servers)
            opened.callback(toolset.stop)
            toolset.start()
        result = bench.call(toolset, "echo", text="hi")
    assert (result.is_error, result.is_unknown) == (True, False), result.output


def test_every_toolset_that_can_be_built_is_looked_at_here() -> None:
    """One that is new is either put among the scenes, or said to send nothing."""
    here = {name.split()[0] for name in SCENES}
    for kind in TYPES - here - set(IN_THIS_PROCESS):
        fields: dict[str, Any] = {"a2a": {"url": "http://x/"}, "lsp": {"command": "x"}}.get(kind, {})
        with pytest.raises(ToolsetUnavailable, match="not supported"):
            build(spec(type=kind, **fields), environment={})
