"""A caged command: what it sees, how it is stopped, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.agent.tools.agent_toolset import AgentToolset
from app.agent.tools.cage import Cage, caged
from app.agent.tools.processes import Command, run
from app.agent.tools.shell import ShellToolset
from app.agent.toolset import ToolCancelled
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.workbench import Workbench
from tests.harness.cages import require_cage


@pytest.fixture
def cage() -> Cage:
    require_cage()
    return Cage.find()


@pytest.fixture
def shell(bench: Workbench, cage: Cage) -> Iterator[ShellToolset]:
    shell = ShellToolset(environment=bench.environment, cage=cage)
    yield shell
    shell.stop()


def test_a_command_works_in_the_sessions_directory(shell: ShellToolset, bench: Workbench) -> None:
    bench.write("sub/a.txt", "hello")
    result = bench.call(shell, "shell", cmd="cat a.txt; pwd; echo b > b.txt; exit 3", cwd="sub")
    assert result.output == f"Error executing command: exit status 3\nOutput: hello{bench.root}/sub"
    assert (bench.root / "sub/b.txt").read_text() == "b\n"


def test_a_stopped_command_can_tidy_up(shell: ShellToolset, bench: Workbench) -> None:
    """The program around it is not asked to end: it would take the command along at once."""
    bench.when_signalled(bench.cancellation.cancel)
    cmd = "trap 'echo tidied > tidied.txt; exit 0' TERM; echo > signal.fifo; while :; do sleep 0.05; done"
    with pytest.raises(ToolCancelled):
        bench.call(shell, "shell", cmd=cmd, timeout=60)
    assert (bench.root / "tidied.txt").read_text() == "tidied\n"


def test_a_command_that_heeds_no_signal_is_killed(shell: ShellToolset, bench: Workbench) -> None:
    bench.when_signalled(bench.cancellation.cancel)
    cmd = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & echo > signal.fifo; sleep 1000"
    with pytest.raises(ToolCancelled):
        bench.call(shell, "shell", cmd=cmd, timeout=60)
    assert bench.processes() == []


def test_a_background_job_outlives_the_call_and_ends_with_the_run(
    shell: ShellToolset, bench: Workbench
) -> None:
    os.mkfifo(bench.root / "out.fifo")
    started = bench.call(shell, "run_background_job", cmd="echo here > out.fifo; sleep 1000")
    job = started.output.split()[5]
    assert (bench.root / "out.fifo").read_text() == "here\n"
    assert "running" in bench.call(shell, "view_background_job", job_id=job).output
    assert bench.call(shell, "stop_background_job", job_id=job).output == f"Job {job} stopped successfully"
    assert bench.processes() == []


def test_a_directory_outside_is_not_there_whether_it_is_or_not(shell: ShellToolset, bench: Workbench) -> None:
    outside = bench.root.parent / "outside"
    before = bench.call(shell, "shell", cmd="echo ran", cwd=str(outside)).output
    outside.mkdir()
    after = bench.call(shell, "shell", cmd="echo ran", cwd=str(outside)).output
    assert before == after
    assert "ran" not in before


@pytest.mark.parametrize("swapped", ["mine", "above"])
def test_a_directory_that_becomes_a_link_at_the_last_moment_is_not_worked_in(
    cage: Cage, tmp_path: Path, swapped: str
) -> None:
    """Another session's command, in the directory above, may do that while bubblewrap starts."""
    mine, other = tmp_path / "above" / "mine", tmp_path / "other" / "mine"
    for directory in (mine, other):
        directory.mkdir(parents=True)
    (other / "secret").write_text("hidden")
    place, target = (mine, other) if swapped == "mine" else (mine.parent, other.parent)
    late = tmp_path / "late"
    late.write_text(
        f'#!/bin/sh\nmv {place} {tmp_path}/away\nln -s {target} {place}\nexec {cage.program} "$@"\n'
    )
    late.chmod(0o700)
    command = Command(
        ["/bin/sh", "-c", "cat secret; echo planted > planted"], mine, {"PATH": "/usr/bin:/bin"}
    )
    started = caged(command, replace(cage, program=str(late)), mine)
    ended = run(started, timeout=30, cancellation=FakeCancellation())
    assert ended.status == 126
    assert ended.output.decode() == f"{mine} is another directory by now\n"
    assert not (other / "planted").exists()


