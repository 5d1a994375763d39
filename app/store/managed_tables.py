"""The tables of the Managed Agents API, as they are after the newest migration. They are in the same catalogue as those
of `tables`, and have the same kinds of columns."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from app.store.columns import BYTES, DisplayText, catalogue, definitions, partial_index, session_id

metadata = catalogue

stored_agents = definitions(
    "stored_agents",
    Column("version", Integer, nullable=False),  # the newest
    Index("stored_agents_by_owner", "owner"),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("agent_id", Text, ForeignKey("stored_agents.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("definition_json", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

environments = definitions(
    "environments",
    Column("definition_json", Text, nullable=False),
    Index("environments_by_owner", "owner"),
)

vaults = definitions("vaults", Column("definition_json", Text, nullable=False))

vault_credentials = Table(
    "vault_credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("vault_id", Text, ForeignKey("vaults.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("archived_at", Double),
    Column("definition_json", Text, nullable=False),
    Column("server_key", Text, nullable=False),  # the server's address, in the form in which two are compared
    Column("sealed", Text),  # the secrets, encrypted; null: archived
    Column("revision", Integer, nullable=False),  # rises with every change of the secrets
    Column("refreshing_until", Double),  # a process gets another token meanwhile
    UniqueConstraint("vault_id", "created_at", "id", name="vault_credentials_by_age"),
    partial_index(
        "one_active_credential_per_server",
        "vault_id",
        "server_key",
        unique=True,
        where="archived_at IS NULL",
    ),
)

managed_sessions = Table(
    "managed_sessions",
    metadata,
    session_id(primary_key=True),
    Column("created_at", Double, nullable=False),  # that of its session
    Column("updated_at", Double, nullable=False),
    Column("archived_at", Double),
    Column("agent_id", Text, nullable=False),
    Column("agent_version", Integer, nullable=False),
    Column("environment_id", Text, nullable=False),
    Column("settings_json", Text, nullable=False),
    UniqueConstraint("created_at", "session_id", name="managed_sessions_by_age"),  # for its index
)

work_items = Table(
    "work_items",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("environment_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("metadata_json", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("claimed_at", Double),  # a worker was given it; null: none since it was queued
    Column("acknowledged_at", Double),
    Column("started_at", Double),
    Column("latest_heartbeat_at", Double),
    Column("stop_requested_at", Double),
    Column("stopped_at", Double),
    Column("lease_expires_at", Double),  # null: no worker has had it, or what it has left is seen to
    Column("ttl_seconds", Integer, nullable=False),
    Column("token_digest", Text),  # of the token of the worker that has it
    Column("former_digest", Text),  # of the one that had it before
    Column(
        "shown", BigInteger
    ),  # the number of the last call that the worker was shown; null: it has not looked
    Column("attempts", Integer, nullable=False),  # workers in a row that gave up before that
    Column("given_up", Boolean),  # a worker stopped it, and no client
    UniqueConstraint("environment_id", "created_at", "id", name="work_items_by_age"),  # for its index
    partial_index(
        "one_work_item_of_a_session",
        "session_id",
        unique=True,
        where="state <> 'stopped' OR lease_expires_at IS NOT NULL",
    ),
    partial_index("queued_work", "environment_id", "queued_at", where="state = 'queued'"),
    partial_index("leased_work", "lease_expires_at", where="lease_expires_at IS NOT NULL"),
)

work_polls = Table(
    "work_polls",
    metadata,
    Column("environment_id", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("polled_at", Double, nullable=False),
)

told_events = Table(
    "told_events",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("number", BigInteger),  # its place among the session's events; null: no run has come to it yet
    Column("type", Text, nullable=False),
    Column("call_id", Text),  # the tool call that it is about
    Column("created_at", Double, nullable=False),
    Column("processed_at", Double),
    Column("body_json", Text, nullable=False),
    UniqueConstraint("session_id", "number", name="told_events_in_order"),
)

# Several files can have one content. Whatever deletes a file, a trigger counts its content's uses down, and deletes the
# content with the last of them.

file_contents = Table(
    "file_contents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("uses", Integer, nullable=False),  # 0: it is not complete yet
    Column("created_at", Double, nullable=False),
    Index("contents_by_owner", "owner", "size_bytes"),
    partial_index("unused_contents", "created_at", where="uses = 0"),
)

file_chunks = Table(
    "file_chunks",
    metadata,
    Column("content_id", Text, ForeignKey("file_contents.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE")),  # null: it belongs to none
    Column("content_id", Text, nullable=False),  # no foreign key: the content's `uses` counts this row
    Column("filename", DisplayText, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("downloadable", Boolean, nullable=False),
    Column("output_path", Text),  # where a session has written it, below its outputs
    Column("output_changed", BigInteger),  # when, in nanoseconds, by the clock of the disk
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    UniqueConstraint("created_at", "id", name="files_by_age"),  # for its index
    Index("files_by_owner", "owner", "created_at", "id"),
    Index("files_by_session", "session_id", "created_at", "id"),
    partial_index("files_that_expire", "expires_at", where="expires_at IS NOT NULL"),
)

session_resources = Table(
    "session_resources",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("number", Integer, nullable=False, autoincrement=False),  # in the order in which they came
    Column("file_id", Text, ForeignKey("files.id", ondelete="CASCADE")),  # null: it is no file
    Column("mount_path", Text, nullable=False),
    Column("settings_json", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("session_id", "number", name="resources_in_order"),
    Index("resources_by_file", "file_id"),
)

repository_tokens = Table(
    "repository_tokens",
    metadata,
    Column("resource_id", Text, ForeignKey("session_resources.id", ondelete="CASCADE"), primary_key=True),
    session_id(),
    Column("sealed", Text, nullable=False),  # the token, encrypted
    Index("tokens_by_session", "session_id"),
)

skills = definitions(
    "skills",  # one is archived when it is deleted, and dropped when no session has a version of it any more
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    partial_index("deleted_skills", "id", where="archived_at IS NOT NULL"),
)

skill_versions = Table(
    "skill_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("skill_id", Text, ForeignKey("skills.id", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),  # microseconds since the epoch; rises within its skill
    Column("description", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("archived_at", Double),  # when it was deleted; it stays as long as a session has it
    UniqueConstraint("skill_id", "number", name="skill_versions_in_order"),  # for its index
    partial_index("deleted_skill_versions", "id", where="archived_at IS NOT NULL"),
)

skill_archives = Table(
    "skill_archives",
    metadata,
    Column("version_id", Text, ForeignKey("skill_versions.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

session_skills = Table(
    "session_skills",
    metadata,
    session_id(primary_key=True),
    Column("version_id", Text, ForeignKey("skill_versions.id", ondelete="CASCADE"), primary_key=True),
    Index("sessions_of_skills", "version_id"),
)

memory_stores = definitions(
    "memory_stores",
    Column("definition_json", Text, nullable=False),
    Index("memory_stores_by_owner", "owner", "created_at", "id"),
)

memories = Table(
    "memories",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, ForeignKey("memory_stores.id", ondelete="CASCADE"), nullable=False),
    Column("path", BYTES, nullable=False),
    Column("version_id", Text, nullable=False),  # the one that holds its content
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("store_id", "path", name="memories_by_path"),
)

memory_versions = Table(
    "memory_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, ForeignKey("memory_stores.id", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),  # its place among the store's versions
    Column("memory_id", Text, nullable=False),  # no foreign key: versions outlive their memory
    Column("operation", Text, nullable=False),
    Column("path", Text),  # null, like the next three, once it is redacted
    Column("content", Text),
    Column("sha256", Text),
    Column("size", BigInteger),
    Column("created_at", Double, nullable=False),
    Column("by_key", Text, nullable=False),  # the key that has made it; empty: a session has
    Column("by_session", Text, nullable=False),  # no foreign key: it outlives the session
    Column("redacted_at", Double),
    Column("redacted_by", Text, nullable=False),
    Column("replaced_at", Double),  # null: its memory's content is this one's
    UniqueConstraint("store_id", "number", name="memory_versions_in_order"),
    Index("versions_by_memory", "memory_id", "number"),
    Index("versions_by_size", "store_id", "size"),
    partial_index("versions_by_end", "replaced_at", where="replaced_at IS NOT NULL"),
)

mounted_stores = Table(
    "mounted_stores",
    metadata,
    session_id(primary_key=True),
    Column("store_id", Text, primary_key=True),  # no foreign key: a session outlives its stores
    Column("files_json", Text, nullable=False),  # what both sides had at the last sync
    Index("sessions_by_memory_store", "store_id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),  # the receiver knows a repeated event by it
    Column("type", Text, nullable=False),
    Column("subject_json", Text, nullable=False),  # the ids that the event tells
    Column("created_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),  # while somebody delivers it, when another one may
    Index("deliveries_by_due", "due_at"),
    Index("deliveries_by_age", "created_at"),
)

disabled_webhooks = Table(
    "disabled_webhooks",
    metadata,
    Column("address", Text, primary_key=True),  # its hash: an address may have secrets in it
    Column("disabled_at", Double, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Text, primary_key=True),
    session_id(),
    Column("created_at", Double, nullable=False),
    Column("description", Text, nullable=False),
    Column("rubric", Text, nullable=False),
    Column("max_iterations", Integer, nullable=False),
    Column("iteration", Integer, nullable=False),
    Column("result", Text, nullable=False),
    Column("explanation", Text),
    Column("completed_at", Double),
    Column("start_id", Text, nullable=False),  # the event by which the evaluation under way began
    UniqueConstraint("session_id", "id", name="outcomes_of_session"),  # for its index
)
