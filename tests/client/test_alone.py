"""The client can be taken away: it needs `requests`, and nothing of Baton."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness.process import ROOT


def test_the_client_is_importable_alone(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_bytes((ROOT / "app" / "client.py").read_bytes())
    check = "import sys, client; sys.exit(any(name.partition('.')[0] in ('app', 'flask') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
