"""Tool servers whose answers can't be read, and who say on their pipes what is no message."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.toolbox import Toolbox
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.pipes import MAX_LINE, LastWords, Lines
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.toolset import Elicitation, ToolResult
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools import odd_server
from tests.agent.tools.test_mcp import call, context, names
from tests.agent.tools.workbench import find

PROGRAM = Path(odd_server.__file__)
GOOD = '{"jsonrpc": "2.0", "id": ID, "result": {"content": [{"type": "text", "text": "fine"}]}}\n'

Start = Callable[..., McpToolset]


def odd(servers: ToolServers, folder: Path, **wanted: Any) -> McpToolset:
    file = folder / f"wanted{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps(wanted))
    where = ServerAddress.of_command(
        sys.executable, ["-S", str(PROGRAM), str(file)], environment={}, working_dir=str(folder), owner=""
    )
    return McpToolset(servers, where, cancellation=FakeCancellation())


@pytest.fixture(scope="module")
def servers() -> Iterator[ToolServers]:
    servers = ToolServers(patience=ServerTimeouts(start=60.0, call=60.0, restarts=(0.01,)))
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def talkative(servers: ToolServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpToolset]:
    """One server for all tests: each of them shows that the connection goes on."""
    toolset = odd(servers, tmp_path_factory.mktemp("odd"))
    toolset.start()
    yield toolset
    toolset.stop()


@pytest.fixture
def start(servers: ToolServers, tmp_path: Path) -> Iterator[Start]:
    begun: list[McpToolset] = []

    def begin(**wanted: Any) -> McpToolset:
        begun.append(odd(servers, tmp_path, **wanted))
        return begun[-1]

    yield begin
    for toolset in begun:
        toolset.stop()


def result(text: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": "ID", "result": text}).replace('"ID"', "ID") + "\n"


UNREADABLE = {
    "half a surrogate pair": (
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"\\ud800"}]}}\n',
        "half of a surrogate pair",
    ),
    "a result that is a text": ('{"jsonrpc":"2.0","id":ID,"result":"done"}\n', "its result is a text"),
    "a result that is a list": ('{"jsonrpc":"2.0","id":ID,"result":[]}\n', "its result is a list"),
    "a result that is null": ('{"jsonrpc":"2.0","id":ID,"result":null}\n', "its result is null"),
    "no content": ('{"jsonrpc":"2.0","id":ID,"result":{"toolResult":7}}\n', "no content"),
    "neither result nor error": ('{"jsonrpc":"2.0","id":ID}\n', "neither a result nor an error"),
    "no version": ('{"id":ID,"result":{"content":[]}}\n', "not of JSON-RPC 2.0"),
    "another version": ('{"jsonrpc":"1.0","id":ID,"result":{"content":[]}}\n', "not of JSON-RPC 2.0"),
    "half an answer": ('{"jsonrpc":"2.0","id":ID,"result":{"content":[\n', "not valid JSON"),
    "half an answer with a part that is whole": (
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"x"}\n',
        "not valid JSON",
    ),
    "half an answer without an id": ('{"jsonrpc":"2.0","result":{"content":[\n', "not valid JSON"),
    "an id that nobody has": ('{"jsonrpc":"2.0","id":99999,"result":{"content":[]}}\n', "request 99999"),
    "an id that is a text": ('{"jsonrpc":"2.0","id":"call","result":{"content":[]}}\n', "request 'call'"),
    "an id that is null": ('{"jsonrpc":"2.0","id":null,"result":{"content":[]}}\n', "its id is null"),
    "an id that is a list": ('{"jsonrpc":"2.0","id":[1],"result":{"content":[]}}\n', "its id is a list"),
    "no id": ('{"jsonrpc":"2.0","result":{"content":[]}}\n', "it has no id"),
    "a number without end": (
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[],"n":' + "9" * 5000 + "}}\n",
        "",
    ),
    "too deep": (
        '{"jsonrpc":"2.0","id":ID,"result":{"content":' + "[" * 5000 + "]" * 5000 + "}}\n",
        "can't be read",
    ),
}
REFUSALS = {
    "an error that is a text": ('{"jsonrpc":"2.0","id":ID,"error":"no such table"}\n', "no such table"),
    "an error without a code": ('{"jsonrpc":"2.0","id":ID,"error":{"message":"no disk"}}\n', "no disk"),
    "an error whose code is a text": (
        '{"jsonrpc":"2.0","id":ID,"error":{"code":"-32602","message":"no path"}}\n',
        "no path",
    ),
    "an error without a message": ('{"jsonrpc":"2.0","id":ID,"error":{"code":5}}\n', '{"code": 5}'),
    "an error without an id": (
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse"}}\n',
        "parse",
    ),
    "an error that is null": ('{"jsonrpc":"2.0","id":ID,"error":null}\n', "null"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_answer_that_can_not_be_read_is_an_error_at_once_and_the_next_call_works(
    talkative: McpToolset, case: str
) -> None:
    line, words = UNREADABLE[case]
    outcome = call(talkative, "say", line=line)
    if case == "a number without end" and not outcome.is_error:
        return  # some readers can
    assert outcome.is_unknown
    assert "the server's answer can't be read" in outcome.output
    assert words in outcome.output
    assert call(talkative, "say", line=GOOD).output == "fine"


@pytest.mark.parametrize("case", REFUSALS)
def test_an_error_of_whatever_form_reaches_the_model_in_its_words(talkative: McpToolset, case: str) -> None:
    line, words = REFUSALS[case]
    outcome = call(talkative, "say", line=line)
    assert outcome.is_error
    assert words in outcome.output
    assert call(talkative, "say", line=GOOD).output == "fine"


@pytest.mark.parametrize(
    "line",
    [
        "[" + GOOD.strip() + "]\n",
        GOOD.strip(),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        "\x1b[32m" + GOOD.strip() + "\x1b[0m\n",
        "Loading model... " + GOOD,
        'DEBUG {"open [1, {"x"} ' + GOOD,
        GOOD.strip() + " done.\n",
        "\n\n \n" + GOOD,
        "<FF><FF> is no UTF-8\n" + GOOD,
        "2026-11-27 INFO {not: json}\n" + GOOD,
        '{"level": "info", "id": ID, "msg": "JSON, but a log"}\n' + GOOD,
        '{"level": "error", "id": ID, "error": "JSON, but a log"}\n' + GOOD,
        '[1, 2, 3]\n7\n"text"\nnull\n{}\n' + GOOD,
        '{"jsonrpc":"2.0","method":"notifications/of_no_known_kind","params":{"a":[1]}}\n' + GOOD,
        '{"jsonrpc":"2.0","method":"notifications/odd","params":[1]}\n' + GOOD,
        '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":[],"progress":"x"}}\n'
        + GOOD,
        '{"jsonrpc":"2.0","method":"notifications/odd","params":{}}' + GOOD,
        '{"jsonrpc":"2.0","id":1,"result":{"late":true}}\n' + GOOD,
        '{"jsonrpc":"2.0","id":77,"method":"of/no/known/kind"}\n' + GOOD,
        GOOD.replace("ID", '"ID"'),
        GOOD.replace("ID", "ID.0"),
        GOOD + GOOD,
    ],
)
def test_noise_round_an_answer_is_no_matter(talkative: McpToolset, line: str) -> None:
    assert call(talkative, "say", line=line) == ToolResult("fine", images=[], audios=[])
    assert call(talkative, "say", line=GOOD).output == "fine"


def test_a_byte_that_is_not_utf8_in_an_answer_is_replaced(talkative: McpToolset) -> None:
    assert call(talkative, "say", line=GOOD.replace("fine", "caf<FF>")).output == "caf\ufffd"


def test_half_a_surrogate_pair_in_the_arguments_is_replaced(talkative: McpToolset) -> None:
    line = GOOD.replace("fine", "a\ud800b")
    assert call(talkative, "say", line=line, **{"more\udfff": [{"x": "\ud800"}]}).output == "a?b"


@pytest.mark.parametrize("before", ["<FF><FF>\n", "\ufeff", "Starting up\r\n\n", "ready> ", "\x1b[2J"])
def test_noise_before_the_first_message_costs_no_tools(start: Start, before: str) -> None:
    toolset = start(before=before)
    toolset.start()
    assert names(toolset) == ["say"]
    assert call(toolset, "say", line=GOOD).output == "fine"


@pytest.mark.parametrize(
    "introduction",
    [
        {"capabilities": {"tools": {"listChanged": "yes"}}, "serverInfo": None},
        {"capabilities": {"tools": True, "odd": 7}, "serverInfo": {"name": 7}, "instructions": ["x"]},
    ],
)
def test_an_odd_introduction_is_no_reason_to_do_without_the_server(
    start: Start, introduction: dict[str, Any]
) -> None:
    toolset = start(introduction={"protocolVersion": "2025-06-18", **introduction})
    toolset.start()
    assert names(toolset) == ["say"]


def test_a_list_that_is_none_says_so(start: Start) -> None:
    with pytest.raises(ServerUnavailable, match="its list of tools is missing"):
        start(list={"tools": "none"}).start()


def test_a_script_that_dies_at_its_start_says_its_last_words_in_one_line(
    servers: ToolServers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = "Traceback (most recent call last):\n  File\nModuleNotFoundError: No module named 'x'\n\n"
    box = Toolbox({"root/mcp#0": odd(servers, tmp_path, dies=words)}, file="coder.yaml")
    with caplog.at_level(logging.INFO):
        assert box.list_tools() == []
        assert box.list_tools() == []
    box.stop()
    (problem,) = box.take_problems()
    assert problem.startswith(f"mcp(stdio cmd={sys.executable} args_len=3) start failed: ")
    assert problem.endswith("ModuleNotFoundError: No module named 'x'")
    (record,) = [one for one in caplog.records if one.levelno >= logging.INFO]
    assert not record.exc_info
    for part in ("coder.yaml", "root/mcp#0", sys.executable, "ModuleNotFoundError: No module named 'x'"):
        assert part in record.getMessage()
    assert "\n" not in record.getMessage()


def test_lines_are_cut_wherever_the_bytes_are() -> None:
    said = "eins\nzwéi\n\n\ndrei".encode()
    for size in range(1, len(said)):
        lines = Lines()
        found = [line for at in range(0, len(said), size) for line in lines.feed(said[at : at + size])]
        assert found == ["eins", "zwéi"]


def test_a_line_without_end_is_given_out_once_and_costs_no_memory() -> None:
    lines = Lines()
    piece = b"x" * (1 << 20)
    found = [len(line) for _ in range((MAX_LINE >> 20) * 2) for line in lines.feed(piece)]
    assert found == [MAX_LINE]
    assert [*lines.feed(b"end\nnext\n")] == ["next"]


def test_last_words_are_the_last_line_that_says_something() -> None:
    last = LastWords()
    assert last.line == ""
    last.feed(b"x" * 10_000)
    last.feed(b"\nthe \xff end\n \n")
    assert last.line == "the \ufffd end"


@pytest.mark.parametrize(("sent", "mode"), [({}, ""), ({"mode": "form"}, "form")])
def test_a_question_has_the_mode_that_its_server_gave_it(
    talkative: McpToolset, sent: dict[str, str], mode: str
) -> None:
    params = {**sent, "message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
    question = {"jsonrpc": "2.0", "id": f"q{mode}", "method": "elicitation/create", "params": params}
    asked = find(talkative, "say").call({"line": f"{json.dumps(question)}\n{GOOD}"}, context(Path()))
    assert isinstance(asked, Elicitation)
    assert (asked.message, asked.mode) == ("Which?", mode)
    assert asked.then is not None
    answered = asked.then("decline", None)
    assert isinstance(answered, ToolResult)
    assert answered.output == "fine"
