"""What webhooks have to tell, and endpoints that are disabled. An older process writes nothing there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deliveries_by_due", "webhook_deliveries", ["due_at"])
    op.create_index("deliveries_by_age", "webhook_deliveries", ["created_at"])
    op.create_table(
        "disabled_webhooks",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
