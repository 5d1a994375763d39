"""Looks for known vulnerabilities of the installed packages: `make audit`, which `make lint` calls.

It asks the package index. A machine that can't reach it, and CI, whose result must not change from one day to the next
for the same commit, skip the audit and say why; they don't fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

COMMAND: Final = (
    *(sys.executable, "-m", "pip_audit"),
    *("--local", "--skip-editable", "--progress-spinner", "off", "--format", "json", "--timeout", "10"),
)
PATIENCE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Verdict:
    text: str
    failed: bool = False


def audit(environment: Mapping[str, str]) -> Verdict:
    if environment.get("CI"):
        return _skipped("CI is set, and the answer of the index changes without a commit")
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return _skipped(f"the index has not answered within {PATIENCE:g} s")
    return judge(done.stdout, done.stderr)


def judge(report: str, errors: str) -> Verdict:
    """By pip-audit's report: its exit code is the same for a vulnerability and for a network that is down."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except ValueError:
        last = (errors.strip().splitlines() or ["no report"])[-1]
        return _skipped(f"pip-audit could not ask the index ({last})")
    asked = [one for one in packages if "skip_reason" not in one]
    if not asked:
        return _skipped(f"the index has no page for any of the {len(packages)} packages")
    if found := [_line(one, flaw) for one in asked for flaw in one["vulns"]]:
        return Verdict("\n".join(found), failed=True)
    text = f"audit: no known vulnerability in {_count(len(asked))}"
    if unknown := len(packages) - len(asked):
        text += f"; not audited, for the index has no page: {_count(unknown)}"
    return Verdict(text)


def _count(packages: int) -> str:
    return "1 package" if packages == 1 else f"{packages} packages"


def _skipped(reason: str) -> Verdict:
    return Verdict(f"audit: skipped: {reason}")


def _line(package: Mapping[str, Any], flaw: Mapping[str, Any]) -> str:
    fixed = f"fixed in {', '.join(flaw['fix_versions'])}" if flaw["fix_versions"] else "not fixed yet"
    return f"audit: {package['name']} {package['version']}: {flaw['id']}, {fixed}"


def main() -> int:
    verdict = audit(os.environ)
    sys.stdout.write(f"{verdict.text}\n")
    return 1 if verdict.failed else 0


if __name__ == "__main__":
    sys.exit(main())
