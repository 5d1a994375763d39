"""The client for scripts, made of the one for asyncio: the same code without its `async` and `await`.

`python -m tests.client.sync_twin` (`make client`) writes it; a test says whether it is fresh.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2] / "baton_client"
SOURCE: Final = ROOT / "asynchronous"

TWINS: Final = ("api_calls", "baton_client", "event_stream", "http_transport", "run_stream", "sse_frames")
"""The modules that are made; `connection` is written twice, as each has a library of its own."""

HEAD: Final = "# Made of asynchronous/{name}.py by `make client`: change that one.\n"

RULES: Final = (
    (r"^import asyncio\n", ""),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bfrom \.\.", "from ."),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable\[([^\]]+)\]", r"\1"),
    (r"\bAwaitable, ", ""),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\banext\b", "next"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\bone event loop\b", "one thread at a time"),
)


def sync_source(name: str) -> str:
    """A module without what makes it asynchronous, formatted."""
    text = (SOURCE / f"{name}.py").read_text()
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return _formatted(HEAD.format(name=name) + text, ROOT / f"{name}.py")


def _formatted(text: str, path: Path) -> str:
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    sort = [
        *ruff,
        "check",
        "--quiet",
        "--select",
        "I,UP034,F401",
        "--fix",
        "--stdin-filename",
        str(path),
        "-",
    ]
    for command in (sort, [*ruff, "format", "--quiet", "--stdin-filename", str(path), "-"]):
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> None:
    for name in TWINS:
        (ROOT / f"{name}.py").write_text(sync_source(name))


if __name__ == "__main__":
    main()
