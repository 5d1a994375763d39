"""Faults of the place where a server is about to start: one line each, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.selfcheck.cage_check import check_cage, what_is_caged
from app.selfcheck.database_check import check_postgresql, check_schema, check_sqlite
from app.selfcheck.exposure_check import (
    check_exposure,
    check_key_in_clear,
    check_modes,
    check_shell,
    check_starters,
    check_tracing,
    check_user,
)
from app.selfcheck.finding import Finding
from app.selfcheck.limits_check import allow_open_files, check_open_files, check_processes, check_threads
from app.selfcheck.path_check import check_agents, check_roots
from app.settings import Settings

__all__ = ["CHECKS", "Finding", "allow_open_files", "checks", "what_is_caged"]

CHECKS: Final[tuple[Callable[[Settings], list[Finding]], ...]] = (
    check_exposure,
    check_key_in_clear,
    check_user,
    check_shell,
    check_modes,
    check_starters,
    check_cage,
    check_tracing,
    check_agents,
    check_roots,
    check_sqlite,
    check_postgresql,
    check_schema,
    check_threads,
    check_open_files,
    check_processes,
)


def checks(settings: Settings) -> list[Finding]:
    """Looks at everything; a few connections to the database are all that it opens, and all are closed again.
    `Settings.from_environment` has refused settings that make no sense on any machine."""
    return [finding for check in CHECKS for finding in check(settings)]
