"""Retries: of which failures, how often, and after which wait."""

from __future__ import annotations

from typing import Any

import pytest

from app.agent.model_client import Again, ModelError, ModelEvent, ModelRequest, Retrying, TextDelta
from app.agent.retry import MAX_RETRY_AFTER, stream_with_retries
from tests.agent.cancellation import FakeCancellation
from tests.agent.scripted_model import ScriptedModel, said

REQUEST = ModelRequest(
    "claude-sonnet-5-5", b"", b"", [b'{"role":"user","content":[{"type":"text","text":"Hi"}]}'], 100
)


class Clock(FakeCancellation):
    """Waits for nothing, and remembers how long it should have. `cancel_at` is the wait that a cancel ends."""

    def __init__(self, cancel_at: int = -1) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._cancel_at = cancel_at

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return len(self.waits) - 1 == self._cancel_at


def failing(kind: Any = "retryable", **fields: Any) -> list[ModelError]:
    return [ModelError("no", kind=kind, **fields)]


def run(model: ScriptedModel, clock: Clock) -> list[ModelEvent]:
    return list(stream_with_retries(model, REQUEST, clock))


def again(times: int) -> list[ModelEvent]:
    return [Retrying("no"), Again()] * times


def test_a_failure_that_passes_is_no_failure() -> None:
    clock = Clock()
    assert run(ScriptedModel(failing(), failing(), said("Hi")), clock) == [*again(2), *said("Hi")]
    first, second = clock.waits
    assert 0.18 <= first <= 0.22
    assert 0.36 <= second <= 0.44


def test_the_third_failure_is_the_last() -> None:
    model = ScriptedModel(*[failing()] * 3, said("too late"))
    with pytest.raises(ModelError, match="no"):
        run(model, Clock())
    assert len(model.lines) == 1


@pytest.mark.parametrize("kind", ["final", "overflow", "thinking_mismatch", "cancelled"])
def test_what_would_fail_again_is_not_tried_again(kind: str) -> None:
    clock = Clock()
    with pytest.raises(ModelError):
        run(ScriptedModel(failing(kind)), clock)
    assert clock.waits == []


def test_nothing_is_tried_again_once_something_was_shown() -> None:
    clock = Clock()
    model = ScriptedModel([TextDelta("Half an"), *failing(shown=True)], said("again"))
    seen: list[ModelEvent] = []
    with pytest.raises(ModelError):
        seen.extend(stream_with_retries(model, REQUEST, clock))
    assert len(model.lines) == 1
    assert clock.waits == []


@pytest.mark.parametrize(("named", "waited"), [(3.0, 3.0), (0.0, 0.0), (3600.0, MAX_RETRY_AFTER)])
def test_the_servers_own_wait_counts_up_to_a_bound(named: float, waited: float) -> None:
    clock = Clock()
    run(ScriptedModel(failing("rate_limited", retry_after=named), said("Hi")), clock)
    assert clock.waits == [waited]


def test_a_cancel_ends_the_wait() -> None:
    model = ScriptedModel(failing(), said("too late"))
    with pytest.raises(ModelError) as caught:
        run(model, Clock(cancel_at=0))
    assert caught.value.kind == "cancelled"
    assert len(model.lines) == 1
