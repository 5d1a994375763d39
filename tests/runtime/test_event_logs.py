"""A log lives as long as it has users, under its session's name or not, and each of them counts once."""

from __future__ import annotations

from app.runtime.streams.event_log import EndMark, EventLogs


def test_a_log_is_one_for_all_its_users_and_goes_with_the_last() -> None:
    logs = EventLogs()
    log = logs.open("s", 1)
    assert logs.open("s", 7) is log
    logs.hold(log)
    for _ in range(2):
        logs.release(log)
        assert logs.find("s") is log
    logs.release(log)
    assert logs.find("s") is None
    assert logs.followed() == []


def test_a_closed_log_is_replaced_by_name_and_its_late_users_touch_only_their_own() -> None:
    logs = EventLogs()
    old = logs.open("s", 1)
    logs.hold(old)
    logs.close("s", [b"{}"])
    new = logs.open("s", 5)
    assert new is not old
    assert (old.closed, new.closed) == (True, False)
    logs.hold(old)
    for _ in range(3):
        logs.release(old)
        assert logs.find("s") is new
    logs.release(new)
    assert logs.find("s") is None


def test_a_reader_of_a_log_that_was_replaced_for_a_while_keeps_it_as_long_as_another_one_needs_it() -> None:
    """Held while its session has another log, and held once more when that one is gone."""
    logs = EventLogs()
    old = logs.open("s", 1)
    logs.release(old)
    new = logs.open("s", 4)
    logs.hold(old)
    logs.release(new)
    logs.hold(old)
    assert logs.find("s") is old
    logs.release(old)
    assert logs.find("s") is old
    logs.release(old)
    assert logs.find("s") is None


def test_what_a_run_could_not_write_is_not_written_as_the_next_ones() -> None:
    logs = EventLogs()
    log = logs.open("s", 1)
    log.publish([b"{}"] * 3, EndMark("first"))
    for number in (2, 4, 50):
        log.continue_at(number)
        assert log.unwritten("second") is None
    log.publish([b"{}"], EndMark("second"))
    segment = log.unwritten("second")
    assert segment is not None
    assert (segment.first, segment.last) == (50, 50)
