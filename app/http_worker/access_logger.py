"""gunicorn's logger, which would put an access line together for each request though nobody reads it."""

from __future__ import annotations

from gunicorn.glogging import Logger


class AccessLogger(Logger):
    """Access lines are for whoever has set `accesslog`. gunicorn makes them for every `logconfig_dict` as well."""

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.cfg.accesslog)
