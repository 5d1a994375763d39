"""What gunicorn serves: builds the application, nothing else."""

from __future__ import annotations

import os

from app import logs
from app.factory import build
from app.settings import Settings

settings = Settings.from_environment(os.environ)
logs.set_up(level=settings.log_level, style=settings.log_style)
server = build(settings)
application = server.app
