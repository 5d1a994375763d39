"""Hooks alone: what is run, what it is given, and what its answer means."""

from __future__ import annotations

import threading
import uuid
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from pydantic import ValidationError

from app.agent.hook_answers import KEPT_BYTES, NOTHING_SAID, HookBroken, HookVerdict, verdict
from app.agent.hook_runner import HookRunner
from app.agent.tools.process_family import MARK
from app.team.hook_definitions import Hooks
from app.tool_environment import VARIABLE
from tests.agent.cancellation import FakeCancellation
from tests.harness.process import eventually

MINE: Final = uuid.uuid4().hex
"""Tells the processes of these tests from those of another run of them on this machine."""

Run = Callable[..., HookRunner]


@pytest.fixture
def cancellation() -> FakeCancellation:
    return FakeCancellation()


@pytest.fixture
def runner(tmp_path: Path, cancellation: FakeCancellation) -> Run:
    def make(**points: Any) -> HookRunner:
        environment = {
            "PATH": "/usr/bin:/bin",
            "ANTHROPIC_API_KEY": "secret",
            "MINE": MINE,
            VARIABLE: "MINE",
        }
        return HookRunner(
            Hooks.model_validate(points),
            session_id="s",
            working_dir=tmp_path,
            environment=environment,
            cancellation=cancellation,
        )

    return make


def hook(command: str, **more: Any) -> dict[str, Any]:
    return {"type": "command", "command": command, **more}


def for_tools(*commands: str, matcher: str = "") -> list[dict[str, Any]]:
    return [{"matcher": matcher, "hooks": [hook(command) for command in commands]}]


def test_a_hook_reads_what_it_is_about_in_the_sessions_directory_and_knows_no_secret(
    runner: Run, tmp_path: Path
) -> None:
    hooks = runner(pre_tool_use=for_tools("cat > given.json; env > env.txt"))
    assert hooks.before_call("toolu_1", "shell", {"cmd": "ls"}) == NOTHING_SAID
    assert orjson.loads((tmp_path / "given.json").read_bytes()) == {
        "session_id": "s",
        "cwd": str(tmp_path),
        "hook_event_name": "pre_tool_use",
        "tool_name": "shell",
        "tool_use_id": "toolu_1",
        "tool_input": {"cmd": "ls"},
    }
    environment = (tmp_path / "env.txt").read_text()
    assert f"MINE={MINE}" in environment
    assert "secret" not in environment


def test_what_comes_after_a_call_is_told_its_result(runner: Run, tmp_path: Path) -> None:
    hooks = runner(post_tool_use=for_tools("cat > given.json"))
    hooks.after_call("toolu_1", "shell", {}, "the output")
    given = orjson.loads((tmp_path / "given.json").read_bytes())
    assert (given["hook_event_name"], given["tool_response"]) == ("post_tool_use", "the output")


@pytest.mark.parametrize(
    ("matcher", "runs"),
    [
        ("", True),
        ("*", True),
        ("shell", True),
        ("sh.*|fetch", True),
        ("hell", False),
        ("Shell", False),
    ],
)
def test_a_matcher_is_a_pattern_for_the_whole_name(
    runner: Run, tmp_path: Path, matcher: str, runs: bool
) -> None:
    runner(pre_tool_use=for_tools("touch ran", matcher=matcher)).before_call("a", "shell", {})
    assert (tmp_path / "ran").exists() is runs


def test_a_command_that_matches_twice_runs_once(runner: Run, tmp_path: Path) -> None:
    twice = [*for_tools("echo x >> ran"), *for_tools("echo x >> ran", matcher="sh.*")]
    runner(pre_tool_use=twice).before_call("a", "shell", {})
    assert (tmp_path / "ran").read_text() == "x\n"


def test_hooks_of_one_point_run_at_the_same_time(runner: Run, tmp_path: Path) -> None:
    """Each waits for the other."""
    wait = "while [ ! -e {} ]; do sleep 0.01; done; exit 2"
    commands = [f"touch a; {wait.format('b')}", f"touch b; {wait.format('a')}"]
    assert runner(pre_tool_use=for_tools(*commands)).before_call("a", "shell", {}).blocked


