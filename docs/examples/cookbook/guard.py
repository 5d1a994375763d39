"""A hook that stands before each command. It reads the call as JSON; its exit code 2 forbids the call, and its error
output says why."""

import json
import re
import sys

FORBIDDEN = {
    r"\bgit\s+push\b.*--force": "nobody forces a push here",
    r"\brm\s+(-\w*\s+)*/": "nothing outside of the project is removed",
    r"\bcurl\b|\bwget\b": "the network is not for commands",
}

command = str(json.load(sys.stdin)["tool_input"].get("cmd", ""))
for pattern, reason in FORBIDDEN.items():
    if re.search(pattern, command):
        print(f"{reason}: {command}", file=sys.stderr)
        sys.exit(2)
