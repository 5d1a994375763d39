"""What housekeeping needs to cost nothing in a large database, and jobs that one process does for all.

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
