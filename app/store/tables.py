"""The tables, as they are after the newest migration. Times are seconds since the epoch, by the database's
clock; `*_json` columns hold JSON text, byte for byte what the model's API gave us."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
)

from app.conversation.run import LIVE
from app.store.columns import DisplayText, catalogue, one_of, partial_index, session_id

metadata = catalogue

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("owner", Text, nullable=False),
    Column("title", DisplayText, nullable=False),
    Column("working_dir", Text, nullable=False),
    Column("tools_approved", Boolean, nullable=False),
    Column("thinking", Boolean, nullable=False),
    Column("max_iterations", Integer, nullable=False),
    Column("permissions_json", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", Double, nullable=False),
    Column("budget", Double),  # USD; null: what the settings say, 0: no limit
    Column("starred", Boolean, nullable=False),
    Column("parent_id", Text, ForeignKey("sessions.id", ondelete="CASCADE")),
    Column("agent", Text, nullable=False),
    Column("handed_to", Text, nullable=False),
    Column("compactions", Integer, nullable=False),
    Column(
        "model", Text, nullable=False
    ),  # its runs ask this one instead of their agents' own; empty: theirs
    Column("safety_policy", Text),  # null: nobody has chosen one; `tools_approved` is the widest
    Column("choices_json", Text),
    Column("next_event", BigInteger, nullable=False),  # no event with this number or a higher one was sent
    Column("active_at", Double),  # when a run of it ended, or its messages changed; null: see `ACTIVE_AT`
    Index("sessions_by_age", "owner", "created_at"),
    partial_index("roots_by_age", "created_at", where="parent_id IS NULL"),
    partial_index("tasks_by_parent", "parent_id", where="parent_id IS NOT NULL"),
)

ACTIVE_AT: Final = func.coalesce(sessions.c.active_at, sessions.c.created_at)
"""A session's last activity. It has none of its own before its first run, and none that a process of an older version
has written. Two indexes are of this expression, `sessions_by_activity` and `roots_by_activity`."""

messages = Table(
    "messages",
    metadata,
    session_id(primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("role", Text, nullable=False),
    Column("content_json", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("implicit", Boolean, nullable=False),
    Column("partial", Text, nullable=False),
    Column("stop_reason", Text, nullable=False),
    Column("usage_json", Text),
    Column("model", Text, nullable=False),
    Column("cost", Double, nullable=False),
    Column("run_id", Text),
    Column("message_id", Text),  # null: an older process has stored it
    partial_index("system_messages", "session_id", where="role = 'system'"),
)

_LIVE = "status IN ('running', 'awaiting_approval', 'awaiting_input')"

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("agent", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("epoch", Integer, nullable=False),  # rises when another process adopts the run
    Column("writes", Integer, nullable=False),  # the number of the run's last write
    Column("owner_host", Text, nullable=False),
    Column("owner_boot", Text, nullable=False),
    Column("owner_pid", Integer, nullable=False),
    Column("owner_started", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("lease_expires_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("waiting_for_json", Text),
    Column("answer_json", Text),  # the answer to it, until the holder has read it
    Column("code", Text, nullable=False),
    Column("error", DisplayText, nullable=False),
    Column("first_event", BigInteger, nullable=False),
    Column("last_event", BigInteger),  # once it has ended
    Column("stop_requested", DisplayText),  # the name that asked the run to stop, from whatever process
    Column("options_json", Text, nullable=False),
    Column("worked_seconds", Double),  # before its question; null: it has asked none, or an older version did
    partial_index("one_live_run_per_session", "session_id", unique=True, where=_LIVE),
    Index("runs_by_session", "session_id", "started_at"),
    partial_index("live_runs", "status", where=_LIVE),
    Index("runs_by_start", "started_at"),
    Index("runs_by_status", "status", "started_at"),
    Index("runs_by_end", "ended_at"),
)


IS_LIVE: Final = one_of(runs.c.status, LIVE)

tool_calls = Table(
    "tool_calls",
    metadata,
    session_id(primary_key=True),
    Column("id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("position", Integer, nullable=False),  # of the assistant message that made the call
    Column("name", DisplayText, nullable=False),
    Column("arguments_json", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", DisplayText, nullable=False),
    Column("started_at", Double),  # when its handler began; null again if the handler ended with a question
    Column("ended_at", Double),
    Column("broken", Boolean),  # its arguments are not JSON, so it must not run; null: from an older version
    Index("calls_by_run", "run_id"),
)

queued_messages = Table(
    "queued_messages",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("number", BigInteger, nullable=False),  # order within the session
    Column("kind", Text, nullable=False),  # steer, followup
    Column("content_json", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("taken_by", Text),  # the run that took it
    Column("taken_in", Integer),  # the number of the write that took it
    Column("position", Integer),  # where it stands in the transcript since
    Index("queue_order", "session_id", "number", unique=True),
    partial_index("queue_waiting", "session_id", "number", where="taken_by IS NULL"),
    partial_index("queue_taken", "created_at", where="taken_by IS NOT NULL"),
)

waiting_requests = Table(
    "waiting_requests",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("process", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Index("waiting_order", "session_id", "since"),
    Index("waiting_by_age", "seen_at"),
)

prompts = Table(
    "prompts",
    metadata,
    session_id(primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("definition", Text, nullable=False),  # digest of what the prompt was made from
    Column("model", Text, nullable=False),
    Column("system_json", Text, nullable=False),
    Column("tools_json", Text, nullable=False),
    Column("definitions_json", Text, nullable=False),  # the tools as readers are told of them
    Column("created_at", Double, nullable=False),
)

summaries = Table(
    "summaries",
    metadata,
    session_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("summary", Text, nullable=False),
    Column("through", Integer, nullable=False),  # messages before this position are told by the summary
    Column("newest_from", Integer, nullable=False),  # except these, the user's newest
    Column("newest_to", Integer, nullable=False),
    Column("made_at", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("agent", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("usage_json", Text),
    Column("cost", Double, nullable=False),
    Column("run_id", Text),
)

tool_states = Table(
    "tool_states",
    metadata,
    session_id(primary_key=True),
    Column("key", Text, primary_key=True),
    Column("state_json", Text, nullable=False),
)

event_segments = Table(
    "event_segments",
    metadata,
    session_id(primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("frames", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("segments_by_age", "created_at"),
    Index("segments_by_last", "session_id", "last"),
)

scheduled_jobs = Table(
    "scheduled_jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due_at", Double, nullable=False),  # nobody does it before
)

brakes = Table(
    "brakes",
    metadata,
    Column("key", Text, primary_key=True),  # digest of an API key, the API's address and a model
    Column("held_until", Double, nullable=False),
    Column("steps", Integer, nullable=False),  # how often the API refused again soon after a hold
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),  # digest of route and body
    Column("session_id", Text),
    Column("run_id", Text),
    Column("response_json", Text),  # for requests that have no run
    Column("created_at", Double, nullable=False),
    ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
    Index("keys_by_age", "created_at"),
)

spending = Table(
    "spending",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since the epoch, in UTC
    Column("cost", Double, nullable=False),
    Index("spending_by_day", "day"),
)

request_allowances = Table(
    "request_allowances",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("full_at", Double, nullable=False),  # when it could make a whole minute's requests at once again
    Index("allowances_by_age", "full_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", DisplayText, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("session_id", Text, nullable=False),  # no foreign key: the trail outlives the session
    Column("run_id", Text, nullable=False),
    Column("detail", DisplayText, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("audit_by_session", "session_id", "id"),
    Index("audit_by_who", "who", "id"),
    Index("audit_by_age", "at"),
    sqlite_autoincrement=True,  # or the number of an entry that was dropped could come again
)

# What can be found by its words. The database's own triggers name whatever is written, changed or deleted, by whatever
# process, and `app.store.search_index` follows. No foreign keys: what is gone has to go from here as well, and later.

search_pending = Table(
    "search_pending",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("position", Integer, nullable=False),  # -1: the session's title
)

search_backlog = Table(
    "search_backlog",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("session_id", Text, nullable=False),
    Column("below", Integer, nullable=False),  # its messages before this position are still to come
    Index("backlog_by_session", "session_id", unique=True),
)

search_entries = Table(
    "search_entries",
    metadata,
    # The higher the newer; those from before there was an index have negative ones.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("session_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("words", DisplayText, nullable=False),
    Index("entries_by_message", "session_id", "position", unique=True),
)
