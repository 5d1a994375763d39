"""The files in deploy/ beside the nginx configuration: units, container, log rotation, two hosts."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from tests.harness.make import commands
from tests.harness.process import ROOT

DEPLOY = ROOT / "deploy"
VARIABLES = {variable for variable, _, _ in Settings.variables()}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """With programs that exist here in place of those in /opt/baton."""
    for name in ("baton.service", "baton.socket"):
        text = (DEPLOY / name).read_text()
        text = text.replace("/opt/baton/.venv/bin/gunicorn", "/bin/true")
        text = re.sub(r"^EnvironmentFile=.*\n", "", text, flags=re.MULTILINE)
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run(
        [*command, tmp_path / "baton.service", tmp_path / "baton.socket"],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_lets_its_commands_into_a_cage() -> None:
    """No option of the unit keeps the cage from starting under systemd. `ProtectProc` and others cover parts of
    /proc, and then the kernel allows no other one."""
    lines = [line for line in (DEPLOY / "baton.service").read_text().splitlines() if not line.startswith("#")]
    assert "Environment=BATON_SANDBOX=bubblewrap" in lines
    given = dict(line.split("=", 1) for line in lines if "=" in line)
    covering = ("ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname")
    assert not {"RestrictNamespaces", "PrivateUsers", *covering} & given.keys()
    assert "@mount" in given["SystemCallFilter"].split()
    assert "AF_NETLINK" in given["RestrictAddressFamilies"].split()


def test_a_stop_has_time_for_the_drain() -> None:
    default = Settings().drain_seconds
    unit = re.search(r"^TimeoutStopSec=(\d+)$", (DEPLOY / "baton.service").read_text(), re.MULTILINE)
    assert unit is not None
    assert int(unit[1]) >= default + 15
    services = yaml.safe_load((DEPLOY / "two-hosts" / "compose.yaml").read_text())["services"]
    assert int(services["baton-a"]["stop_grace_period"].removesuffix("s")) >= default + 15


@pytest.mark.parametrize(
    "name",
    ["baton.service", "baton.socket", "Containerfile", "two-hosts/compose.yaml", "two-hosts/README.md"],
)
def test_every_setting_that_a_file_names_exists(name: str) -> None:
    named = set(re.findall(r"\bBATON_[A-Z_]+[A-Z]\b", (DEPLOY / name).read_text()))
    assert named
    assert named <= VARIABLES


def test_the_container_takes_along_what_exists_and_is_nobody_special() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    built_of = set(re.findall(r"^COPY (.+) \./$", text.partition("\nRUN ")[0], re.MULTILINE)[0].split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*project["tool"]["setuptools"]["data-files"].values(), project["project"]["license-files"]]
    built_of |= set(re.findall(r"^COPY (\S+) \1$", text.partition("\nRUN ")[0], re.MULTILINE))
    assert {file.partition("/")[0] for files in named for file in files} <= built_of
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in text


def test_what_is_shipped_keeps_the_servers_files_out_of_the_directories_where_sessions_work() -> None:
    unit, container = (DEPLOY / "baton.service").read_text(), (DEPLOY / "Containerfile").read_text()
    compose = yaml.safe_load((DEPLOY / "two-hosts" / "compose.yaml").read_text())
    roots = [
        *re.findall(r"^Environment=.*BATON_ROOTS=(\S+)", unit, re.MULTILINE),
        *re.findall(r"^ +BATON_ROOTS=(\S+)", container, re.MULTILINE),
        compose["x-baton"]["environment"]["BATON_ROOTS"],
    ]
    homes = re.findall(r"(?:sqlite:///|HOME=|--home-dir )(/\S+)", unit + container)
    assert len(roots) == 3
    assert len(homes) == 4
    for own in (*homes, "/opt/baton", "/etc/baton"):
        for root in roots:
            assert not Path(own).is_relative_to(root)
            assert not Path(root).is_relative_to(own)


def test_two_hosts_have_the_delivered_nginx_configuration_but_for_its_servers() -> None:
    def rest(path: Path) -> list[str]:
        lines = path.read_text().partition("upstream baton")[2].splitlines()
        return [line for line in lines if not re.match(r"\s*server \S+ max_conns", line)]

    assert rest(DEPLOY / "two-hosts" / "nginx.conf") == rest(DEPLOY / "nginx.conf")


@pytest.mark.skipif(
    shutil.which("logrotate", path="/usr/sbin:/sbin:/usr/bin") is None, reason="logrotate is not installed"
)
def test_logrotate_empties_a_log_that_is_still_written_to(tmp_path: Path) -> None:
    log = tmp_path / "baton.log"
    text = (DEPLOY / "logrotate").read_text().replace("/var/log/baton/*.log", str(log))
    (tmp_path / "rules").write_text(text)
    (tmp_path / "rules").chmod(0o644)
    with log.open("a") as output:
        print("before", file=output, flush=True)
        program = shutil.which("logrotate", path="/usr/sbin:/sbin:/usr/bin")
        assert program is not None
        command = [program, "--force", "--state", str(tmp_path / "state"), str(tmp_path / "rules")]
        subprocess.run(command, check=True)
        print("after", file=output, flush=True)
    assert log.read_text() == "after\n"
    assert (tmp_path / "baton.log.1").read_text() == "before\n"


@pytest.mark.parametrize("target", ["install", "install-dev", "run"])
def test_make_installs_what_tool_servers_need(target: str) -> None:
    installed = [line for line in commands(target) if "pip install" in line]
    extras = {
        extra
        for line in installed
        for words in re.findall(r"'\.\[(.+?)\]'", line)
        for extra in words.split(",")
    }
    assert extras & {"mcp", "dev"}, installed


def test_whatever_is_shipped_or_told_installs_what_tool_servers_need() -> None:
    """Each line that installs the server's own directory."""
    told = {
        f"{name}: {line.strip()}"
        for name in ("deploy/Containerfile", "docs/operations.md")
        for line in (ROOT / name).read_text().splitlines()
        if re.search(r"pip install (--editable|--no-cache-dir)", line)
    }
    assert len(told) >= 3
    assert [line for line in told if "'.[mcp" not in line] == []