ANSWERS: list[tuple[Any, HookVerdict]] = [
    ({"continue": False, "stop_reason": "no"}, HookVerdict(blocked=True, reason="no")),
    ({"continue": True}, NOTHING_SAID),
    ({"decision": "block", "reason": "no"}, HookVerdict(blocked=True, reason="no")),
    ({"decision": "approve"}, NOTHING_SAID),
    ({"decision": "block"}, HookVerdict(blocked=True, reason="the hook gave no reason")),
    ({"system_message": "look"}, HookVerdict(warnings=("look",))),
    (
        {"hook_specific_output": {"permission_decision": "deny", "permission_decision_reason": "no"}},
        HookVerdict(blocked=True, reason="no"),
    ),
    (
        {"hook_specific_output": {"permission_decision": "ask"}},
        HookVerdict(warnings=("A pre_tool_use hook can't have a person asked.",)),
    ),
    ({"hook_specific_output": {"permission_decision": "allow"}}, NOTHING_SAID),
    ({"hook_specific_output": {"updated_input": {"cmd": "pwd"}}}, HookVerdict(arguments={"cmd": "pwd"})),
    ({"decision": "", "hook_specific_output": None, "system_message": 8}, NOTHING_SAID),
]


@pytest.mark.parametrize(("said", "means"), ANSWERS)
def test_a_hook_that_ends_well_may_answer_in_json(said: Any, means: HookVerdict) -> None:
    assert verdict(0, orjson.dumps(said), b"") == means


def test_a_byte_order_mark_hides_no_answer() -> None:
    said = BOM_UTF8 + b'{"decision": "block", "reason": "no"}'
    for point in ("pre_tool_use", "user_prompt_submit"):
        assert verdict(0, said, b"", point) == HookVerdict(blocked=True, reason="no")


@pytest.mark.parametrize(
    ("status", "errors", "means"),
    [
        (2, b" not today \n", HookVerdict(blocked=True, reason="not today")),
        (2, b"", HookVerdict(blocked=True, reason="the hook gave no reason")),
        (0, b"chatter", NOTHING_SAID),
    ],
)
def test_the_exit_status_of_a_hook_decides(status: int | None, errors: bytes, means: HookVerdict) -> None:
    assert verdict(status, b"some words", errors) == means


UNREADABLE: list[bytes] = [
    b'{"decision": "block"',
    b'checking... {"decision": "block"}',
    b'["not", "an", "object"]',
    b"false",
    b'{"decision": "deny"}',
    b'{"decision": ["block"]}',
    b'{"continue": "no"}',
    b'{"hook_specific_output": 7}',
    b'{"hook_specific_output": {"permission_decision": "reject"}}',
    b'{"hook_specific_output": {"updated_input": "pwd"}}',
    b'{"hookSpecificOutput": {"permissionDecision": "deny"}}',  # as another program has it
    b'{"hook_specific_output": {"permissionDecision": "deny"}}',
    b'{"hook_specific_output": {"decision": "block"}}',
    b'{"permission_decision": "deny"}',
    b'{"Decision": "block"}',
    b'{"updatedInput": {}}',
    b"x" * KEPT_BYTES,
]


@pytest.mark.parametrize("answer", UNREADABLE, ids=lambda answer: answer[:40].decode())
def test_an_answer_that_cannot_be_read_is_no_answer(answer: bytes) -> None:
    with pytest.raises(HookBroken):
        verdict(0, answer, b"")


BROKEN = [
    "/no/such/program",
    "./not-executable",
    "exit 1",
    "exit 127",
    "kill -9 $$",
    "echo '{\"decision\": '",
]


@pytest.mark.parametrize("command", BROKEN)
def test_a_gate_that_cannot_decide_says_no(runner: Run, command: str, tmp_path: Path) -> None:
    (tmp_path / "not-executable").write_text("exit 0")
    said = runner(pre_tool_use=for_tools("true", command)).before_call("a", "shell", {})
    assert said.blocked
    assert "could not decide" in said.reason
    assert command not in said.reason


