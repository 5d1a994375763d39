"""How many examples a fuzzer tries, what one example may cost, and the inputs that all fuzzers share."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import AnyStr, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

THOROUGH: Final = 30.0
FACTOR = 0.3
"""`--thorough` raises it before the fuzzers are imported."""

SECONDS: Final = 3
MEGABYTES: Final = 400
LARGE: Final = 120_000
"""Characters of a large input. Code that takes quadratic time takes longer than SECONDS for it."""


_AGAIN_SECONDS: Final = 0.05
_OF_THE_COLLECTOR: Final = "gc_callback"
"""Hypothesis's own function, which the garbage collector calls."""


class TooSlow(AssertionError):
    """The code within `bounded` has used all of its processor time."""


def tries(examples: int) -> settings:
    """The same examples in each run; a failure says which one it was."""
    return settings(
        max_examples=int(examples * FACTOR),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def bounded(*, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> Iterator[None]:
    """The kernel keeps both limits: what needs more raises TooSlow or MemoryError. For the main thread only."""
    space = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with ExitStack() as undone:  # each of these happens, even if the signal comes in the middle of them
        undone.callback(signal.signal, signal.SIGPROF, signal.signal(signal.SIGPROF, _too_slow))
        undone.callback(signal.setitimer, signal.ITIMER_PROF, 0)
        undone.callback(resource.setrlimit, resource.RLIMIT_AS, space)
        # Not RLIMIT_CPU: it counts from the process's beginning, in ticks, which drift from what getrusage says.
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_SECONDS)
        resource.setrlimit(
            resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * 1024 * 1024, space[1])
        )
        yield


def _too_slow(_signal_number: int, frame: FrameType | None) -> None:
    """Once, but not where Python drops exceptions: the signal comes again."""
    if frame is not None and frame.f_code.co_name == _OF_THE_COLLECTOR:
        return
    signal.setitimer(signal.ITIMER_PROF, 0)
    raise TooSlow("all of its processor time is used")


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The data in pieces that end at these places; a cut behind the end counts from the start again."""
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


CUTS: Final = st.lists(st.integers(0, 10_000), max_size=12)


def joined(tokens: Sequence[AnyStr], *, most: int = 30) -> st.SearchStrategy[AnyStr]:
    """Tokens of the grammar in any order."""
    empty = tokens[0][:0]
    return st.lists(st.sampled_from(tokens), max_size=most).map(empty.join)


@st.composite
def large(draw: st.DrawFn, tokens: Sequence[AnyStr], *, size: int = LARGE) -> AnyStr:
    """Up to three short sequences of tokens, each repeated until the whole has this size."""
    token = st.lists(st.sampled_from(tokens), min_size=1, max_size=3).map(tokens[0][:0].join)
    parts = draw(st.lists(token.filter(len), min_size=1, max_size=3))
    return tokens[0][:0].join(part * (size // len(parts) // len(part)) for part in parts)
