"""Agno's AgentOS as its documentation builds it: one agent, SQLite, the whole history in each request.

Runs in its own environment (`agno.txt`), under uvicorn, and is imported by nothing else.
"""

from __future__ import annotations

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.anthropic import Claude
from agno.os import AgentOS

agent = Agent(
    id="plain",
    name="plain",
    instructions="You are a helpful assistant.",
    model=Claude(id="claude-sonnet-5-5", max_tokens=32_000),
    db=SqliteDb(db_file="agno.db"),
    add_history_to_context=True,
    num_history_runs=10_000,
    telemetry=False,
)
app = AgentOS(id="bench", agents=[agent], telemetry=False).get_app()
