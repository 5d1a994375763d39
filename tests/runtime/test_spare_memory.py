"""When memory is given back to the system: after many streams have begun or ended, and not for one."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from app.runtime.periodic_tasks import PeriodicTasks
from app.runtime.spare_memory import STEP, SpareMemory


def test_memory_is_given_back_when_many_streams_have_come_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=trimmed.append))
    levels = iter([0, STEP - 1, STEP, STEP + 1, 2 * STEP, 0, 1])
    memory = SpareMemory(lambda: next(levels), PeriodicTasks())
    assert [memory.give_back() for _ in range(7)] == [False, False, True, False, True, True, False]
    assert trimmed == [0, 0, 0]


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    memory = SpareMemory(lambda: 1000, PeriodicTasks())
    assert not memory.give_back()
