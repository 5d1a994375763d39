"""Every table is known to belong to names, or not to."""

from __future__ import annotations

from typing import Final

from app.store.belongings import BELONGINGS
from app.store.tables import metadata

OF_NOBODY: Final = {
    "audit": "what a name did is kept for those who look after the server",
    "event_segments": "what is told of messages; it goes with its session",
    "waiting_requests": "a moment of a request; it goes with its session",
    "search_pending": "follows what is written and removed",
    "search_backlog": "likewise",
    "search_entries": "likewise",
    "scheduled_jobs": "the server's own",
    "brakes": "likewise",
    "work_polls": "a moment of a worker's",
    "webhook_deliveries": "ids of what has happened, for a day",
    "disabled_webhooks": "the server's own",
}


def test_each_table_has_a_line_or_a_reason_to_have_none() -> None:
    known = [one.table.name for one in BELONGINGS]
    assert len(known) == len(set(known))
    assert {*known, *OF_NOBODY} == set(metadata.tables)
    assert not {*known} & {*OF_NOBODY}


def test_what_does_not_go_by_itself_goes_with_something_that_does() -> None:
    gone = {one.table.name for one in BELONGINGS if one.own} | {"sessions"}
    for one in BELONGINGS:  # what goes with a row stands behind it
        parents = {key.column.table.name for key in one.table.foreign_keys if key.ondelete == "CASCADE"}
        assert one.table.name in gone or parents & gone, one.table.name
        gone.add(one.table.name)
