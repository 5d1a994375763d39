"""A job that outlives the script that began it.

python long_job.py start AGENT TEXT     begins it, prints the run's id, and leaves
python long_job.py watch RUN_ID         shows it, from its first word to its last
"""

import os
import sys

from baton_client import BatonClient, ConflictError, TextEvent, ToolCallEvent

baton = BatonClient(os.environ.get("BATON_URL", "http://127.0.0.1:8080"), os.environ.get("BATON_TOKEN"))


def start(agent: str, text: str) -> None:
    session = str(baton.create_session(tools_approved=True)["id"])
    run = baton.run(session, text, agent=agent, idempotency_key=f"job-{session}")
    run.detach()
    print(run.id)


def watch(run_id: str) -> None:
    try:
        for event in baton.attach(run_id):
            if isinstance(event, TextEvent):
                print(event.text, end="", flush=True)
            elif isinstance(event, ToolCallEvent):
                print(f"\n→ {event.tool} {event.arguments}", flush=True)
    except ConflictError:
        pass  # it has ended already
    ended = baton.get_run(run_id)
    print(f"\n{ended['status']}")
    sys.exit(ended["status"] != "finished")


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start(sys.argv[2], sys.argv[3])
    else:
        watch(sys.argv[2])
