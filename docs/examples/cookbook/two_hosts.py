"""One conversation through two hosts on one PostgreSQL: python two_hosts.py URL_A URL_B

The run begins at the first, is read and approved through the second, and the next one begins there.
"""

import os
import sys

from baton_client import BatonClient, ToolApprovalEvent

here, there = (BatonClient(url, os.environ.get("BATON_TOKEN")) for url in sys.argv[1:])
session = str(here.create_session()["id"])
question = 'Which host is this? [call shell {"cmd": "echo either"}] [then] [say It does not matter.]'
with here.run(session, question, agent="desk") as run:
    for event in there.attach(run.id):
        if isinstance(event, ToolApprovalEvent):
            there.approve(session, event.call_id)
    print(run.text())
with there.run(session, "And now? [say Still the same conversation.]", agent="desk") as run:
    print(run.text())
print(len(here.session(session)["messages"]), "messages at both")
