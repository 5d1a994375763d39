"""Work items as the Managed Agents API tells and asks them."""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson
from flask import request

from app.errors import InvalidRequest
from app.managed.bodies import Body, MetadataPatch
from app.managed.teams import key_of
from app.managed.times import moment
from app.store.work_rows import WorkItem
from app.store.work_store import Stats

Json = dict[str, Any]

MAX_BLOCK_MILLISECONDS: Final = 999
RECLAIM_MILLISECONDS: Final = 5000
MAX_RECLAIM_MILLISECONDS: Final = 86_400_000
MAX_TTL_SECONDS: Final = 300
NO_HEARTBEAT: Final = "NO_HEARTBEAT"


class StopWork(Body):
    force: bool | None = None


class UpdateWork(Body):
    metadata: MetadataPatch


def work_json(item: WorkItem, *, token: str | None = None) -> Json:
    """With the item's token only in the answer to a poll."""
    return {
        "id": item.id,
        "type": "work",
        "environment_id": item.environment_id,
        "state": item.state,
        "data": {"type": "session", "id": key_of(item.session_id)},
        "metadata": item.metadata,
        "secret": None if token is None else _secret(token),
        "created_at": moment(item.created_at),
        "acknowledged_at": moment(item.acknowledged_at),
        "started_at": moment(item.started_at),
        "latest_heartbeat_at": moment(item.latest_heartbeat_at),
        "stop_requested_at": moment(item.stop_requested_at),
        "stopped_at": moment(item.stopped_at),
    }


def heartbeat_json(item: WorkItem, *, extended: bool) -> Json:
    return {
        "type": "work_heartbeat",
        "last_heartbeat": moment(item.latest_heartbeat_at) or "",
        "lease_extended": extended,
        "state": item.state,
        "ttl_seconds": item.ttl_seconds,
    }


def lease_json(item: WorkItem) -> Json:
    """The lease as a worker is told that has lost it."""
    return {
        "last_heartbeat": moment(item.latest_heartbeat_at),
        "lease_extended": False,
        "state": item.state,
        "ttl_seconds": item.ttl_seconds,
    }


def stats_json(stats: Stats) -> Json:
    return {
        "type": "work_queue_stats",
        "depth": stats.waiting,
        "pending": stats.claimed,
        "oldest_queued_at": moment(stats.oldest),
        "workers_polling": stats.workers,
    }


def whole(name: str, least: int, most: int, *, default: int | None) -> int | None:
    """A whole number in the query. InvalidRequest."""
    given = request.args.get(name)
    if given is None or given == "":
        return default
    if not given.isascii() or not given.isdecimal() or len(given) > 9 or not least <= int(given) <= most:
        raise InvalidRequest(f"{name}: must be a whole number from {least} to {most}")
    return int(given)


def is_expected(last: float | None) -> bool:
    """Is the item's last heartbeat the one that the request expects, if it expects one?"""
    expected = request.args.get("expected_last_heartbeat")
    if not expected:
        return True
    return expected == (moment(last) or NO_HEARTBEAT)


def _secret(token: str) -> str:
    """As workers take it apart: what they send as a bearer's token stands in a JSON object."""
    return base64.urlsafe_b64encode(orjson.dumps({"sessions_token": token})).decode().rstrip("=")
