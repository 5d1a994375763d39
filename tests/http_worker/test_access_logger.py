"""gunicorn puts an access line together only for a server that writes one."""

from __future__ import annotations

import pytest
from gunicorn.config import Config

from app.http_worker.access_logger import AccessLogger


@pytest.mark.parametrize(("accesslog", "wanted"), [(None, False), ("-", True)])
def test_access_lines_are_made_where_somebody_asked_for_them(accesslog: str | None, wanted: bool) -> None:
    logger = AccessLogger.__new__(AccessLogger)  # its own set-up would replace this process's
    logger.cfg = Config()
    logger.cfg.set("logconfig_dict", {"version": 1})
    logger.cfg.set("accesslog", accesslog)
    assert logger.access_log_enabled is wanted
