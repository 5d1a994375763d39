"""Event segments may be packed, from an hour after this upgrade on.

No table changes. Processes of the version before can't read packed segments, and may be at work beside this one while
hosts are upgraded one by one. A new database has no such processes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from app.store.clock import now

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WAIT_SECONDS = 3600


def upgrade() -> None:
    if context.config.attributes["upgrades_from"] is None:
        return
    jobs = sa.table("scheduled_jobs", sa.column("name"), sa.column("due_at"))
    op.execute(sa.insert(jobs).values(name="pack events", due_at=now() + WAIT_SECONDS))
