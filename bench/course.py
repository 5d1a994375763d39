"""How much is measured: the short course for a first look, the long one for figures that are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.contestants import Arena


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """`paced` are pairs of streams and deltas a second; `window` is how many seconds each is watched."""

    window: float
    paced: tuple[tuple[int, int], ...]
    flat: tuple[tuple[int, int], ...]  # pairs of streams and deltas each
    repeats: int
    open_streams: tuple[int, ...]
    busy_among: tuple[int, ...]
    histories: tuple[int, ...]
    short_runs: int
    claims: int
    boots: int
    shapes: tuple[tuple[int, int], ...]  # pairs of streams and deltas a second
    stored: tuple[int, int]  # sessions, and segments of each
    peers: tuple[tuple[int, int], ...]  # pairs of streams and deltas a second
    growth: tuple[int, ...]  # times the first size


QUICK: Final = Extent(
    window=2.0,
    paced=((1, 50), (50, 50), (100, 50), (200, 10)),
    flat=((1, 10_000),),
    repeats=1,
    open_streams=(1, 50, 200),
    busy_among=(50,),
    histories=(0, 50),
    short_runs=15,
    claims=150,
    boots=1,
    shapes=((100, 50),),
    stored=(200, 50),
    peers=((20, 10),),
    growth=(1, 10),
)
FULL: Final = Extent(
    window=4.0,
    paced=tuple((streams, pace) for streams in (1, 20, 100, 500, 1000) for pace in (10, 50)),
    flat=((1, 20_000), (50, 2_000)),
    repeats=2,
    open_streams=(1, 50, 200),
    busy_among=(50, 500),
    histories=(0, 50, 100, 1000),
    short_runs=40,
    claims=500,
    boots=3,
    shapes=((20, 50), (100, 50), (500, 10)),
    stored=(10_000, 1_000),
    peers=((1, 10), (20, 10), (20, 50), (100, 10)),
    growth=(1, 10, 100),
)


@dataclass(frozen=True, slots=True)
class Course:
    arena: Arena
    extent: Extent