@pytest.mark.parametrize("command", BROKEN)
def test_a_hook_that_is_no_gate_may_break(runner: Run, command: str) -> None:
    hooks = runner(post_tool_use=for_tools(command), session_end=[hook(command)])
    for said in (hooks.after_call("a", "shell", {}, ""), hooks.at("session_end", reason="finished")):
        assert not said.blocked
        [warning] = said.warnings
        assert "hook failed" in warning
        assert command not in warning


def test_a_gate_that_raises_says_no(runner: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.agent.hook_runner.Process", lambda *_, **__: 1 / 0)
    assert runner(pre_tool_use=for_tools("true", "false")).before_call("a", "shell", {}).blocked


@pytest.mark.parametrize("matcher", ["she(", "[", "*shell", "a{2,1}", "(?P<x"])
@pytest.mark.parametrize("point", ["pre_tool_use", "post_tool_use"])
def test_a_matcher_that_is_no_regular_expression_is_refused_at_its_place(point: str, matcher: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Hooks.model_validate({point: [{"hooks": [hook("true")]}, *for_tools("true", matcher=matcher)]})
    [error] = refused.value.errors()
    assert error["loc"] == (point, 1)
    assert error["ctx"]["paths"] == [("matcher",)]


def test_several_hooks_speak_as_one(runner: Run) -> None:
    change = 'echo \'{"hook_specific_output": {"updated_input": {"%s": "%s"}}}\''
    hooks = runner(
        pre_tool_use=for_tools(
            "echo first >&2; exit 2", change % ("a", "1"), change % ("b", "2"), "echo last >&2; exit 2"
        )
    )
    said = hooks.before_call("a", "shell", {"c": "3"})
    assert (said.blocked, said.reason, said.arguments) == (True, "first\nlast", {"a": "1", "b": "2"})


def test_a_gate_that_takes_too_long_is_ended_and_says_no(runner: Run, tmp_path: Path) -> None:
    slow = {"hooks": [hook("touch begun; sleep 600", timeout=1)]}

    def is_given_up() -> bool:
        assert runner(pre_tool_use=[slow]).before_call("a", "shell", {}).blocked
        return (tmp_path / "begun").exists()

    eventually(is_given_up, "it had begun, which takes a busy machine more than a second")


def test_a_cancel_ends_a_hook_with_all_that_it_has_started(
    runner: Run, cancellation: FakeCancellation, tmp_path: Path
) -> None:
    hooks = runner(pre_tool_use=for_tools("mkfifo ready; (sleep 600 & echo up > ready; wait); exit 2"))
    fifo = tmp_path / "ready"

    def cancel() -> None:
        eventually(fifo.exists, "the hook has begun")
        with fifo.open() as opened:
            opened.readline()
        cancellation.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    assert hooks.before_call("a", "shell", {}).blocked
    canceller.join()
    eventually(lambda: not _marked(), "everything that it has started is gone")


def test_a_hook_that_runs_beside_a_question_is_ended_with_the_run(runner: Run, tmp_path: Path) -> None:
    hooks = runner(on_user_input=[hook("mkfifo ready; echo up > ready; sleep 600")])
    hooks.tell_of_question()
    fifo = tmp_path / "ready"
    eventually(fifo.exists, "the hook has begun")
    with fifo.open() as opened:
        assert opened.readline() == "up\n"
    hooks.stop()
    eventually(lambda: not _marked(), "everything that it has started is gone")


def test_a_gate_that_cannot_be_started_says_no(runner: Run, tmp_path: Path) -> None:
    hooks = runner(pre_tool_use=for_tools("exit 0"))
    tmp_path.rmdir()
    assert hooks.before_call("a", "shell", {}).blocked
    tmp_path.mkdir()


def _marked() -> list[str]:
    """Processes that carry a mark that this process does not."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            environment = (place / "environ").read_bytes() if place.name.isdigit() else b""
            if f"{MARK}=".encode() in environment and f"MINE={MINE}".encode() in environment:
                found.append((place / "cmdline").read_text())
        except OSError:
            continue
    return found
