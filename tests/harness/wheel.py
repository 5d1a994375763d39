"""Baton as a user gets it: its wheel, in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from tests.harness.process import ROOT

SOURCES: Final = (
    "anthropic_standin",
    "app",
    "baton_client",
    "deploy",
    "gunicorn.conf.py",
    "wsgi.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
PIP: Final = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def copy_checkout(to: Path) -> Path:
    """Copies the files that a clone has of the program."""
    to.mkdir(exist_ok=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)
    return to


def install_wheel(directory: Path) -> Path:
    """The directory of the programs of a new environment in which the wheel is installed. Dependencies are these
    tests' own: no network is needed."""
    sources = copy_checkout(directory / "sources")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(sources)]
    subprocess.run(build, check=True, cwd=directory)
    shutil.rmtree(sources)
    place = directory / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, cwd=directory)
    # Editable installations are `.pth` files themselves; one that leads to them doesn't run them.
    packages = next(place.glob("lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = directory.glob("*.whl")
    install = ["--python", str(place), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*PIP, *install], check=True, cwd=directory)
    return place / "bin"
