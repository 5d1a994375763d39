"""Commands end with their call, whatever they do against it; the contract's texts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.agent.tools import background_jobs, processes
from app.agent.tools.output_limit import TRUNCATED
from app.agent.tools.process_family import Family
from app.agent.tools.shell import ShellToolset, duration
from app.agent.toolset import ToolCancelled, ToolResult
from tests.agent.tools.workbench import Workbench, is_alive
from tests.harness.process import eventually


@pytest.fixture
def shell(bench: Workbench) -> Iterator[ShellToolset]:
    shell = ShellToolset(environment=bench.environment)
    yield shell
    shell.stop()


def run(bench: Workbench, shell: ShellToolset, cmd: str, **arguments: object) -> str:
    result = bench.call(shell, "shell", cmd=cmd, **arguments)
    assert not result.is_error
    return result.output


@pytest.mark.parametrize(
    ("cmd", "output"),
    [
        ("echo '  out  '; echo err >&2", "out  \nerr"),
        ("true", "<no output>"),
        ("echo so far; exit 3", "Error executing command: exit status 3\nOutput: so far"),
        ("echo '  so far'; exit 3", "Error executing command: exit status 3\nOutput:   so far"),
        ("kill -KILL $$", "Error executing command: signal: killed\nOutput:"),
        ("kill -TERM $$", "Error executing command: signal: terminated\nOutput:"),
        ("cat", "<no output>"),
        ("printf 'caf\\351 \\000'", "caf\ufffd \ufffd"),
    ],
)
def test_a_command_ends_in_the_contracts_words(
    bench: Workbench, shell: ShellToolset, cmd: str, output: str
) -> None:
    assert run(bench, shell, cmd) == output


@pytest.mark.parametrize("cmd", ["", " \n"])
def test_a_blank_command_is_refused(bench: Workbench, shell: ShellToolset, cmd: str) -> None:
    for tool in ("shell", "run_background_job"):
        result = bench.call(shell, tool, cmd=cmd)
        assert (result.output, result.is_error) == ("Error: empty command", True)


def test_a_command_that_cannot_start_says_why(bench: Workbench, shell: ShellToolset) -> None:
    nowhere = ShellToolset(environment={"SHELL": "/nowhere/sh"})
    attempts = [
        bench.call(shell, "shell", cmd="true", cwd="missing"),
        bench.call(shell, "run_background_job", cmd="true", cwd="missing"),
        bench.call(shell, "shell", cmd="nul\0byte"),
        bench.call(nowhere, "shell", cmd="true"),
    ]
    for result in attempts:
        assert result.is_error
        assert result.output.startswith("Error starting command: ")


def test_commands_run_in_the_working_directory_or_below(bench: Workbench, shell: ShellToolset) -> None:
    (bench.root / "sub").mkdir()
    assert run(bench, shell, "pwd") == str(bench.root)
    assert run(bench, shell, "pwd", cwd=".") == str(bench.root)
    assert run(bench, shell, "pwd", cwd="sub") == f"{bench.root}/sub"


def test_the_definitions_environment_wins_and_secrets_stay_out(bench: Workbench) -> None:
    secrets = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t", "BATON_AUTH_TOKENS": "b"}
    environment = {**bench.environment, **secrets, "LANG": "theirs"}
    shell = ShellToolset(environment=environment, env={"LANG": "ours", "BATON_X": "x"})
    variables = run(bench, shell, "env").splitlines()
    assert "LANG=ours" in variables
    assert not [line for line in variables if line.startswith(("ANTHROPIC_", "BATON_"))]


def test_output_is_cut_at_thirty_thousand_bytes_while_the_command_runs_to_its_end(
    bench: Workbench, shell: ShellToolset
) -> None:
    output = run(bench, shell, "head -c 50000000 /dev/zero | tr '\\0' 'é'; touch finished")
    assert len(output.removesuffix(TRUNCATED).encode()) <= 30_000
    assert output.endswith(TRUNCATED)
    assert (bench.root / "finished").exists()


def test_exactly_thirty_thousand_bytes_are_not_cut(bench: Workbench, shell: ShellToolset) -> None:
    assert run(bench, shell, "head -c 30000 /dev/zero | tr '\\0' x") == "x" * 30_000


def test_a_flood_is_not_kept_in_memory(bench: Workbench) -> None:
    command = processes.Command(["head", "-c", "20000000", "/dev/zero"], bench.root, bench.environment)
    ended = processes.run(command, timeout=60, cancellation=bench.cancellation)
    assert (len(ended.output), ended.status) == (processes.KEPT_BYTES + 1, 0)


def test_a_command_that_takes_too_long_is_stopped_with_all_that_it_started(
    bench: Workbench, shell: ShellToolset
) -> None:
    cmd = (
        "sleep 600 & echo $!; setsid sleep 600 & echo $!; bash -c 'set -m; sleep 600 & echo $!; wait' & wait"
    )

    def written() -> list[str]:
        head, _, pids = run(bench, shell, cmd, timeout=1).partition("\nOutput: ")
        assert head == "Command timed out after 1s"
        return pids.split()

    pids = eventually(lambda: len(found := written()) == 3 and found, "it got so far within its second")
    assert not any(map(is_alive, map(int, pids)))


def test_a_command_may_tidy_up_after_the_signal(bench: Workbench, shell: ShellToolset) -> None:
    pipe = bench.when_signalled(bench.cancellation.cancel)
    cmd = f"trap 'echo tidied; exit' TERM; sleep 600 & echo go > {pipe}; wait"
    with pytest.raises(ToolCancelled, match="tidied"):
        run(bench, shell, cmd, timeout=60)


def test_children_that_ignore_the_signal_are_all_killed(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 1.0)
    pipe = bench.when_signalled(bench.cancellation.cancel)
    spawn = "n=0; while [ $n -lt 50 ]; do sleep 600 & n=$((n+1)); done"
    with pytest.raises(ToolCancelled):
        run(bench, shell, f"trap '' TERM; {spawn}; echo go > {pipe}; {spawn}; wait", timeout=60)


def test_a_child_that_holds_the_output_does_not_hold_the_call(bench: Workbench, shell: ShellToolset) -> None:
    assert run(bench, shell, "sleep 600 & echo done").split("\n")[0] == "done"


def test_a_child_that_floods_does_not_hold_the_call(bench: Workbench, shell: ShellToolset) -> None:
    assert run(bench, shell, "echo done; yes & exit 0").startswith("done")


def test_a_daemon_does_not_outlive_its_call(bench: Workbench, shell: ShellToolset) -> None:
    cmd = "(setsid sh -c 'echo $$ > pid; exec sleep 600' >/dev/null 2>&1 &) ; while [ ! -s pid ]; do :; done"
    run(bench, shell, cmd)
    assert not is_alive(int((bench.root / "pid").read_text()))


def test_a_cancel_in_the_middle_stops_the_command_and_keeps_what_it_said(
    bench: Workbench, shell: ShellToolset
) -> None:
    pipe = bench.when_signalled(bench.cancellation.cancel)
    with pytest.raises(ToolCancelled, match=r"^Command cancelled\nIt was stopped [^\n]+\nOutput: begun$"):
        run(bench, shell, f"echo begun; sleep 600 & echo go > {pipe}; wait", timeout=60)


def test_a_cancel_that_came_before_stops_the_command_too(bench: Workbench, shell: ShellToolset) -> None:
    bench.cancellation.cancel()
    with pytest.raises(ToolCancelled, match=r"^Command cancelled"):
        run(bench, shell, "sleep 600", timeout=60)


def test_a_command_that_ignores_a_cancel_is_killed(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    pipe = bench.when_signalled(bench.cancellation.cancel)
    with pytest.raises(ToolCancelled):
        run(bench, shell, f"trap '' TERM; echo go > {pipe}; while :; do sleep 1; done", timeout=60)


def test_a_command_that_cannot_be_killed_is_given_up(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.1)
    process = processes.Process(processes.Command(["sleep", "600"], bench.root, bench.environment), kept=10)
    with monkeypatch.context() as deaf:
        deaf.setattr(Family, "send_group", lambda *_: None)
        deaf.setattr(Family, "send", lambda *_: None)
        assert process.end() is None
    process._popen.kill()
    process._popen.wait()
    assert process.end() == -9


def test_what_a_command_that_cannot_be_killed_still_does_is_unknown(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = processes.Process.end
    monkeypatch.setattr(processes.Process, "end", lambda process: end(process) and None)
    result = bench.call(shell, "shell", cmd="exec sleep 600", timeout=1)
    assert result == ToolResult.unknown("the command can't be stopped and may still be at work")


def no_more_descriptors(*_: object) -> int:
    raise OSError(24, "Too many open files")


def test_a_command_runs_to_its_end_though_there_is_no_descriptor_to_watch_it(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pidfd_open", no_more_descriptors)
    result = bench.call(shell, "shell", cmd="echo done")
    assert (result.output, result.is_error) == ("done", False)


def test_nothing_is_left_when_the_output_of_a_process_cannot_be_read(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "set_blocking", no_more_descriptors)
    result = bench.call(shell, "shell", cmd="sleep 600")
    assert result.output == "Error starting command: [Errno 24] Too many open files"


def test_a_background_job_can_be_started_listed_viewed_and_stopped(
    bench: Workbench, shell: ShellToolset
) -> None:
    written = bench.root / "written"
    os.mkfifo(written)
    cmd = f"echo begun; echo go > {written}; sleep 600"
    started = bench.call(shell, "run_background_job", cmd=cmd, cwd=".")
    head, rest = started.output.split("\n", 1)
    job = head.removeprefix("Background job started with ID: ")
    assert rest == f"Command: {cmd}\nWorking directory: ."
    written.read_text()  # returns when the job has written both lines
    begun = f"Job ID: {job}\nCommand: {cmd}\nStatus: running\nRuntime: "
    assert bench.call(shell, "view_background_job", job_id=job).output.startswith(begun)
    listed = bench.call(shell, "list_background_jobs").output
    assert listed.startswith(
        f"Background Jobs:\n\nID: {job}\n  Command: {cmd}\n  Status: running\n  Runtime: "
    )
    stopped = bench.call(shell, "stop_background_job", job_id=job)
    assert (stopped.output, stopped.is_error) == (f"Job {job} stopped successfully", False)
    view = bench.call(shell, "view_background_job", job_id=job).output
    assert "\nStatus: stopped\n" in view
    assert view.endswith("\nExit Code: -15\n\n--- Output ---\nbegun\n")
    again = bench.call(shell, "stop_background_job", job_id=job)
    assert again.output == f"Job {job} is not running (current status: stopped)"
    assert again.is_error


@pytest.mark.parametrize(("cmd", "status", "code"), [("true", "completed", 0), ("exit 4", "failed", 4)])
def test_a_background_job_that_has_ended_says_how(
    bench: Workbench, shell: ShellToolset, cmd: str, status: str, code: int
) -> None:
    started = bench.call(shell, "run_background_job", cmd=cmd).output
    job = started.splitlines()[0].split()[-1]
    shell._jobs.all()[0]._thread.join(10)
    view = bench.call(shell, "view_background_job", job_id=job).output
    assert f"Status: {status}\n" in view
    assert view.endswith(f"Exit Code: {code}\n\n--- Output ---\n<no output>\n")


def test_unknown_jobs_and_an_empty_list_have_their_words(bench: Workbench, shell: ShellToolset) -> None:
    for tool in ("view_background_job", "stop_background_job"):
        result = bench.call(shell, tool, job_id="job_1")
        assert (result.output, result.is_error) == ("Job not found: job_1", True)
    listed = bench.call(shell, "list_background_jobs").output
    assert listed == "Background Jobs:\n\nNo background jobs found.\n"


def test_jobs_end_with_the_toolset(bench: Workbench, shell: ShellToolset) -> None:
    for _ in range(3):
        bench.call(shell, "run_background_job", cmd="sleep 600 & sleep 600")
    shell.stop()
    assert [job.status for job in shell._jobs.all()] == ["stopped"] * 3
    assert bench.processes() == []


def test_a_job_that_floods_keeps_ten_million_bytes_and_shows_the_latest(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_jobs, "KEPT_BYTES", 100_000)
    bench.call(shell, "run_background_job", cmd="head -c 5000000 /dev/zero | tr '\\0' x")
    job = shell._jobs.all()[0]
    job._thread.join(10)
    assert len(job.output()) == 100_000
    view = bench.call(shell, "view_background_job", job_id=job.id).output
    assert view.endswith(f"[Output truncated: the last 30000 of 100000 bytes]\n{'x' * 30_000}")


def test_there_is_an_end_to_the_number_of_jobs(
    bench: Workbench, shell: ShellToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_jobs, "MAX_JOBS", 1)
    bench.call(shell, "run_background_job", cmd="sleep 600")
    refused = bench.call(shell, "run_background_job", cmd="sleep 600")
    assert refused.is_error
    assert "too many background jobs" in refused.output


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0s"), (30, "30s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s")]
)
def test_durations_are_written_as_the_contract_writes_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_timeout_of_nonsense_is_an_answer_or_the_default(bench: Workbench, shell: ShellToolset) -> None:
    assert bench.call(shell, "shell", cmd="true", timeout="soon").is_error
    assert run(bench, shell, "echo x", timeout=-5) == "x"
    assert run(bench, shell, "echo x", timeout=10**30) == "x"


def test_the_shell_is_the_one_in_the_environment(bench: Workbench, tmp_path: Path) -> None:
    script = tmp_path / "mysh"
    script.write_text('#!/bin/sh\necho "mine: $2"\n')
    script.chmod(0o755)
    shell = ShellToolset(environment={**bench.environment, "SHELL": str(script)})
    assert run(bench, shell, "anything") == "mine: anything"


LEFT_BEHIND = "Still running when the command ended, and stopped with it: "
STARTED = (
    "{} >/dev/null 2>&1 & echo started; "
    "while [ \"$(tr '\\0' ' ' < /proc/$!/cmdline)\" != 'sleep 601 ' ]; do :; done"
)


@pytest.mark.parametrize("how", ["sleep 601", "setsid sleep 601", "nohup sleep 601"])
def test_the_result_says_what_a_command_left_behind_and_how_to_keep_it(
    bench: Workbench, shell: ShellToolset, how: str
) -> None:
    output = run(bench, shell, STARTED.format(how))
    assert output == (
        f"started\n\n[{LEFT_BEHIND}`sleep 601`. What has to go on running belongs in a background job: "
        "start it with run_background_job.]"
    )


def test_a_command_that_fails_says_it_too(bench: Workbench, shell: ShellToolset) -> None:
    output = run(bench, shell, STARTED.format("sleep 601") + "; exit 3")
    assert output.startswith(
        f"Error executing command: exit status 3\nOutput: started\n\n[{LEFT_BEHIND}`sleep 601`."
    )


def test_only_some_of_what_was_left_is_named_and_shortly(bench: Workbench, shell: ShellToolset) -> None:
    many = "for k in 1 2 3 4 5 6 7; do sleep 601 & done; sh -c 'read x; read x" + "x" * 500 + "' & "
    output = run(bench, shell, f"exec 3>&1; ({many} echo) >/dev/null 2>&1 < /dev/zero; echo done")
    assert output.startswith(f"done\n\n[{LEFT_BEHIND}")
    assert output.count("`") == 10
    assert len(output) < 1000


def test_what_ended_before_the_command_is_not_told(bench: Workbench, shell: ShellToolset) -> None:
    assert run(bench, shell, "sleep 0 & wait; (exit 1) | true; echo done") == "done"


def test_a_job_that_has_ended_shows_what_it_left_behind(bench: Workbench, shell: ShellToolset) -> None:
    started = bench.call(shell, "run_background_job", cmd=STARTED.format("sleep 601"))
    job = started.output.split("ID: ")[1].split("\n")[0]
    eventually(
        lambda: "Status: completed" in bench.call(shell, "view_background_job", job_id=job).output, "it ended"
    )
    assert f"[{LEFT_BEHIND}`sleep 601`.]" in bench.call(shell, "view_background_job", job_id=job).output
