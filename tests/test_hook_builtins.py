"""The server's own hooks, and which files are refused because of their hooks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.errors import InvalidAgentConfig
from app.team.hook_points import BUILTINS, POINTS
from app.team.loading import load_team
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import Event, text_of
from tests.test_hook_points import NOTE, Play, at, command, failure, saying
from tests.test_sequences import at_rest, call_text, of_type, roles

REFUSED = [
    "add_context",
    "http_post",
    "limit_large_tool_results",
    "safer_shell",
    "snapshot",
    "unload",
    "nope",
]


@pytest.fixture
def play(tmp_path: Path, model: OfflineServer) -> Iterator[Play]:
    made = Play(tmp_path, model)
    yield made
    for server in made.servers:
        server.close()


def builtin(name: str, *args: str, **more: Any) -> dict[str, Any]:
    return {"type": "builtin", "command": name, "args": list(args), **more}


def shown(play: Play, *hooks: dict[str, Any], point: str = "turn_start") -> str:
    local = play.begin({point: list(hooks)})
    assert text_of(local.say(local.new_session(), "[say hello]", agent="tools")) == "hello"
    return "".join(play.shown()[1:])


def repository(directory: Path) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    (directory / "old.txt").write_text("one\n")
    for arguments in (
        ("init", "-q", "-b", "main"),
        ("add", "old.txt"),
        (*identity, "commit", "-qm", "First"),
    ):
        subprocess.run(["git", *arguments], cwd=directory, check=True)
    (directory / "old.txt").write_text("two\n")


@pytest.mark.parametrize("point", ["session_start", "user_prompt_submit", "turn_start"])
def test_the_date_and_the_surroundings(play: Play, point: str) -> None:
    told = shown(play, builtin("add_date"), builtin("add_environment_info"), point=point)
    assert f"Today's date: {datetime.now(UTC).astimezone().date().isoformat()}" in told
    assert f"Working directory: {play.directory}" in told


def test_the_files_that_a_hook_names(play: Play) -> None:
    (play.directory / "RULES.md").write_text("Be kind.")
    (play.directory / "more.md").write_text("And brief.")
    told = shown(play, builtin("add_prompt_files", "RULES.md", "more.md", "missing.md"))
    assert "Be kind.\n\nAnd brief." in told


def test_the_names_in_the_directory(play: Play) -> None:
    (play.directory / ".hidden").touch()
    (play.directory / "below").mkdir()
    for number in range(120):
        (play.directory / f"file{number:03}").touch()
    told = shown(play, builtin("add_directory_listing"), point="session_start")
    assert "- below/\n- file000\n" in told
    assert "hidden" not in told
    assert "more\n</hook_context>" in told
    assert told.count("\n- ") == 100


def test_who_runs_the_server(play: Play) -> None:
    assert "Current user: " in shown(play, builtin("add_user_info"))


def test_what_git_says(play: Play) -> None:
    repository(play.directory)
    hooks = [builtin("add_git_status"), builtin("add_git_diff"), builtin("add_recent_commits", "3")]
    told = shown(play, *hooks)
    assert "## main\n M old.txt" in told
    assert "old.txt | 2 +-" in told
    assert " First\n" in told
    assert "+two" in shown(play, builtin("add_git_diff", "full"))


def test_git_says_at_most_so_much_and_starts_no_program_of_the_repository(play: Play) -> None:
    repository(play.directory)
    (play.directory / "old.txt").write_text("x" * 100_000)
    for key in ("diff.external", "core.fsmonitor"):
        subprocess.run(
            ["git", "config", key, f"touch {play.directory}/started"], cwd=play.directory, check=True
        )
    told = shown(play, builtin("add_git_status"), builtin("add_git_diff", "full"))
    assert len(told) < 5_000
    assert not (play.directory / "started").exists()


def test_git_starts_no_program_that_the_repository_names_in_other_ways(play: Play) -> None:
    repository(play.directory)
    signer = play.directory / "signer"
    signer.write_text(f"#!/bin/sh\ntouch {play.directory}/started\n")
    signer.chmod(0o755)
    (play.directory / ".gitattributes").write_text("*.txt filter=evil\n")

    def git(*arguments: str, **more: Any) -> str:
        printed = subprocess.check_output(["git", *arguments], cwd=play.directory, text=True, **more)
        return str(printed).strip()

    for key, value in (
        ("filter.evil.clean", f"touch {play.directory}/started; cat"),
        ("log.showSignature", "true"),
        ("gpg.program", str(signer)),
    ):
        git("config", key, value)
    person = "n <e@example.org> 1700000000 +0000"
    commit = f"tree {git('rev-parse', 'HEAD^{tree}')}\nauthor {person}\ncommitter {person}\n"
    sign = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\nSigned\n"
    git("update-ref", "HEAD", git("hash-object", "-t", "commit", "-w", "--stdin", input=commit + sign))
    hooks = [builtin("add_git_status"), builtin("add_git_diff"), builtin("add_recent_commits")]
    assert "Signed" in shown(play, *hooks)
    assert not (play.directory / "started").exists()


def test_git_says_nothing_of_a_repository_elsewhere(play: Play, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    repository(elsewhere)
    (play.directory / ".git").write_text(f"gitdir: {elsewhere}/.git\n")
    local = play.begin({"turn_start": [builtin("add_git_diff", "full"), builtin("add_recent_commits")]})
    events = local.say(local.new_session(), "[say hello]", agent="tools")
    warnings = [event["message"] for event in of_type(events, "warning")]
    assert len(warnings) == 2
    assert all("outside of what this session may read" in words for words in warnings)
    assert "First" not in json.dumps(play.model.requests)


def test_outside_of_a_repository_git_says_nothing(play: Play) -> None:
    assert shown(play, *(builtin(name) for name in BUILTINS if "git" in name or "commits" in name)) == ""


def test_a_run_has_no_more_model_calls_than_a_hook_lets_it_have(play: Play) -> None:
    local = play.begin(at(before_llm_call=builtin("max_iterations", "2")))
    session = local.new_session()
    calls = "".join(call_text("think", thought=str(number)) + "[then]" for number in range(3))
    code, words = failure(local.say(session, calls + "[say done]", agent="tools"))
    assert code == "hook_blocked"
    assert "2 model calls" in words
    assert len(play.model.requests) == 2
    assert roles(at_rest(local, session)) == ["user", "assistant", "tool", "assistant", "tool"]
    assert text_of(local.say(session, "[say again]", agent="tools")) == "again"


def test_a_command_and_a_builtin_speak_together_in_the_files_order(play: Play) -> None:
    told = shown(play, command("echo first"), builtin("add_date"), command("echo last"))
    assert told.index("first") < told.index("Today's") < told.index("last")


def refusal(hooks: Any) -> str:
    agent = {"model": "anthropic/claude-sonnet-5-5", "hooks": hooks}
    with pytest.raises(InvalidAgentConfig) as refused:
        load_team(json.dumps({"agents": {"root": agent}}), source="x.yaml", environment={})
    return refused.value.message


@pytest.mark.parametrize("name", REFUSED)
def test_a_builtin_that_is_not_here_is_refused_by_name(name: str) -> None:
    words = refusal(at(turn_start=builtin(name)))
    assert f"no builtin of this server is called '{name}'" in words
    assert "hooks.turn_start[0].command" in words


@pytest.mark.parametrize("point", sorted(POINTS))
@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_a_builtin_is_refused_where_it_would_do_nothing(name: str, point: str) -> None:
    hooks = at(**{point: builtin(name, "3")})
    if point in BUILTINS[name]:
        agent = {"model": "anthropic/claude-sonnet-5-5", "hooks": hooks}
        load_team(json.dumps({"agents": {"root": agent}}), source="x.yaml", environment={})
    else:
        assert f"{name} does nothing at {point}" in refusal(hooks)


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        (at(turn_start={"type": "model", "command": "x"}), "unsupported hook type 'model'"),
        (at(turn_start={"type": "builtin"}), "command must name the builtin"),
        (at(before_llm_call=builtin("max_iterations")), "needs a number of model calls"),
        (at(before_llm_call=builtin("max_iterations", "many")), "needs a number of model calls"),
        (at(turn_start=builtin("add_prompt_files")), "needs the names of files"),
        (at(turn_start=builtin("add_date", env={"a": "b"})), "only a command has this"),
        (at(stop=command("x", args=["a"])), "only a builtin has args"),
        (at(stop=command("x", working_dir="../up")), "below the session's directory"),
        (at(stop=command("x", working_dir="/etc")), "below the session's directory"),
        (at(stop=command("x", on_error="shout")), "must be one of warn, ignore, block"),
        (at(stop=command("x", on_error="block")), "a hook can't block at stop"),
        (
            at(tool_response_transform=command("x", on_error="block")),
            "can't block at tool_response_transform",
        ),
        ({"worktree_create": [command("x")]}, "unknown field"),
        ({"stop": [{"hooks": [command("x")]}]}, "unknown field"),
    ],
)
def test_hooks_that_could_not_do_what_they_say_are_refused(hooks: Any, words: str) -> None:
    assert words in refusal(hooks)


def test_a_builtin_that_takes_too_long_is_broken_and_holds_nothing_up(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = play.directory / "git"
    slow.write_text("#!/bin/sh\nsleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{play.directory}:/usr/bin:/bin")
    local = play.begin(
        at(turn_start=builtin("add_git_status", timeout=1)),
    )
    events = local.say(local.new_session(), "[say hello]", agent="tools")
    assert text_of(events) == "hello"


SECRET = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
PRINTS_IT = call_text("shell", cmd="echo ghp_$PART") + "[then][say done]"
SHELL = {"type": "shell", "env": {"PART": SECRET[4:]}}
MASKS = builtin("redact_secrets")


def say(local: LocalClient, text: str) -> tuple[str, list[Event]]:
    session = local.new_session(tools_approved=True)
    return session, local.say(session, text, agent="tools")


def test_secrets_are_masked_in_what_the_model_is_shown(play: Play) -> None:
    local = play.begin(at(before_llm_call=MASKS), toolsets=[SHELL], instruction=f"Say {SECRET}.")
    session, events = say(local, PRINTS_IT)
    assert text_of(events) == "done"
    assert SECRET not in json.dumps(play.model.requests)
    assert "[REDACTED]" in json.dumps(play.model.requests[-1]["messages"][-1])
    assert SECRET in json.dumps(local.session(session)), "what is stored stays as it was"


def test_secrets_are_masked_in_results_before_readers_and_the_store_have_them(play: Play) -> None:
    local = play.begin(at(tool_response_transform=MASKS, post_tool_use=NOTE), toolsets=[SHELL])
    session, events = say(local, PRINTS_IT)
    (result,) = of_type(events, "tool_call_response")
    assert result["response"] == "[REDACTED]"
    assert "".join(event["output"] for event in of_type(events, "tool_call_output")) == "[REDACTED]\n"
    assert SECRET not in json.dumps([events, local.session(session), play.noted(), play.model.requests])


def test_secrets_are_masked_in_what_a_command_wrote_before_it_was_stopped(play: Play) -> None:
    local = play.begin(at(tool_response_transform=MASKS), toolsets=[SHELL])
    session = local.new_session(tools_approved=True)
    text = call_text("shell", cmd="echo ghp_$PART; touch written; sleep 600")
    with local.run(session, text, agent="tools") as stream:
        stream.until("tool_call")
        eventually(lambda: (play.directory / "written").exists(), "the command has written")
        local.stop(session)
        stream.rest()
    stored = local.session(session)
    assert "[REDACTED]" in json.dumps(stored["messages"][-1])
    assert SECRET not in json.dumps([stream.events, stored])


def test_secrets_are_masked_in_what_readers_see_beside_a_result(play: Play) -> None:
    local = play.begin(at(tool_response_transform=MASKS), toolsets=[{"type": "todo"}])
    _, events = say(local, call_text("create_todo", description=SECRET) + "[then][say done]")
    (result,) = of_type(events, "tool_call_response")
    assert "[REDACTED]" in json.dumps(result["result"]["meta"])
    assert SECRET not in json.dumps(result["result"])


@pytest.mark.parametrize("point", ["tool_input_transform", "pre_tool_use"])
def test_secrets_are_masked_in_arguments_before_a_tool_gets_them(play: Play, point: str) -> None:
    hooks = [saying(updated_input={"cmd": f"echo {SECRET} >> ran"}), MASKS]
    matchers = [{"hooks": [hook]} for hook in (hooks if point == "tool_input_transform" else hooks[::-1])]
    local = play.begin({point: matchers})
    _, events = say(local, call_text("shell", cmd="echo hi") + "[then][say done]")
    assert (play.directory / "ran").read_text() == "[REDACTED]\n"
    (call,) = of_type(events, "tool_call")
    assert json.loads(call["tool_call"]["function"]["arguments"])["cmd"] == "echo [REDACTED] >> ran"
    assert [event["message"] for event in of_type(events, "warning")] == [
        "Secrets in the arguments of shell are masked before the call is made."
    ]


def test_secrets_are_masked_for_the_tools_that_a_matcher_names(play: Play) -> None:
    masks = {"matcher": "think", "hooks": [MASKS]}
    local = play.begin(
        {"tool_input_transform": [masks], "tool_response_transform": [masks]}, toolsets=[SHELL]
    )
    _, events = say(local, PRINTS_IT)
    assert [event["response"] for event in of_type(events, "tool_call_response")] == [SECRET]
    assert not of_type(events, "warning")
