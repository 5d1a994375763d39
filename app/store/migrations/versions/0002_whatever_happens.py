"""Columns and indexes with which housekeeping costs nothing in a large database, and jobs that one process does for
all.

Statements on a table that live runs write to come last: on PostgreSQL their locks last until the end of this
transaction, and a lease that can't be renewed for too long is lost.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scheduled_jobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("segments_by_last", "event_segments", ["session_id", "last"], unique=False)
    op.add_column("tool_calls", sa.Column("broken", sa.Boolean(), nullable=True))
    op.create_index("waiting_by_age", "waiting_requests", ["seen_at"], unique=False)
    op.create_index("spending_by_day", "spending", ["day"], unique=False)
    op.create_index("allowances_by_age", "request_allowances", ["full_at"], unique=False)
    _partial_index("queue_waiting", "queued_messages", ["session_id", "number"], "taken_by IS NULL")
    _partial_index("queue_taken", "queued_messages", ["created_at"], "taken_by IS NOT NULL")
    _partial_index("roots_by_age", "sessions", ["created_at"], "parent_id IS NULL")
    _partial_index("tasks_by_parent", "sessions", ["parent_id"], "parent_id IS NOT NULL")
    op.drop_index("sessions_by_parent", "sessions")
    op.create_index("runs_by_start", "runs", ["started_at"], unique=False)
    op.create_index("runs_by_status", "runs", ["status", "started_at"], unique=False)
    op.create_index("runs_by_end", "runs", ["ended_at"], unique=False)


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
