"""Looks at every state that can be reached, and tells the shortest story that ends badly."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tests.claim_model.claim import MAX_RUNS, Rules, State, beginning
from tests.claim_model.steps import steps


@dataclass(frozen=True, slots=True)
class Finding:
    """`story` is empty if nothing can go wrong."""

    states: int
    wrong: str = ""
    story: tuple[str, ...] = ()


def explore(rules: Rules, *, processes: int) -> Finding:
    """Looks only at the first of several states that are alike."""
    start = beginning(processes)
    came_from: dict[State, tuple[State, str] | None] = {start.alike: None}
    leads_to: dict[State, list[State]] = {}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        for step in steps(state, rules):
            if step.wrong:
                return Finding(len(came_from), step.wrong, (*_story(state, came_from), step.words))
            reached = step.after.alike
            leads_to.setdefault(reached, []).append(state.alike)
            if reached not in came_from:
                came_from[reached] = (state.alike, step.words)
                waiting.append(step.after)
    stuck = _stuck(came_from, leads_to)
    if stuck is not None:
        return Finding(len(came_from), "a session can never be used again", _story(stuck, came_from))
    return Finding(len(came_from))


def _story(state: State, came_from: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    words: list[str] = []
    state = state.alike
    while (step := came_from[state]) is not None:
        state, said = step
        words.append(said)
    return tuple(reversed(words))


def _stuck(states: dict[State, tuple[State, str] | None], leads_to: dict[State, list[State]]) -> State | None:
    """A state from which no way leads to a free session. The model's last run, and a run that has changed hands as
    often as it may, have no successor, so states that used them up don't count."""
    good = [state for state in states if state.row.status == "ended"]
    seen = set(good)
    while good:
        for before in leads_to.get(good.pop(), ()):
            if before not in seen:
                seen.add(before)
                good.append(before)
    return next((s for s in states if s not in seen and s.row.run < MAX_RUNS and not s.row.takes), None)
