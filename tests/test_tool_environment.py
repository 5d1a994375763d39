"""Whatever a tool starts gets a small environment: not the server's, with its keys, passwords and paths."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from app.setting_fields import InvalidSettings
from app.settings import Settings
from app.tool_environment import VARIABLE, for_commands
from tests.conftest import StartBaton
from tests.harness.process import ROOT, eventually
from tests.harness.wire import Client

SECRET: Final = "hidden-from-all-tools"
OF_THE_SERVER: Final = (
    *(
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "BATON_AUTH_TOKEN_OF_OLD",
        "PGPASSWORD",
        "PGSSLKEY",
    ),
    *("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"),
    *("HTTPS_PROXY", "SSH_AUTH_SOCK", "DATABASE_URL", "GUNICORN_SECRET", "LCD_SECRET", "PATH_OF_SECRETS"),
)
TOOLS: Final = (
    '[call shell {"cmd":"env > shell.env"}]',
    '[then][call run_background_job {"cmd":"env > job.env"}]',
    "[then][call act {}]",
    '[then][call write_file {"path":"a.txt","content":"a"}]',
    "[then][say done]",
)
STARTED: Final = ("shell", "job", "script", "post_edit", "mcp", "before", "after", "begin", "end")
ALLOWED: Final = {"PATH", "HOME", "NAMED_BY_SETTING", "FROM_AGENT", "TOOL_CALL_MARK", "path"}
OF_THE_SHELL: Final = {"PWD", "OLDPWD", "SHLVL", "_", "TERM", "USER", "LOGNAME", "SHELL"}


def agents(folder: Path) -> Path:
    named = {"FROM_AGENT": "${env.WANTED_BY_AGENT}"}
    root = {
        "model": "anthropic/claude-sonnet-5-5",
        "description": "d",
        "instruction": "i",
        "toolsets": [
            {"type": "shell", "env": named},
            {"type": "script", "shell": {"act": {"cmd": "env > script.env", "description": "d"}}},
            {"type": "filesystem", "post_edit": [{"path": "*", "cmd": "env > post_edit.env"}]},
            {"type": "mcp", "command": "sh", "args": ["-c", "env > mcp.env"]},
        ],
        "hooks": {
            "pre_tool_use": [{"hooks": hook("before")}],
            "post_tool_use": [{"hooks": hook("after")}],
            "session_start": hook("begin"),
            "session_end": hook("end"),
        },
    }
    file = folder / "all.yaml"
    file.write_text(yaml.safe_dump({"agents": {"root": root}}))
    return file


def hook(name: str) -> list[dict[str, str]]:
    return [{"type": "command", "command": f"env > {name}.env"}]


@pytest.fixture
def client(start_baton: StartBaton, tmp_path: Path) -> Iterator[Client]:
    settings = {
        **dict.fromkeys(OF_THE_SERVER, SECRET),
        "WANTED_BY_AGENT": "wanted",
        "NAMED_BY_SETTING": "named",
        VARIABLE: "NAMED_BY_SETTING",
    }
    client = Client(start_baton(agents=agents(tmp_path), settings=settings, cold=True).url)
    yield client
    client.close()


def test_no_process_that_a_tool_or_hook_starts_gets_more_than_the_list(
    client: Client, tmp_path: Path
) -> None:
    client.say(client.new_session(tools_approved=True), "".join(TOOLS), agent="all")
    for name in STARTED:
        file = tmp_path / f"{name}.env"
        shown = dict(
            line.split("=", 1) for line in eventually(lambda file=file: written(file), name).splitlines()
        )
        assert SECRET not in shown.values(), name
        assert {one for one in shown if not one.startswith("LC_")} <= ALLOWED | OF_THE_SHELL, name
        assert shown["NAMED_BY_SETTING"] == "named"
        assert shown["PATH"]
    assert "FROM_AGENT=wanted" in (tmp_path / "shell.env").read_text()


def written(file: Path) -> str:
    return file.read_text() if file.exists() else ""


WAYS: Final = {
    "Popen": 3,  # a command, the stand-in, the worker of a regular expression
    "run": 2,  # the cage is tried at the start; ps and sysctl are asked where there is no /proc
    "open_process": 1,  # a tool server
    "execv": 1,  # `baton serve` becomes the server
}
"""How often each way to start a process stands in the program. A new one gets an environment of its own, and a tool's
one is added to the test above and to the one of cages."""


def test_every_way_to_start_a_process_is_known_and_names_an_environment() -> None:
    found: dict[str, int] = {}
    for file in (ROOT / "gunicorn.conf.py", *(ROOT / "app").rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            if (name := starts_a_process(ast.unparse(call.func))) is None:
                continue
            found[name] = found.get(name, 0) + 1
            if name in ("Popen", "run"):
                assert "env" in {word.arg for word in call.keywords}, f"{file}:{call.lineno}"
    assert found == WAYS


def test_a_tools_process_is_started_by_one_thread_at_a_time() -> None:
    """Else it might get the mark of another thread's command, and end with that."""
    for file in (ROOT / "app" / "agent").rglob("*.py"):
        tree = ast.parse(file.read_text())
        alone = [
            with_ for with_ in ast.walk(tree) if isinstance(with_, ast.With) and "STARTING" in heads(with_)
        ]
        guarded = sum(map(popens, alone))
        assert popens(tree) == guarded, file


def heads(with_: ast.With) -> set[str]:
    return {ast.unparse(item.context_expr) for item in with_.items}


def popens(tree: ast.AST) -> int:
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum(starts_a_process(called) == "Popen" for called in calls)


def starts_a_process(called: str) -> str | None:
    module, _, name = called.rpartition(".")
    if name in ("Popen", "stdio_client", "open_process", "system", "popen", "fork", "forkpty"):
        return name if module in ("", "subprocess", "os", "anyio", "pty") else None
    if name.startswith(("posix_spawn", "exec", "spawn")) and module == "os":
        return name
    if module == "subprocess" or name.startswith("create_subprocess"):
        return name
    return None


def test_the_setting_takes_names_and_beginnings() -> None:
    given = {"GOPATH": "g", "NODE_A": "a", "NODE_B": "b", "OTHER": "o", VARIABLE: "GOPATH, NODE_*"}
    assert for_commands(given) == {"GOPATH": "g", "NODE_A": "a", "NODE_B": "b"}


def test_a_beginning_that_the_servers_own_variables_share_does_not_bring_them() -> None:
    given = {"BATON_AUTH_TOKENS": "t", "ANTHROPIC_API_KEY": "k", "BAT": "b", VARIABLE: "B*,A*"}
    assert for_commands(given, {"ANTHROPIC_API_KEY": "k"}) == {"BAT": "b"}


@pytest.mark.parametrize("value", ["BATON_AUTH_TOKENS", "ANTHROPIC_API_KEY", "BATON_*", "*", "A-B", "A=B"])
def test_a_setting_that_names_the_servers_own_or_no_variable_stops_the_start(value: str) -> None:
    with pytest.raises(InvalidSettings, match=VARIABLE):
        Settings.from_environment({VARIABLE: value})
