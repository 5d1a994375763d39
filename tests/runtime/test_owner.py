"""A holder is gone only if that is certain: this host, this boot, and no process of that start time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from app.runtime.owner import is_gone, this_process


def test_this_process_is_here() -> None:
    owner = this_process()
    assert owner.pid == os.getpid()
    assert owner.started
    assert not is_gone(owner)


def test_a_process_that_has_ended_is_gone_even_while_nobody_has_fetched_its_exit_code() -> None:
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with open(f"/proc/{process.pid}/stat") as stat:
        started = stat.read().rpartition(")")[2].split()[19]
    owner = replace(this_process(), pid=process.pid, started=started)
    assert not is_gone(owner)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(owner)
    process.wait()
    process.stdout.close()
    assert is_gone(owner)


def test_a_process_id_that_is_in_use_again_is_somebody_else() -> None:
    owner = this_process()
    assert is_gone(replace(owner, started=str(int(owner.started) - 1)))


def test_a_machine_that_was_started_anew_has_none_of_the_old_processes() -> None:
    owner = this_process()
    assert is_gone(replace(owner, boot="another-boot/" + owner.boot.partition("/")[2]))


def test_nothing_is_certain_of_other_hosts_other_containers_and_unknown_start_times() -> None:
    owner = replace(this_process(), pid=2**22 + 1)
    assert is_gone(owner)
    assert not is_gone(replace(owner, host="another-host"))
    assert not is_gone(replace(owner, boot=owner.boot.partition("/")[0] + "/pid:[1]"))
    assert not is_gone(replace(owner, started=""))
