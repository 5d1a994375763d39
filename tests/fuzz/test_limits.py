"""The fuzzers' limits hold: without that, none of the others says anything."""

from __future__ import annotations

import resource
import signal
from collections import deque

import pytest

from tests.fuzz.limits import TooSlow, bounded


def test_what_takes_too_long_is_cut_and_the_limits_are_lifted() -> None:
    before = signal.getitimer(signal.ITIMER_PROF), signal.getsignal(signal.SIGPROF)
    with pytest.raises(TooSlow), bounded(seconds=0.1):
        deque(iter(lambda: 0, 1), maxlen=0)
    assert (signal.getitimer(signal.ITIMER_PROF), signal.getsignal(signal.SIGPROF)) == before


def test_what_takes_too_much_memory_is_cut_and_the_limits_are_lifted() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), bounded(megabytes=20):
        bytearray(2 * 1024 * 1024 * 1024)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
