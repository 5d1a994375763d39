"""LangGraph's server in the one form that runs without its makers' licence: `langgraph dev`, which keeps threads in
memory, and in a file at its end. `python -m bench.peers.langgraph_server PORT`, in an environment of its own
(`langgraph.txt`)."""

from __future__ import annotations

import sys
from pathlib import Path

from langgraph_api.cli import run_server

RUNS_AT_ONCE = 1100
"""One by default: every other run waits for it."""

if __name__ == "__main__":
    graph = Path(__file__).with_name("langgraph_graph.py")
    run_server(
        "127.0.0.1",
        int(sys.argv[1]),
        graphs={"plain": f"{graph}:graph"},
        n_jobs_per_worker=RUNS_AT_ONCE,
        env={"LANGSMITH_TRACING": "false", "LANGGRAPH_NO_VERSION_CHECK": "true"},
    )
