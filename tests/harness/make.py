"""The commands that `make` would run."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands(target: str) -> list[str]:
    """The commands of a target, in their order, without running one."""
    made = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    return subprocess.check_output(made, cwd=ROOT, text=True).splitlines()
