"""Definitions become toolsets, tailored as the agent's author wants them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.registry import Tailored, ToolsetUnavailable, build, key
from app.agent.tools.run_facts import RunFacts
from app.roots import Ground
from app.team.lifecycle import Lifecycle
from app.team.toolset_spec import ToolsetSpec
from tests.agent.tools.workbench import Workbench

TYPES = ["filesystem", "shell", "fetch", "think", "todo", "user_prompt", "tasks", "memory"]

CONTRACT = """
directory_tree | Directory Tree | filesystem | RO | path
edit_file | Edit | filesystem | D | path edits
list_directory | List Directory | filesystem | RO D | path
read_file | Read | filesystem | RO | path offset? limit? column?
read_multiple_files | Read Multiple Files | filesystem | RO | paths json?
search_files_content | Search Files Content | filesystem | RO D | path query is_regex? excludePatterns?
write_file | Write | filesystem | D | path content
create_directory | Create Directory | filesystem | | paths
remove_directory | Remove Directory | filesystem | | paths
shell | Shell | shell | D | cmd cwd? timeout?
run_background_job | Background Job | shell | D | cmd cwd?
list_background_jobs | List Background Jobs | shell | RO D |
view_background_job | View Background Job Output | shell | RO D | job_id
stop_background_job | Stop Background Job | shell | D | job_id
fetch | Fetch URLs | fetch | | urls format timeout?
think | Think | think | RO | thought
create_todo | Create TODO | todo | RO | description
create_todos | Create TODOs | todo | RO | descriptions
update_todos | Update TODOs | todo | RO | updates
list_todos | List TODOs | todo | RO |
user_prompt | User Prompt | user_prompt | RO | message title? schema?
create_task | Create Task | tasks | | title description? path? priority? dependencies?
get_task | Get Task | tasks | RO | id
update_task | Update Task | tasks | | id title? description? path? priority? status? dependencies?
delete_task | Delete Task | tasks | | id
list_tasks | List Tasks | tasks | RO | status? priority?
next_task | Next Task | tasks | RO |
add_dependency | Add Dependency | tasks | | taskId dependsOnId
remove_dependency | Remove Dependency | tasks | | taskId dependsOnId
add_memory | Add Memory | memory | | memory category?
get_memories | Get Memories | memory | RO |
delete_memory | Delete Memory | memory | | id
search_memories | Search Memories | memory | RO | query? category?
update_memory | Update Memory | memory | | id memory category?
"""


def spec(**fields: Any) -> ToolsetSpec:
    return ToolsetSpec.model_validate(fields)


def test_every_tool_is_what_the_contract_says() -> None:
    tools = [tool for kind in TYPES for tool in build(spec(type=kind), environment={}).tools()]
    found = []
    for tool in tools:
        properties = (tool.parameters or {}).get("properties", {})
        required = (tool.parameters or {}).get("required", [])
        marks = ["RO"] * tool.read_only + ["D"] * tool.takes_description
        takes = [name if name in required else f"{name}?" for name in properties]
        row = [tool.name, tool.title, tool.category, " ".join(marks), " ".join(takes)]
        found.append(" | ".join(row).replace("|  |", "| |").strip())
    assert found == CONTRACT.strip().splitlines()


def test_every_schema_is_one_and_every_tool_says_what_it_does() -> None:
    for kind in TYPES:
        for tool in build(spec(type=kind), environment={}).tools():
            assert tool.description
            jsonschema.Draft202012Validator.check_schema(tool.for_model()["input_schema"])
            jsonschema.Draft202012Validator.check_schema(tool.output_schema or {})
            if tool.parameters is not None and kind != "fetch":
                assert tool.parameters["additionalProperties"] is False


@pytest.mark.parametrize("kind", ["a2a", "lsp"])
def test_a_type_that_this_server_does_not_build_is_named(kind: str) -> None:
    with pytest.raises(ToolsetUnavailable, match=f"toolset type {kind} is not supported"):
        build(ToolsetSpec.model_construct(type=kind), environment={})


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(ToolsetUnavailable, match="unknown toolset type: telepathy"):
        build(spec(type="telepathy"), environment={})


def test_only_the_named_tools_are_kept() -> None:
    toolset = build(spec(type="shell", tools=["shell", "nonsense"]), environment={})
    assert [tool.name for tool in toolset.tools()] == ["shell"]


def test_instructions_are_replaced_with_the_original_where_it_is_wanted() -> None:
    original = build(spec(type="think"), environment={}).instructions
    assert original
    tailored = build(spec(type="think", instruction="A {ORIGINAL_INSTRUCTIONS} B"), environment={})
    assert tailored.instructions == f"A {original} B"


def test_a_variable_in_env_is_filled_in_and_a_missing_one_is_named(bench: Workbench) -> None:
    shell = spec(type="shell", env={"MINE": "$THEIRS-${THEIRS}"})
    toolset = build(shell, environment={**bench.environment, "THEIRS": "x"})
    assert bench.call(toolset, "shell", cmd='echo "$MINE"').output == "x-x"
    with pytest.raises(ToolsetUnavailable, match="THEIRS"):
        build(shell, environment={})


def test_scripts_get_their_variables_and_a_bad_one_is_named(bench: Workbench) -> None:
    fields = {"shell": {"show": {"cmd": "echo $A $B", "env": {"B": "${THEIRS}!"}}}, "env": {"A": "$THEIRS"}}
    toolset = build(spec(type="script", **fields), environment={**bench.environment, "THEIRS": "x"})
    assert bench.call(toolset, "show").output == "x x!\n"
    with pytest.raises(ToolsetUnavailable, match="uses undefined args"):
        build(spec(type="script", shell={"show": {"cmd": "echo $A"}}), environment={})


def test_memories_are_kept_for_each_agent_file_and_owner(bench: Workbench) -> None:
    environment = {"HOME": str(bench.root)}
    runs = [RunFacts(team="coder"), RunFacts(team="coder", owner="ann"), RunFacts(team="other", owner="ann")]
    for run in runs:
        toolset = build(spec(type="memory"), environment=environment, run=run)
        assert bench.call(toolset, "get_memories").output == "null"
        bench.call(toolset, "add_memory", memory="A")
    files = sorted(str(file.relative_to(bench.root)) for file in bench.root.rglob("memory.db"))
    assert files == [
        ".baton/memory/coder/memory.db",
        ".baton/memory/coder@ann/memory.db",
        ".baton/memory/other@ann/memory.db",
    ]


@pytest.fixture
def servers() -> Iterator[ToolServers]:
    servers = ToolServers()
    yield servers
    servers.close()


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"command": "true", "args": ["a"]}, "mcp(stdio cmd=true args_len=1)"),
        (
            {"remote": {"url": "http://u:p@127.0.0.1:9/", "transport_type": "sse"}},
            "mcp(remote host=127.0.0.1:9 transport=sse)",
        ),
    ],
)
def test_a_tool_server_is_called_by_where_it_is_and_never_by_its_secrets(
    servers: ToolServers, tmp_path: Path, fields: dict[str, Any], label: str
) -> None:
    here = RunFacts(working_dir=tmp_path)
    toolset = build(spec(type="mcp", tools=["a"], **fields), environment={}, run=here, servers=servers)
    assert isinstance(toolset, Tailored)
    assert toolset.label == label
    toolset.stop()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": "x", "env": {"A": "$MISSING"}}, "MISSING"),
        ({"remote": {"url": "http://x/"}}, "unsupported transport type: $"),
        ({"remote": {"url": "http://x/", "transport_type": "carrier pigeon"}}, "unsupported transport type"),
        ({"ref": "docker:duckduckgo"}, r"servers of a catalogue \(docker:duckduckgo\) are not supported"),
    ],
)
def test_a_tool_server_that_can_not_be_reached_at_all_is_left_out(
    servers: ToolServers, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ToolsetUnavailable, match=words):
        build(spec(type="mcp", **fields), environment={}, servers=servers)


def test_filesystem_settings_arrive(bench: Workbench) -> None:
    bench.write(".gitignore", "hidden\n")
    bench.write("hidden")
    fields = {"ignore_vcs": False, "post_edit": [{"path": "*", "cmd": "exit 7"}]}
    toolset = build(spec(type="filesystem", **fields), environment=bench.environment)
    assert "hidden" in bench.call(toolset, "list_directory", path=".").output
    assert "exit status 7" in bench.call(toolset, "write_file", path="f", content="").output


def test_a_tailored_toolset_is_started_stopped_and_remembered_like_the_one_inside(bench: Workbench) -> None:
    toolset = build(spec(type="todo", tools=["create_todo"]), environment={}, state=None)
    toolset.start()
    bench.call(toolset, "create_todo", description="A")
    toolset.stop()
    again = build(spec(type="todo"), environment={}, state=toolset.state())
    assert '"A"' in bench.call(again, "list_todos").output


def test_a_shared_todo_list_belongs_to_all_agents_of_a_run_and_to_no_other(bench: Workbench) -> None:
    shared = spec(type="todo", shared=True)
    mine, others = RunFacts(), RunFacts()
    one, other = (build(shared, environment={}, run=mine) for _ in range(2))
    bench.call(one, "create_todo", description="A")
    bench.call(other, "create_todo", description="B")
    assert one.state() == other.state()
    assert '"A"' in bench.call(other, "list_todos").output
    assert bench.call(build(shared, environment={}, run=others), "list_todos").output == '{"todos":[]}'
    again = build(shared, environment={}, run=others, state=one.state())
    assert '"B"' in bench.call(again, "list_todos").output


def test_two_toolsets_of_one_type_have_different_keys_unless_agents_share_them() -> None:
    think, todo = spec(type="think"), spec(type="todo", shared=True)
    assert len({key(think, 0, "a"), key(think, 1, "a"), key(think, 0, "b")}) == 3
    assert key(todo, 0, "a") == key(todo, 1, "b")


def test_of_a_toolset_that_may_only_read_nothing_else_is_offered() -> None:
    offered = build(spec(type="filesystem", readonly=True), environment={}).tools()
    assert all(tool.read_only for tool in offered)
    assert {"read_file", "list_directory"} <= {tool.name for tool in offered}
    assert build(spec(type="filesystem", readonly=True, tools=["write_file"]), environment={}).tools() == []


def test_a_tool_server_is_started_where_the_file_says_and_looked_after_as_it_says(
    servers: ToolServers, tmp_path: Path
) -> None:
    here = tmp_path / "root" / "session"
    (here / "sub").mkdir(parents=True)
    run = RunFacts(working_dir=here, ground=Ground(roots=(tmp_path / "root",)))
    touching = {"command": "/bin/sh", "args": ["-c", "touch was-here"], "lifecycle": {"restart": "never"}}
    toolset = build(spec(type="mcp", working_dir="sub", **touching), environment={}, run=run, servers=servers)
    with pytest.raises(ServerUnavailable):
        toolset.start()
    toolset.stop()
    assert (here / "sub" / "was-here").exists()
    lifecycle = {"startup_timeout": "200ms"}
    fields = {"command": "/bin/sh", "args": ["-c", "while read -r line; do :; done"], "lifecycle": lifecycle}
    toolset = build(spec(type="mcp", **fields), environment={}, run=run, servers=servers)
    with pytest.raises(ServerUnavailable, match=r"no answer within 0\.2 seconds"):
        toolset.start()
    toolset.stop()
    for outside in ("../../..", "/"):
        with pytest.raises(ToolsetUnavailable, match=r"working_dir .* is outside the directories"):
            build(spec(type="mcp", working_dir=outside, **fields), environment={}, run=run, servers=servers)


def test_what_a_lifecycle_leaves_open_stays_as_it_was() -> None:
    usual = ServerTimeouts(start=1.0, call=2.0, retry=3.0, restarts=(4.0,))
    assert usual.of(None) is usual
    quick = Lifecycle.model_validate({"call_timeout": "90s", "max_restarts": 2, "backoff": {"jitter": 0.5}})
    assert usual.of(quick) == ServerTimeouts(start=1.0, call=90.0, retry=3.0, restarts=(1.0, 2.0), jitter=0.5)
    assert usual.of(Lifecycle(profile="strict")).restarts == ()
