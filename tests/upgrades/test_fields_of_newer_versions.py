"""Rows that a newer version has written: this one ignores the fields that it doesn't know, and goes on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from sqlalchemy import Column, Table, select, text, update

from app.conversation.session import Choices
from app.conversation.usage import Usage
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.row_mapping import answer_of, dump
from app.store.tables import metadata, sessions, summaries
from tests.upgrades.conftest import Connect, StartOn
from tests.upgrades.using import go_on, read_everything

OF_AN_API: Final = {
    "messages.content_json",
    "queued_messages.content_json",
    "tool_calls.arguments_json",
    "prompts.system_json",
    "prompts.tools_json",
    "agent_versions.definition_json",
    "environments.definition_json",
    "vaults.definition_json",
    "vault_credentials.definition_json",
    "managed_sessions.settings_json",
    "session_resources.settings_json",
    "told_events.body_json",
    "memory_stores.definition_json",
    "work_items.metadata_json",
    "webhook_deliveries.subject_json",
}
"""Columns in the form of one of Anthropic's APIs, which are passed on as they are: their fields are the API's, not a
version's."""

OF_NAMES: Final = {"mounted_stores.files_json"}
"""Their keys are names of files."""

NEWER: Final = {"from_a_newer_version": {"a": [1]}}


def json_columns() -> list[Column[Any]]:
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("_json") and f"{table.name}.{column.name}" not in OF_AN_API | OF_NAMES
    ]


def with_newer_fields(value: Any) -> Any:
    """The same JSON with a field more in each of its objects that a version of this program has made."""
    match value:
        case dict():
            return {**value, **NEWER}
        case list() if all(isinstance(item, dict) for item in value):
            return [with_newer_fields(item) for item in value]
    return value


def add_fields(database: Database, column: Column[Any]) -> int:
    """Returns how many rows have changed."""
    table: Table = column.table
    changed = 0
    with database.writing() as connection:
        for row in connection.execute(select(*table.primary_key, column).where(column.is_not(None))).all():
            *key, old = row
            new = orjson.dumps(with_newer_fields(orjson.loads(old))).decode()
            here = [part == value for part, value in zip(table.primary_key, key, strict=True)]
            connection.execute(update(table).where(*here).values({column.name: new}))
            changed += new != old
    return changed


@pytest.fixture
def newer_url(filled_url: str) -> str:
    """The filled database, with fields and a column of a newer version in every table that has JSON."""
    database = Database(filled_url)
    migrate(database)
    # Only a summary by the model has a usage, and only later sessions have choices: the filled database has none.
    with database.writing() as connection:
        connection.execute(update(summaries).values(usage_json=dump(asdict(Usage()))))
        connection.execute(update(sessions).values(choices_json=dump(asdict(Choices()))))
    untouched = {
        f"{column.table.name}.{column.name}" for column in json_columns() if not add_fields(database, column)
    }
    with database.writing() as connection:
        for table in metadata.sorted_tables:
            connection.execute(
                text(f"ALTER TABLE {table.name} ADD COLUMN from_a_newer_version TEXT DEFAULT 'x'")
            )
    database.close()
    assert not untouched, "the filled database has no row with these"
    return filled_url


def test_fields_and_columns_that_are_not_known_harm_nothing(
    newer_url: str, start: StartOn, connect: Connect, tmp_path: Path
) -> None:
    server = start()
    client = connect(server)
    read_everything(client, connect(server, operator=True))
    go_on(client, tmp_path)


def test_an_answer_that_a_newer_process_has_given_is_read() -> None:
    answer = answer_of('{"decision":"approve","by":"ann","question_id":"q","from_a_newer_version":[1]}')
    assert answer is not None
    assert (answer.decision, answer.by, answer.question_id) == ("approve", "ann", "q")
