"""`baton deploy`: the delivered files for the default settings, and files that fit other ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from app.commands.deploy import KINDS
from app.commands.main import cli
from tests.harness.process import ROOT

DELIVERED = {
    "systemd": {"baton.service": "baton.service", "baton.socket": "baton.socket"},
    "nginx": {"nginx.conf": "nginx.conf"},
    "compose": {name: f"two-hosts/{name}" for name in ("compose.yaml", "nginx.conf", "baton.env.example")},
}
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin")
SOCKET = {"BATON_BIND": "unix:/run/baton/baton.sock", "BATON_SOCKET_GROUP": "root"}


def files(kind: str, **settings: str) -> dict[str, str]:
    runner = CliRunner(env={**dict.fromkeys(os.environ), **settings})
    done = runner.invoke(cli, ["deploy", kind, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_delivered_files_are_those_of_the_default_settings(kind: str) -> None:
    assert files(kind) == {
        name: (ROOT / "deploy" / path).read_text() for name, path in DELIVERED[kind].items()
    }


def test_a_unit_has_the_addresses_paths_and_times_of_the_settings(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"anna:sha256:{'a' * 64}\n")
    tokens.chmod(0o600)
    found = files(
        "systemd",
        BATON_BIND="127.0.0.1:9000",
        BATON_DRAIN_SECONDS="300",
        BATON_WORKERS="4",
        BATON_ROOTS=f"{tmp_path}/{{name}}",
        BATON_TOKENS_FILE=str(tokens),
        ANTHROPIC_API_KEY="sk-secret",
        BATON_DATABASE_URL="postgresql://u:secret@db/baton",
    )
    service = found["baton.service"].splitlines()
    assert "ListenStream=127.0.0.1:9000" in found["baton.socket"].splitlines()
    assert 'Environment="BATON_BIND=127.0.0.1:9000"' in service
    assert 'Environment="BATON_WORKERS=4"' in service
    assert f'Environment="BATON_TOKENS_FILE={tokens}"' in service
    assert f'ReadWritePaths="{tmp_path}"' in service
    assert f'Environment="BATON_ROOTS={tmp_path}/{{name}}"' in service
    assert not any("BATON_ROOTS=/var" in line for line in service if line.startswith("Environment"))
    assert "TimeoutStopSec=325" in service
    assert "secret" not in "".join(found.values())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("settings", [SOCKET, {"BATON_BIND": "127.0.0.1:9000", "BATON_SANDBOX": "off"}])
def test_systemd_accepts_the_units(tmp_path: Path, settings: dict[str, str]) -> None:
    """With programs that exist here in place of those in /opt/baton."""
    for name, text in files("systemd", **settings).items():
        text = text.replace("/opt/baton/.venv/bin/gunicorn", "/bin/true")
        (tmp_path / name).write_text(re.sub(r"^EnvironmentFile=.*\n", "", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *sorted(tmp_path.iterdir())],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (SOCKET, "server unix:/run/baton/baton.sock max_conns=300 "),
        ({"BATON_BIND": "[::1]:9000", "BATON_WORKERS": "4"}, "server [::1]:9000 max_conns=1200 "),
        ({"BATON_ALLOWED_HOSTS": "agents.test,b.test"}, "server_name agents.test;"),
        ({"BATON_MAX_BODY_BYTES": "1048576", "BATON_MAX_FILE_BYTES": "1"}, "client_max_body_size 1m;"),
        ({"BATON_MAX_BODY_BYTES": "1000000", "BATON_MAX_FILE_BYTES": "1"}, "client_max_body_size 1000000;"),
        ({"BATON_MAX_FILE_BYTES": "52428800"}, "client_max_body_size 51m;"),
    ],
)
def test_nginx_has_them_too_and_accepts_them(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    text = files("nginx", **settings)["nginx.conf"]
    assert expected in text
    if NGINX is None:
        pytest.skip("nginx is not installed")
    (tmp_path / "baton.conf").write_text(text.replace("listen 80;", f"listen unix:{tmp_path}/front.sock;"))
    http = f"http {{ access_log off; include {tmp_path}/baton.conf; }}"
    main = f"pid {tmp_path}/pid; error_log stderr; events {{}} {http}"
    (tmp_path / "main.conf").write_text(main)
    done = subprocess.run(
        [NGINX, "-t", "-q", "-p", tmp_path, "-c", tmp_path / "main.conf"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_compose_has_the_settings_that_are_no_secrets() -> None:
    found = files(
        "compose",
        BATON_WORKERS="2",
        BATON_DRAIN_SECONDS="60",
        BATON_BIND="127.0.0.1:9000",
        ANTHROPIC_API_KEY="sk-secret",
        BATON_AUTH_TOKENS="anna:a-secret-that-is-long-enough",
    )
    read = yaml.safe_load(found["compose.yaml"])
    assert read["services"]["baton-a"]["environment"]["BATON_WORKERS"] == "2"
    assert read["services"]["baton-b"]["stop_grace_period"] == "85s"
    assert "9000" not in found["compose.yaml"]
    assert "server baton-a:8080 max_conns=600 " in found["nginx.conf"]
    assert "secret" not in "".join(found.values())


def test_files_are_printed_one_after_the_other_or_written_over_none(tmp_path: Path) -> None:
    runner = CliRunner(env=dict.fromkeys(os.environ))
    assert runner.invoke(cli, ["deploy", "nginx"]).stdout == (ROOT / "deploy" / "nginx.conf").read_text()
    shown = runner.invoke(cli, ["deploy", "systemd"]).stdout
    assert re.findall(r"^# ==> (.*) <==$", shown, re.MULTILINE) == ["baton.service", "baton.socket"]
    words = ["deploy", "systemd", "--directory", str(tmp_path / "units")]
    assert runner.invoke(cli, words).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == ["baton.service", "baton.socket"]
    again = runner.invoke(cli, words)
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)


def test_settings_that_make_no_sense_are_named() -> None:
    done = CliRunner(env={"BATON_WORKERS": "many"}).invoke(cli, ["deploy", "nginx"])
    assert (done.exit_code, "BATON_WORKERS" in done.stderr) == (1, True)
