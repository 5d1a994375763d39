"""Finds and signals everything that a command has started, wherever it hid.

A process group is not enough: a shell's job control makes groups of its own, and `setsid` leaves the session.
So on Linux a process belongs to the family if it is in the leader's session, descends from a member, or
carries the family's mark in its environment, which children inherit. Only a program that drops all three
(a cleared environment, a new session, a dead parent) gets away. Where there is no /proc, the process group
is all that is reached.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARK: Final = "TOOL_CALL_MARK"

_PROC: Final = Path("/proc")
_DEAD: Final = "ZXx"
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
        """Those that are alive; the leader too, while it is. Without a descriptor left to look for them, the group is
        all that is known, and it has a member until the leader is reaped."""
        if sys.platform != "linux":
            return self._group()
        try:
            return self._found()
        except OSError:
            return self._group()

    def _found(self) -> set[Member]:
        table = {status.pid: status for status in _statuses()}
        # Nobody is older than the leader: that spares a look at most processes of the machine.
        oldest = table[self.leader].started if self.leader in table else 0
        found = {s.pid for s in table.values() if s.started >= oldest and self._knows(s)}
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
        if sys.platform == "linux":
            try:
                _send_safely(member, number)
            except OSError:
                pass

    def _group(self) -> set[Member]:
        try:
            os.killpg(self.leader, 0)
        except (ProcessLookupError, PermissionError):
            return set()
        return {Member(self.leader, 0, True)}

    def _knows(self, status: _Status) -> bool:
        return self.leader in (status.session, status.pid) or self._is_marked(status.pid)

    def _is_marked(self, pid: int) -> bool:
        try:
            variables = (_PROC / str(pid) / "environ").read_bytes()
        except _NOT_THERE:
            return False
        return f"{MARK}={self.mark}".encode() in variables.split(b"\0")


@dataclass(frozen=True, slots=True)
class _Status:
    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: int  # in ticks since the machine's start


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
    for name in os.listdir(_PROC):
        status = _status(int(name)) if name.isdigit() else None
        if status is not None:
            yield status


def _status(pid: int) -> _Status | None:
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except _NOT_THERE:
        return None
    # The command's name stands in parentheses and may hold anything, parentheses too.
    fields = line.rpartition(")")[2].split()
    parent, group, session = map(int, fields[1:4])
    return _Status(pid, fields[0], parent, group, session, int(fields[19]))
