"""Log set-up: one line an entry, with the request, session and run that it belongs to.

Messages of a conversation are never logged at INFO or above.
"""

from __future__ import annotations

import json
import logging.config
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)


def enter_context(**fields: str) -> Token[dict[str, str] | None]:
    """From now on every line logged on this thread carries these fields, until `leave_context`."""
    return _context.set({**(_context.get() or {}), **fields})


def leave_context(token: Token[dict[str, str] | None]) -> None:
    _context.reset(token)


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Every line logged inside, on this thread, carries these fields."""
    token = enter_context(**fields)
    try:
        yield
    finally:
        leave_context(token)


def context_fields() -> dict[str, str]:
    return dict(_context.get() or {})


class HumanFormatter(logging.Formatter):
    """`2026-11-22T09:00:00Z INFO app.runtime.manager run started … session=… run=…`"""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Further lines of a message are indented, so that nobody's words can pass for an entry."""
        fields = "".join(f" {name}={value}" for name, value in context_fields().items())
        return "\n  ".join(super().formatMessage(record).splitlines()) + fields


class JsonFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **context_fields(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configuration(*, level: str, style: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`; `style` is `human` or `json`. Replaces whatever handlers there were:
    gunicorn's own lines look like ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter if style == "json" else HumanFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"handlers": [], "propagate": True},
            "httpx2": {"level": "WARNING"},  # a line for every model call otherwise
            "alembic": {"level": "WARNING"},
        },
    }


def set_up(*, level: str, style: str) -> None:
    logging.config.dictConfig(configuration(level=level, style=style))
