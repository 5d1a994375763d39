"""A session's safety policy, and the other choices that its maker has made for it.

Both may be null: an older process beside this one writes neither, and adding them rewrites no row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("safety_policy", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("choices_json", sa.Text(), nullable=True))
