"""An environment for each peer, made when it is first measured and kept below `bench/results/`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.processes import ROOT

PLACE: Final = ROOT / "bench" / "results" / "environments"


def requirements(contestant: str) -> Path:
    return ROOT / "bench" / "peers" / f"{contestant.lower()}.txt"


def python_of(contestant: str) -> str:
    """The interpreter of its environment, which has what its requirements name. CalledProcessError if that can't be
    installed."""
    wanted = requirements(contestant)
    version = hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    home = PLACE / f"{contestant.lower()}-{version}"
    python = home / "bin" / "python"
    if not (home / "made").exists():
        print(f"installing {contestant} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        (home / "made").touch()
    return str(python)


def versions(contestant: str) -> str:
    """The makers' packages in it, as the table names them."""
    lines = requirements(contestant).read_text().split()
    return ", ".join(line.replace("==", " ") for line in lines if line.startswith(contestant.lower()))
