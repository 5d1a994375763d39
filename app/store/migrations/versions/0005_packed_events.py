"""Event segments may be packed, from an hour after this upgrade on.

No table changes. Processes of the version before can't read packed segments, and may be at work beside this one while
hosts are upgraded one by one. A database that nobody has used yet has no such processes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.clock import now

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WAIT_SECONDS = 3600


def upgrade() -> None:
    connection = op.get_bind()
    used = "SELECT EXISTS (SELECT 1 FROM sessions) OR EXISTS (SELECT 1 FROM scheduled_jobs)"
    if not connection.execute(sa.text(used)).scalar():
        return
    jobs = sa.table("scheduled_jobs", sa.column("name"), sa.column("due_at"))
    connection.execute(sa.insert(jobs).values(name="pack events", due_at=now() + WAIT_SECONDS))