def test_a_library_of_the_sessions_is_not_loaded_outside_the_cage(cage: Cage, tmp_path: Path) -> None:
    command = Command(["true"], tmp_path, {"LD_PRELOAD": "./evil.so", "A": "a"})
    started = caged(command, cage, tmp_path)
    assert started.environment == {"A": "a", "TMPDIR": "/tmp"}
    place = list(started.arguments).index("LD_PRELOAD")
    assert list(started.arguments)[place - 1 : place + 2] == ["--setenv", "LD_PRELOAD", "./evil.so"]


def test_a_program_of_the_sessions_is_not_taken_for_bubblewrap(cage: Cage, bench: Workbench) -> None:
    bench.write("bwrap", "#!/bin/sh\necho outside\n").chmod(0o755)
    shell = ShellToolset(environment=bench.environment, env={"PATH": f"{bench.root}:/usr/bin"}, cage=cage)
    assert bench.call(shell, "shell", cmd="echo $$").output != "outside"


def test_home_is_empty_and_forgotten(cage: Cage, bench: Workbench) -> None:
    home = bench.root.parent / "home"
    home.mkdir()
    (home / "secret").touch()
    shell = ShellToolset(environment={**bench.environment, "HOME": str(home)}, cage=cage)
    assert bench.call(shell, "shell", cmd="ls -A ~; echo a > ~/a && ls ~").output == "a"
    assert os.listdir(home) == ["secret"]


def test_further_directories_can_be_read_and_not_written(cage: Cage, bench: Workbench) -> None:
    more = bench.root.parent / "more"
    more.mkdir()
    (more / "a.txt").write_text("hello")
    shell = ShellToolset(environment=bench.environment, cage=replace(cage, readable=(more,)))
    told = bench.call(shell, "shell", cmd=f"cat {more}/a.txt; rm {more}/a.txt").output
    assert "hello" in told
    assert "Read-only file system" in told


@pytest.mark.parametrize("directory", ["/", "/usr", "/etc", "/proc"])
def test_the_system_is_no_sessions_directory(directory: str) -> None:
    with pytest.raises(OSError, match=r"holds the system|belongs"):
        caged(Command(["true"], Path(directory), {}), Cage("/usr/bin/bwrap"), Path(directory))


def test_a_link_and_the_servers_directory_are_no_sessions_directory(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/usr")
    hidden = Cage("/usr/bin/bwrap", hidden=(tmp_path,))
    for cage, directory in ((Cage("/usr/bin/bwrap"), tmp_path / "link"), (hidden, tmp_path)):
        with pytest.raises(OSError, match=r"leads through a link|belongs to the server"):
            caged(Command(["true"], directory, {}), cage, directory)


def test_without_bubblewrap_a_command_fails_and_does_not_run(bench: Workbench) -> None:
    shell = ShellToolset(environment=bench.environment, cage=Cage("/nowhere/bwrap"))
    result = bench.call(shell, "shell", cmd="echo ran > ran.txt")
    assert result.output.startswith("Error starting command: ")
    assert not (bench.root / "ran.txt").exists()


def test_a_shell_that_stays_is_caged(bench: Workbench, cage: Cage) -> None:
    tools = AgentToolset(("bash",), environment=bench.environment, cage=cage)
    outside = bench.root.parent / "outside"
    outside.write_text("not for it")
    assert bench.call(tools, "bash", command="mkdir in; cd in; export A=1; sleep 100 &").output == ""
    seen = bench.call(
        tools, "bash", command=f"pwd; echo $A; cat {outside} 2>/dev/null; ls /dev/tcp; jobs -r | wc -l"
    )
    assert seen.output.split("\n")[:2] == [f"{bench.root}/in", "1"]
    assert seen.output.split("\n")[-1] == "1"
    assert "not for it" not in seen.output
    late = bench.call(tools, "bash", command="sleep 100", timeout_ms=200)
    assert late.output == "bash: bash command timed out after 0.2s"
    assert bench.processes() == []
    assert bench.call(tools, "bash", command="pwd; echo $A").output == f"{bench.root}/in\n1"
    tools.stop()
    assert bench.processes() == []
