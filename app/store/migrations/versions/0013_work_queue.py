"""The queue of work for self-hosted environments. An older process does not know the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work_items",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=True),
        sa.Column("acknowledged_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("latest_heartbeat_at", sa.Double(), nullable=True),
        sa.Column("stop_requested_at", sa.Double(), nullable=True),
        sa.Column("stopped_at", sa.Double(), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("ttl_seconds", sa.Integer(), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=True),
        sa.Column("former_digest", sa.Text(), nullable=True),
        sa.Column("shown", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("given_up", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("environment_id", "created_at", "id", name="work_items_by_age"),
    )
    _partial(
        "one_work_item_of_a_session",
        ["session_id"],
        "state <> 'stopped' OR lease_expires_at IS NOT NULL",
        True,
    )
    _partial("queued_work", ["environment_id", "queued_at"], "state = 'queued'")
    _partial("leased_work", ["lease_expires_at"], "lease_expires_at IS NOT NULL")
    op.create_table(
        "work_polls",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("polled_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "worker"),
    )


def _partial(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(
        name, "work_items", columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )
