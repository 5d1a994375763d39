"""Finds and signals everything that a command has started, wherever it hid.

A process group is not enough: a shell's job control makes groups of its own, and `setsid` leaves the session. On
Linux a process therefore belongs to the family if it is in the leader's session, descends from a member, or carries
the family's mark, which children inherit, as a limit (see `process_mark`) or in its environment. Only a program that
sets out to drop all of them gets away. On other systems `ps` is asked, while there is anybody left in the leader's
process group: then it and the descendants of its members are reached.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.agent.tools.process_mark import carries
from app.asked_processes import all_processes, command

MARK: Final = "TOOL_CALL_MARK"


_MAX_SHOWN: Final = 100  # characters of a command line
_PROC: Final = Path("/proc")
_DEAD: Final = "ZXx"
_LOOKS: Final = 2
"""Looks that must find no member, one after the other. A single one misses a process that a member starts meanwhile, if
its number is lower than those already looked at."""
_NO_LEADER: Final = -1
_ROUNDS: Final = 50
"""How often a look goes after what was started during it, on a machine where that never ends."""
_NOT_THERE: Final = (FileNotFoundError, ProcessLookupError, PermissionError)
"""How it fails to read a process that is gone, or another user's. Every other error says nothing about the process."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process, told by when it started from a later one with the same number."""

    pid: int
    started: int
    in_group: bool  # in the leader's process group


@dataclass(frozen=True, slots=True)
class Family:
    """The processes of one command. `leader` must not have been reaped while this is used: until then its
    number can't belong to anybody else."""

    leader: int
    mark: str

    def members(self) -> set[Member]:
        """The members that are alive; the leader too, while it is. Without a descriptor left to look for them, the
        group is all that is known, and it has a member until the leader is reaped."""
        if not has_pidfd():
            return self._listed()
        try:
            for _ in range(_LOOKS):
                if found := self._found():
                    return found
        except OSError:
            return self._group()
        return set()

    def _found(self) -> set[Member]:
        leader = _status(self.leader)
        # No member is older than the leader: that spares a look at most processes of the machine.
        oldest = leader.started if leader is not None else 0
        table: dict[int, _Status] = {}
        found: set[int] = set()
        for status in _statuses():
            table[status.pid] = status
            if status.started >= oldest and self._knows(status):
                found.add(status.pid)
        grown = True
        while grown:
            children = {pid for pid, status in table.items() if status.parent in found}
            grown = not children <= found
            found |= children
        alive = (table[pid] for pid in found if table[pid].state not in _DEAD)
        return {Member(status.pid, status.started, status.group == self.leader) for status in alive}

    def send_group(self, number: signal.Signals) -> None:
        """Signals the leader's group in one go, so that a shell does not report its children's end before
        its own."""
        try:
            os.killpg(self.leader, number)
        except (ProcessLookupError, PermissionError):
            pass

    def send(self, member: Member, number: signal.Signals) -> None:
        """Signals one member; one that is gone, is not ours to signal, or can't be got hold of, does not matter."""
        try:
            if has_pidfd():
                _send_safely(member, number)
            else:
                os.kill(member.pid, number)  # it was there a moment ago
        except OSError:
            pass

    def _group(self) -> set[Member]:
        if self.leader <= 0:
            return set()
        try:
            os.killpg(self.leader, 0)
        except OSError:
            return set()
        return {Member(self.leader, 0, True)}

    def _listed(self) -> set[Member]:
        """The group, and what descends from it; all of it is unknown if nobody says more."""
        if not (group := self._group()):
            return group
        processes = list(all_processes())
        found = {one.pid for one in processes if one.group == self.leader}
        if not processes:
            return group
        while more := {one.pid for one in processes if one.parent in found} - found:
            found |= more
        return {
            Member(one.pid, 0, one.group == self.leader)
            for one in processes
            if one.pid in found and one.state not in _DEAD
        }

    def _knows(self, status: _Status) -> bool:
        return self.leader in (status.session, status.pid) or self._is_marked(status.pid)

    def _is_marked(self, pid: int) -> bool:
        try:
            if carries(pid, self.mark):
                return True
            variables = (_PROC / str(pid) / "environ").read_bytes()
        except _NOT_THERE:
            return False
        return f"{MARK}={self.mark}".encode() in variables.split(b"\0")


def has_pidfd() -> bool:
    """Whether the system gives out descriptors of processes, as Linux does."""
    return hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")


def commands(members: Iterable[Member]) -> tuple[str, ...]:
    """Their command lines, in the order in which they were started; none of what is gone before it can be read."""
    ordered = sorted(members, key=lambda member: (member.started, member.pid))
    return tuple(line for member in ordered if (line := _command_line(member.pid)))


def kill_marked(mark: str) -> None:
    """Kills what a process with this mark has left behind, once it has been reaped itself."""
    family = Family(_NO_LEADER, mark)
    for _ in range(_ROUNDS):
        for member in (left := family.members()):
            family.send(member, signal.SIGKILL)
        if not left:
            return


@dataclass(frozen=True, slots=True)
class _Status:
    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: int  # in ticks since the machine's start


def _command_line(pid: int) -> str:
    """Empty for what is gone, or has none."""
    if has_pidfd():
        try:
            line = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    else:
        line = command(pid)
    words = " ".join(line.replace("\0", " ").split())
    return words if len(words) <= _MAX_SHOWN else f"{words[:_MAX_SHOWN]}…"


def _send_safely(member: Member, number: signal.Signals) -> None:
    """Through a descriptor and with a second look: the number may have been given away meanwhile."""
    fd = os.pidfd_open(member.pid)
    try:
        status = _status(member.pid)
        if status is not None and status.started == member.started:
            signal.pidfd_send_signal(fd, number)
    finally:
        os.close(fd)


def _statuses() -> Iterator[_Status]:
    """All processes, then those that were started meanwhile, and so on: a program that is replaced by its child every
    millisecond is in no list that is a millisecond old."""
    last = _last_number()
    for pid in map(int, filter(str.isdigit, os.listdir(_PROC))):
        if (status := _status(pid)) is not None:
            yield status
    for _ in range(_ROUNDS):
        before, last = last, _last_number()
        if before == last:
            return
        for pid in range(before + 1, last + 1):
            if (status := _status(pid)) is not None:
                yield status


def _last_number() -> int:
    """The number that was given to a process or thread last. They are given in turn."""
    return int((_PROC / "loadavg").read_text().split()[-1])


def _status(pid: int) -> _Status | None:
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except _NOT_THERE:
        return None
    # The command's name stands in parentheses and may hold anything, parentheses too.
    fields = line.rpartition(")")[2].split()
    parent, group, session = map(int, fields[1:4])
    return _Status(pid, fields[0], parent, group, session, int(fields[19]))
