"""Commands from an agent file as tools: their arguments, their surroundings, and how they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.agent.tools.script import InvalidScript, ScriptToolset
from app.agent.toolset import ToolCancelled, Toolset
from app.team.toolset_spec import ScriptToolSpec
from app.tool_environment import VARIABLE
from tests.agent.tools.workbench import Workbench, find
from tests.harness.process import eventually


def script(bench: Workbench, **fields: Any) -> Toolset:
    tools = {"act": ScriptToolSpec.model_validate(fields)}
    return ScriptToolset(tools, environment=bench.environment)


def test_a_tool_is_described_by_its_definition(bench: Workbench) -> None:
    args = {"who": {"description": "A name"}, "times": {"type": "integer"}}
    toolset = script(bench, cmd="echo $who $times", args=args, required=["who"])
    assert find(toolset, "act").definition() == {
        "name": "act",
        "category": "",
        "description": "Execute shell command: echo $who $times",
        "parameters": {
            "type": "object",
            "properties": {
                "who": {"type": "string", "description": "A name"},
                "times": {"type": "integer"},
            },
            "required": ["who"],
        },
        "annotations": {},
        "outputSchema": {"type": "string"},
    }
    assert find(script(bench, cmd="true", description="Does it"), "act").description == "Does it"
    assert "required" not in (find(script(bench, cmd="true"), "act").parameters or {})


@pytest.mark.parametrize(
    ("value", "words"),
    [("a b; id", "a b; id"), (3, "3"), (3.0, "3"), (1.5, "1.5"), (True, "true"), ([1, "x"], '[1,"x"]')],
)
def test_an_argument_is_a_variable_and_never_a_command(bench: Workbench, value: Any, words: str) -> None:
    toolset = script(bench, cmd='printf "[%s]" "$what"', args={"what": {}})
    assert bench.call(toolset, "act", what=value).output == f"[{words}]"


def test_a_missing_argument_is_an_unset_variable_and_an_unknown_one_is_ignored(bench: Workbench) -> None:
    toolset = script(bench, cmd='echo "${what-nothing}${PATH:+ path}"', args={"what": {}})
    assert bench.call(toolset, "act", what=None, PATH="/none").output == "nothing path\n"


def test_a_command_that_takes_too_long_is_ended_and_an_error(bench: Workbench) -> None:
    tools = {"act": ScriptToolSpec.model_validate({"cmd": "echo begun; exec tail -f /dev/null"})}
    words = "Error executing command 'echo begun; exec tail -f /dev/null': timed out after 1s\nOutput: "

    def has_begun() -> bool:
        result = bench.call(ScriptToolset(tools, environment=bench.environment, timeout=1), "act")
        assert result.is_error
        assert result.output in (words, f"{words}begun\n")
        return result.output != words

    eventually(has_begun, "it got so far within its second")


def test_output_is_not_trimmed_and_holds_errors_too(bench: Workbench) -> None:
    assert bench.call(script(bench, cmd="echo ' a '; echo b >&2"), "act").output == " a \nb\n"


def test_a_failure_says_how_it_failed(bench: Workbench) -> None:
    result = bench.call(script(bench, cmd="echo so far; exit 3"), "act")
    assert result.is_error
    assert result.output == ("Error executing command 'echo so far; exit 3': exit status 3\nOutput: so far\n")


def test_a_long_output_is_cut(bench: Workbench) -> None:
    result = bench.call(script(bench, cmd="head -c 50000 /dev/zero | tr '\\0' x"), "act")
    assert result.output.startswith("x" * 30_000 + "\n\n[Output truncated")


def test_the_tools_own_env_wins_over_the_toolsets_and_that_over_the_servers(bench: Workbench) -> None:
    bench.environment.update({"A": "server", "B": "server", "C": "server", VARIABLE: "A,B,C"})
    tools = {"act": ScriptToolSpec(cmd="echo $A $B $C", env={"A": "tool"})}
    toolset = ScriptToolset(tools, environment=bench.environment, env={"A": "toolset", "B": "toolset"})
    assert bench.call(toolset, "act").output == "tool toolset server\n"


def test_it_runs_in_the_sessions_directory_or_below_it(bench: Workbench) -> None:
    (bench.root / "below").mkdir()
    assert Path(bench.call(script(bench, cmd="pwd"), "act").output.strip()) == bench.root
    assert bench.call(script(bench, cmd="pwd", working_dir="below"), "act").output == f"{bench.root}/below\n"
    assert bench.call(script(bench, cmd="pwd", working_dir="gone"), "act").is_error


def test_a_cancel_ends_it_with_all_it_started(bench: Workbench) -> None:
    pipe = bench.when_signalled(bench.cancellation.cancel)
    with pytest.raises(ToolCancelled, match="Command cancelled"):
        bench.call(script(bench, cmd=f"sleep 60 & echo > {pipe}; sleep 60"), "act")


def test_a_variable_that_nobody_sets_is_named(bench: Workbench) -> None:
    with pytest.raises(InvalidScript, match=r"^tool 'act' uses undefined args: \[what ever\]$"):
        script(bench, cmd="echo $what ${ever} $what $PATH $1 $?")
    with pytest.raises(InvalidScript, match="tool 'act' has required arg 'x' which is not defined in args"):
        script(bench, cmd="true", required=["x"])


def test_variables_that_the_command_sets_need_not_be_arguments(bench: Workbench) -> None:
    toolset = script(bench, cmd='n=2; for i in 1 $n; do echo "$i"; done')
    assert bench.call(toolset, "act").output == "1\n2\n"
