"""Files of the Managed Agents API, and what sessions have of them. An older process does not know the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file_contents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("contents_by_owner", "file_contents", ["owner", "size_bytes"])
    unused = sa.text("uses = 0")
    op.create_index(
        "unused_contents", "file_contents", ["created_at"], sqlite_where=unused, postgresql_where=unused
    )
    op.create_table(
        "file_chunks",
        sa.Column("content_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["content_id"], ["file_contents.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("content_id", "number"),
    )
    op.create_table(
        "files",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("content_id", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("downloadable", sa.Boolean(), nullable=False),
        sa.Column("output_path", sa.Text(), nullable=True),
        sa.Column("output_changed", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("created_at", "id", name="files_by_age"),
    )
    op.create_index("files_by_owner", "files", ["owner", "created_at", "id"])
    op.create_index("files_by_session", "files", ["session_id", "created_at", "id"])
    expiring = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "files_that_expire", "files", ["expires_at"], sqlite_where=expiring, postgresql_where=expiring
    )
    op.create_table(
        "session_resources",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.Column("mount_path", sa.Text(), nullable=False),
        sa.Column("settings_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("session_id", "number", name="resources_in_order"),
    )
    op.create_index("resources_by_file", "session_resources", ["file_id"])
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


_LET_GO = """
    UPDATE file_contents SET uses = uses - 1 WHERE id = OLD.content_id;
    DELETE FROM file_contents WHERE id = OLD.content_id AND uses <= 0;
"""
_TRIGGERS = {
    "sqlite": (f"CREATE TRIGGER file_gone AFTER DELETE ON files BEGIN {_LET_GO} END",),
    "postgresql": (
        f"CREATE FUNCTION file_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_LET_GO} RETURN NULL; END $$",
        "CREATE TRIGGER file_gone AFTER DELETE ON files FOR EACH ROW EXECUTE FUNCTION file_gone()",
    ),
}
"""Whatever deletes a file, be it the end of its session, its content goes with the last file that has it."""
