"""The manifests in deploy/kubernetes/ and the Containerfile: their linters accept them, and they fit the program. No
cluster and no image builder has been asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deployment.conftest import linted
from tests.harness.process import ROOT

DEPLOY = ROOT / "deploy"
MANIFEST = DEPLOY / "kubernetes" / "baton.yaml"
VERSIONS = ("1.29", "1.34")
OF_A_STOP = 15  # seconds behind the drain: docs/operations.md


def objects() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_kubernetes_accept_the_manifests(version: str) -> None:
    linted("kubernetes-validate", "--strict", "-k", version, MANIFEST)


def test_hadolint_accepts_the_containerfile() -> None:
    linted("hadolint", DEPLOY / "Containerfile")


def test_the_settings_that_the_manifests_name_exist() -> None:
    container = objects()["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    known = {variable for variable, _, _ in Settings.variables()}
    named = {one["name"] for one in container["env"]}
    assert named
    assert named <= known
    told = set(re.findall(r"\bBATON_[A-Z_]+[A-Z]\b", (DEPLOY / "kubernetes" / "README.md").read_text()))
    assert told <= known


def test_a_pod_has_time_for_its_drain_and_names_no_setting_by_accident() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    drain = next(float(one["value"]) for one in container["env"] if one["name"] == "BATON_DRAIN_SECONDS")
    leaves = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] >= drain + leaves + OF_A_STOP
    assert pod["enableServiceLinks"] is False  # BATON_PORT, of a service called baton, is like no setting


def test_probes_ask_for_what_each_is_there_for_by_a_name_that_is_always_answered() -> None:
    (container,) = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("readiness", "liveness", "startup")}
    assert {kind: one["path"] for kind, one in asked.items()} == {
        "readiness": "/ready",
        "liveness": "/health",
        "startup": "/health",
    }
    for one in asked.values():
        assert one["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


def test_the_service_and_the_budget_are_of_the_deployments_pods() -> None:
    found = objects()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    ports = {one["name"] for one in found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {one["targetPort"] for one in found["Service"]["spec"]["ports"]} <= ports


def test_a_pod_is_nobody_special_and_its_volumes_are_all_mounted() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = re.findall(r"^USER (\d+):(\d+)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert [(str(pod["securityContext"]["runAsUser"]), str(pod["securityContext"]["runAsGroup"]))] == user
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {one["name"] for one in pod["volumes"]} == {one["name"] for one in container["volumeMounts"]}
