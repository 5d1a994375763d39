"""Memory stores of the Managed Agents API, their memories with all versions, and the sessions that have them. An older
process does not know the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _of_store() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["store_id"], ["memory_stores.id"], ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "memory_stores",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("archived_at", sa.Double(), nullable=True),
        sa.Column("definition_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("created_at", "id", name="memory_stores_by_age"),
    )
    op.create_index("stored_agents_by_owner", "stored_agents", ["owner"])
    op.create_index("environments_by_owner", "environments", ["owner"])
    op.create_index("memory_stores_by_owner", "memory_stores", ["owner", "created_at", "id"])
    by_bytes = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "memories",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("path", by_bytes, nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        _of_store(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("store_id", "path", name="memories_by_path"),
    )
    op.create_table(
        "memory_versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("memory_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("by_key", sa.Text(), nullable=False),
        sa.Column("by_session", sa.Text(), nullable=False),
        sa.Column("redacted_at", sa.Double(), nullable=True),
        sa.Column("redacted_by", sa.Text(), nullable=False),
        sa.Column("replaced_at", sa.Double(), nullable=True),
        _of_store(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("store_id", "number", name="memory_versions_in_order"),
    )
    op.create_index("versions_by_memory", "memory_versions", ["memory_id", "number"])
    op.create_index("versions_by_size", "memory_versions", ["store_id", "size"])
    op.create_index(
        "versions_by_end",
        "memory_versions",
        ["replaced_at"],
        sqlite_where=sa.text("replaced_at IS NOT NULL"),
        postgresql_where=sa.text("replaced_at IS NOT NULL"),
    )
    op.create_table(
        "mounted_stores",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("files_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", "store_id"),
    )
    op.create_index("sessions_by_memory_store", "mounted_stores", ["store_id"])
