"""The code of an earlier version, from this repository's history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest

from tests.harness.process import ROOT

SCHEMA_0001: Final = "30f5648"
"""The last commit whose newest schema is 0001."""


def unpack(commit: str, directory: Path) -> Path:
    """The tree of that commit. Skips the test if the history is not there, as in a shallow clone or an archive."""
    known = _git("cat-file", "-e", f"{commit}^{{commit}}")
    if known.returncode != 0:
        pytest.skip(f"the repository's history does not reach back to {commit}")
    archive = _git("archive", "--format=tar", commit)
    assert archive.returncode == 0, archive.stderr.decode()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
        tree.extractall(directory, filter="data")
    return directory


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
