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
FACTOR = 0.4
"""`--thorough` raises it before the fuzzers are imported."""

SECONDS: Final = 3
MEGABYTES: Final = 400
LARGE: Final = 120_000
"""Characters of a large input. What takes quadratic time takes longer than SECONDS for it."""


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
def bounded(*, seconds: int = SECONDS, megabytes: int = MEGABYTES) -> Iterator[None]:
    """The kernel keeps both limits: what needs more raises TooSlow or MemoryError. For the main thread only."""
    cpu, space = resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_AS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with ExitStack() as undone:  # each of these happens, even if the signal comes in the middle of them
        undone.callback(signal.signal, signal.SIGXCPU, signal.signal(signal.SIGXCPU, _too_slow))
        undone.callback(resource.setrlimit, resource.RLIMIT_CPU, cpu)
        undone.callback(resource.setrlimit, resource.RLIMIT_AS, space)
        # The kernel counts whole seconds.
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, cpu[1]))
        resource.setrlimit(
            resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * 1024 * 1024, space[1])
        )
        yield


def _too_slow(signal_number: int, frame: FrameType | None) -> None:
    """Once: the kernel repeats the signal."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
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
