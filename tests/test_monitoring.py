"""Documents, dashboard and alert rules speak of metrics that the program has, and the document of all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app import errors
from app.telemetry.metrics import Metrics
from tests.test_documents import OF_THE_WEB_ITSELF, codes

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "deploy" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
DOCUMENT = ROOT / "docs" / "metrics.md"

SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric that the document's tables have."""
    row = re.compile(r"^\| `(baton_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
    return {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in row.findall(DOCUMENT.read_text())
    }


def registered() -> dict[str, tuple[str, set[str]]]:
    metrics = Metrics()
    labels = {
        one._name: set(one._labelnames) for one in vars(metrics).values() if hasattr(one, "_labelnames")
    }
    return {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, labels[family.name])
        for family in metrics.registry.collect()
    }


def samples() -> set[str]:
    """The names that a query may use."""
    families = Metrics().registry.collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [*shown, ALERTS.read_text()]


def used() -> set[str]:
    return {name for query in queries() for name in re.findall(r"\bbaton_\w+", query)}


def test_the_document_has_every_metric_with_its_type_and_labels_and_no_other() -> None:
    assert documented() == registered()


def test_dashboard_and_rules_ask_for_nothing_that_is_not_there() -> None:
    assert used() - samples() == set()
    assert len(used()) > 20


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(queries()[:-1])
    assert [name for name in registered() if name not in shown] == []


@pytest.mark.parametrize("code", sorted(set(re.findall(r'code="(\w+)"', ALERTS.read_text()))))
def test_a_code_that_a_rule_waits_for_is_one_that_comes(code: str) -> None:
    assert code in codes() | OF_THE_WEB_ITSELF | {errors.AppError.code}


def test_no_two_panels_of_the_dashboard_share_an_id_or_lie_over_each_other() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.promtool
def test_promtool_accepts_the_rules_and_every_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    expressions = [query.replace("$__rate_interval", "5m") for query in queries()[:-1]]
    rules = [{"record": f"panel:{index}", "expr": query} for index, query in enumerate(expressions)]
    (tmp_path / "dashboard.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    for file in (ALERTS, tmp_path / "dashboard.yml"):
        done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
