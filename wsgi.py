"""What gunicorn serves: builds the application, nothing else."""

from __future__ import annotations

import sys

from app import logs, own_environment
from app.errors import StoreUnavailable
from app.factory import build
from app.settings import Settings

settings = Settings.from_environment(own_environment.whole())
logs.set_up(level=settings.log_level, style=settings.log_style)
try:
    server = build(settings)
except StoreUnavailable as error:
    sys.exit(f"baton: BATON_DATABASE_URL: the database can't be used: {error.__cause__ or error}")
application = server.app
