"""`make audit` fails for a known vulnerability, and for nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dependency_audit import audit, judge
from tests.harness.make import commands

SOUND = {"name": "flask", "version": "3.1.0", "vulns": []}
FLAWED = {"name": "jinja2", "version": "3.0.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.6"]}]}
HOPELESS = {"name": "jinja2", "version": "3.0.0", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


@pytest.mark.parametrize(
    ("package", "text"),
    [
        (FLAWED, "audit: jinja2 3.0.0: PYSEC-1, fixed in 3.1.6"),
        (HOPELESS, "audit: jinja2 3.0.0: PYSEC-2, not fixed yet"),
    ],
)
def test_a_known_vulnerability_fails(package: dict[str, Any], text: str) -> None:
    verdict = judge(report(SOUND, package), "Found 1 known vulnerability in 1 package")
    assert (verdict.text, verdict.failed) == (text, True)


def test_what_was_not_audited_is_not_called_sound() -> None:
    assert judge(report(SOUND), "").text == "audit: no known vulnerability in 1 package"
    assert judge(report(SOUND, UNKNOWN), "").text.endswith(
        "; not audited, for the index has no page: 1 package"
    )
    assert judge(report(UNKNOWN), "No known vulnerabilities found").text.startswith("audit: skipped: ")


def test_an_index_that_can_t_be_reached_skips_the_audit_and_says_so() -> None:
    verdict = judge(
        "", "WARNING: retry\nERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\n"
    )
    assert not verdict.failed
    assert "skipped" in verdict.text
    assert "Could not connect" in verdict.text


def test_ci_asks_no_network_and_says_so() -> None:
    verdict = audit({"CI": "true"})
    assert not verdict.failed
    assert verdict.text.startswith("audit: skipped: CI is set")


def test_lint_audits() -> None:
    assert ".venv/bin/python -m tests.dependency_audit" in commands("lint")
