"""Last activity of sessions, and an index of words.

Triggers fill the index's list of what is to be done, so processes of the version before, which know nothing of it, may
be at work beside this one. What is there already is named session by session, and read later in small bites.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ALL = 2_147_483_647


def upgrade() -> None:
    kind = op.get_bind().dialect.name
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "search_pending",
        sa.Column("id", key, nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "search_backlog",
        sa.Column("id", key, autoincrement=False, nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("below", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("backlog_by_session", "search_backlog", ["session_id"], unique=True)
    op.create_table(
        "search_entries",
        sa.Column("id", key, autoincrement=False, nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("entries_by_message", "search_entries", ["session_id", "position"], unique=True)
    for statement in _WORDS[kind]:
        op.execute(statement)
    op.add_column("sessions", sa.Column("active_at", sa.Double(), nullable=True))
    activity = sa.text("coalesce(active_at, created_at)")
    roots = sa.text("parent_id IS NULL")
    op.create_index("sessions_by_activity", "sessions", ["owner", activity], unique=False)
    op.create_index(
        "roots_by_activity",
        "sessions",
        [activity],
        unique=False,
        sqlite_where=roots,
        postgresql_where=roots,
    )
    for statement in _TRIGGERS[kind]:
        op.execute(statement)
    if context.config.attributes["upgrades_from"] is not None:
        op.execute(
            "INSERT INTO search_backlog (id, session_id, below)"  # noqa: S608 - our own words
            f" SELECT row_number() OVER (ORDER BY created_at, id), id, {ALL} FROM sessions"
        )


_WORDS = {
    "sqlite": (
        """CREATE VIRTUAL TABLE search_words USING fts5(words, content='search_entries', content_rowid='id',
           columnsize=0, tokenize="unicode61 remove_diacritics 0")""",
        """CREATE TRIGGER search_entry_added AFTER INSERT ON search_entries BEGIN
           INSERT INTO search_words (rowid, words) VALUES (NEW.id, NEW.words); END""",
        """CREATE TRIGGER search_entry_gone AFTER DELETE ON search_entries BEGIN
           INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', OLD.id, OLD.words); END""",
    ),
    "postgresql": (
        "CREATE INDEX entries_by_words ON search_entries USING gin (to_tsvector('simple'::regconfig, words))",
    ),
}

_NOTE = "INSERT INTO search_pending (session_id, position) VALUES ({}); "


def _on_sqlite(name: str, when: str, place: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {when} BEGIN {_NOTE.format(place)} END"


def _on_postgresql(name: str, when: str, place: str) -> tuple[str, str]:
    return (
        f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN {_NOTE.format(place)} RETURN NULL; END $$""",
        f"CREATE TRIGGER {name} AFTER {when} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


_NOTED = (
    ("search_title_changed", "UPDATE OF title ON sessions", "NEW.id, -1"),
    ("search_title_gone", "DELETE ON sessions", "OLD.id, -1"),
    ("search_message_added", "INSERT ON messages", "NEW.session_id, NEW.position"),
    ("search_message_changed", "UPDATE OF content_json ON messages", "NEW.session_id, NEW.position"),
    ("search_message_gone", "DELETE ON messages", "OLD.session_id, OLD.position"),
)

_TRIGGERS = {
    "sqlite": tuple(_on_sqlite(*noted) for noted in _NOTED),
    "postgresql": tuple(statement for noted in _NOTED for statement in _on_postgresql(*noted)),
}
