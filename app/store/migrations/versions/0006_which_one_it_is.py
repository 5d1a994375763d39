"""Ids of messages. A place in a session comes again when its end is taken back, so it names no message for good.

Null in rows that are there already, and in those that an older process writes beside this one; adding it rewrites no
row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("message_id", sa.Text(), nullable=True))
