"""The settings: what each variable takes, and the one line that says what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.access_tokens import AccessToken, digest
from app.setting_fields import InvalidSettings
from app.settings import Settings
from tests.harness.process import ROOT

TOKEN = "0123456789abcdef"
SECRET = "s3cr3t-s3cr3t-s3cr3t"

WRONG = [
    ("BATON_BIND", "8080"),
    ("BATON_BIND", "127.0.0.1"),
    ("BATON_BIND", "127.0.0.1:99999"),
    ("BATON_BIND", "http://127.0.0.1:8080"),
    ("BATON_BIND", "127.0.0.1:8080\nx"),
    ("BATON_BIND", "unix:"),
    ("BATON_BIND", f"unix:/run/{'b' * 103}"),  # the kernel takes 107 bytes
    ("BATON_BIND", "0.0.0.0:8080"),
    ("BATON_BIND", "[::]:8080"),
    ("BATON_AGENTS", "/nowhere/at/all"),
    ("BATON_DATABASE_URL", "baton.db"),
    ("BATON_DATABASE_URL", "mysql://localhost/baton"),
    ("BATON_DATABASE_URL", "sqlite:///"),
    ("BATON_DATABASE_URL", "sqlite:///:memory:"),
    ("BATON_WORKERS", "0"),
    ("BATON_WORKERS", "-1"),
    ("BATON_WORKERS", "two"),
    ("BATON_WORKERS", "1.5"),
    ("BATON_WORKERS", "1_000"),
    ("BATON_WORKERS", "9" * 5000),
    ("BATON_MAX_STREAMS", "0"),
    ("BATON_THREADS", "0"),
    ("BATON_THREADS", "100"),
    ("BATON_LEASE_SECONDS", "2"),
    ("BATON_LEASE_SECONDS", "nan"),
    ("BATON_LEASE_SECONDS", "inf"),
    ("BATON_LEASE_SECONDS", "30s"),
    ("BATON_DRAIN_SECONDS", "-1"),
    ("BATON_DRAIN_SECONDS", "86400"),
    ("BATON_RUN_SECONDS", "an hour"),
    ("BATON_APPROVAL_SECONDS", "soon"),
    ("BATON_ON_DISCONNECT", "ignore"),
    ("BATON_TITLES", "perhaps"),
    ("BATON_SEARCH", "perhaps"),
    ("BATON_ROOTS", "/nowhere/at/all"),
    ("BATON_ROOTS", "/:/nowhere/at/all"),
    ("BATON_ROOTS", "/nowhere/{name}"),
    ("BATON_ROOTS", "/tmp/of-{name}"),
    ("BATON_ROOTS", "/tmp/{name}"),  # without tokens there are no names
    ("BATON_AUTH_TOKENS", "..:a-token-of-some-length"),
    ("BATON_MAX_BODY_BYTES", "32MB"),
    ("BATON_MAX_FILE_BYTES", "0"),
    ("BATON_MAX_FILE_BYTES", "524288001"),
    ("BATON_MAX_FILE_BYTES_PER_NAME", "10GB"),
    ("BATON_REQUEST_SECONDS", "0"),
    ("BATON_DENY_WINS", "yes"),
    ("BATON_SOCKET_GROUP", "no-such-group-here"),
    ("BATON_SHARE", "0"),
    ("BATON_SHARE", "1.5"),
    ("BATON_UNPRICED_MODELS", "yes"),
    ("BATON_AUTH_TOKENS", "alice"),
    ("BATON_AUTH_TOKENS", TOKEN),
    ("BATON_AUTH_TOKENS", "alice:short"),
    ("BATON_AUTH_TOKENS", f"alice:{TOKEN},bob"),
    ("BATON_AUTH_TOKENS", f"alice/root:{TOKEN}"),
    ("BATON_AUTH_TOKENS", f"alice/:{TOKEN}"),
    ("BATON_AUTH_TOKENS", f"alice:sha256:{TOKEN}"),
    ("BATON_AUTH_TOKENS", f"alice:{TOKEN},alice/operator:{TOKEN}"),
    ("BATON_TOKENS_FILE", "/nowhere/at/all"),
    ("BATON_TOKENS_FILE", "/"),
    ("BATON_RUNS_PER_TOKEN", "-1"),
    ("BATON_REQUESTS_PER_MINUTE", "1.5"),
    ("BATON_RUNS_PER_TOKEN", "2"),
    ("BATON_REQUESTS_PER_MINUTE", "60"),
    ("BATON_TOKEN_BUDGET", "2.50"),
    ("BATON_SESSION_BYTES", "1 GB"),
    ("BATON_HISTORY_BYTES", "32 MB"),
    ("BATON_MEMORY_BYTES", "1 GB"),
    ("BATON_OBJECTS_PER_TOKEN", "-1"),
    ("BATON_SESSION_BUDGET", "$5"),
    ("BATON_TOKEN_BUDGET", "nan"),
    ("BATON_AUDIT_DAYS", "forever"),
    ("BATON_AUTH_TOKENS", f"alice:{TOKEN},bob:{TOKEN}"),
    ("BATON_AUTH_TOKENS", f"alice:{TOKEN}ü"),
    ("BATON_AUTH_TOKENS", f"alice:{TOKEN} {TOKEN}"),
    ("BATON_AUTH_TOKENS", f"a/b:{TOKEN}"),
    ("BATON_TOOLS_ENVIRONMENT", "*"),
    ("BATON_SANDBOX", "on"),
    ("BATON_UNASKED_TOOLS", "maybe"),
    ("BATON_VAULT_KEY", "secret"),
    ("BATON_PRIVATE_MCP_SERVERS", "maybe"),
    ("BATON_WEB_SEARCH", "maybe"),
    ("BATON_SANDBOX_READABLE", "/no/such/directory"),
    ("BATON_WEBHOOK_URL", "ftp://hooks.example"),
    ("BATON_WEBHOOK_URL", "https://hooks.example"),
    ("BATON_WEBHOOK_SECRET", "whsec_c2hvcnQ="),
    ("BATON_WEBHOOK_PRIVATE", "yes"),
    ("BATON_ALLOWED_HOSTS", "https://baton.example"),
    ("BATON_ALLOWED_HOSTS", "baton.example:443"),
    ("BATON_LOG_LEVEL", "LOUD"),
    ("BATON_LOG_LEVEL", "info"),
    ("BATON_LOG_STYLE", "xml"),
    ("BATON_WIRE", "march"),
    ("BATON_TRACES", "perhaps"),
    ("ANTHROPIC_API_KEY", "a key with spaces"),
    ("ANTHROPIC_API_KEY", "schlüssel"),
    ("ANTHROPIC_BASE_URL", "api.anthropic.com"),
    ("ANTHROPIC_BASE_URL", "ftp://api.anthropic.com"),
]


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({variable: value})
    line = str(refused.value)
    assert line.startswith(variable)
    assert "\n" not in line
    assert len(line) < 300


def test_every_variable_can_be_wrong() -> None:
    """A variable without a case above takes anything, which no setting should."""
    assert {variable for variable, _, _ in Settings.variables()} == {variable for variable, _ in WRONG}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BATON_AUTH_TOKENS", f"alice {SECRET}"),
        ("BATON_AUTH_TOKENS", f"alice:{SECRET},alice:{SECRET}"),
        ("BATON_AUTH_TOKENS", f"alice:sha256:{SECRET}"),
        ("BATON_DATABASE_URL", f"mysql://baton:{SECRET}@db/baton"),
        ("ANTHROPIC_API_KEY", f"{SECRET} {SECRET}"),
        ("ANTHROPIC_BASE_URL", f"user:{SECRET}@proxy"),
        ("BATON_WEBHOOK_SECRET", f"whsec_{SECRET}"),
    ],
)
def test_a_wrong_secret_is_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({variable: value})
    assert SECRET not in str(refused.value)


def test_the_representation_of_settings_shows_no_secret() -> None:
    settings = Settings.from_environment(
        {
            "BATON_AUTH_TOKENS": f"alice:{SECRET}",
            "BATON_DATABASE_URL": f"postgresql://baton:{SECRET}@db/baton",
            "ANTHROPIC_API_KEY": SECRET,
            "ANTHROPIC_BASE_URL": f"http://user:{SECRET}@proxy",
        }
    )
    assert "127.0.0.1:8080" in repr(settings)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("BATON_MAX_STREAM", "BATON_MAX_STREAMS"),
        ("BATON_AUTH_TOKEN", "BATON_AUTH_TOKENS"),
        ("BATON_AUTHTOKENS", "BATON_AUTH_TOKENS"),
        ("BATON_DATABSE_URL", "BATON_DATABASE_URL"),
        ("BATON_ROOT", "BATON_ROOTS"),
        ("BATON_AGENT", "BATON_AGENTS"),
        ("BATON_LEASE_SECOND", "BATON_LEASE_SECONDS"),
        ("BATON_LOGLEVEL", "BATON_LOG_LEVEL"),
        ("BATON_bind", "BATON_BIND"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(typo: str, meant: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{typo} is not a setting: did you mean {meant}"):
        Settings.from_environment({typo: "x"})


def test_variables_that_somebody_else_sets_are_left_alone() -> None:
    """Kubernetes sets these near a service that is called baton."""
    others = {
        "BATON_PORT": "tcp://10.0.0.1:8080",
        "BATON_PORT_8080_TCP_ADDR": "10.0.0.1",
        "BATON_SERVICE_HOST": "10.0.0.1",
        "BATON_SERVICE_PORT": "8080",
        "BATON_URL": "http://127.0.0.1:8080",
        "BATON_TOKEN": TOKEN,
    }
    assert Settings.from_environment(others) == Settings(environment=others)


def test_nothing_set_and_everything_empty_are_the_same() -> None:
    empty = {variable: "  " for variable, _, _ in Settings.variables()}
    assert Settings.from_environment(empty) == Settings(environment=empty)


def test_right_values_are_read(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "BATON_BIND": "0.0.0.0:9000",
            "BATON_AGENTS": str(tmp_path),
            "BATON_WORKERS": "2",
            "BATON_MAX_STREAMS": "10",
            "BATON_THREADS": "20",
            "BATON_LEASE_SECONDS": "4.5",
            "BATON_ROOTS": f"{tmp_path}:/tmp",
            "BATON_AUTH_TOKENS": f"alice:{TOKEN}:x, bob:{TOKEN}y",
            "BATON_ALLOWED_HOSTS": "Baton.example, *",
            "BATON_RUNS_PER_TOKEN": "3",
            "BATON_SESSION_BUDGET": "2.50",
            "BATON_AUDIT_DAYS": "0",
        }
    )
    assert (settings.bind, settings.agents, settings.workers) == ("0.0.0.0:9000", tmp_path, 2)
    assert (settings.all_threads, settings.heartbeat_seconds) == (20, 1.5)
    assert settings.roots == (tmp_path, Path("/tmp"))
    assert settings.auth_tokens == (
        AccessToken("alice", "user", digest(f"{TOKEN}:x")),
        AccessToken("bob", "user", digest(f"{TOKEN}y")),
    )
    assert settings.allowed_hosts == ("baton.example", "*")
    assert (settings.runs_per_token, settings.session_budget, settings.audit_days) == (3, 2.5, 0)
    assert settings.port == 9000


def test_a_file_of_tokens_is_as_good_as_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"alice:{TOKEN}\n")
    file.chmod(0o600)
    settings = Settings.from_environment({"BATON_BIND": "0.0.0.0:9", "BATON_TOKENS_FILE": str(file)})
    assert settings.tokens_file == file
    file.chmod(0o644)
    with pytest.raises(InvalidSettings, match=r"^BATON_TOKENS_FILE.*chmod 600"):
        Settings.from_environment({"BATON_TOKENS_FILE": str(file)})


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "localhost:80", "[::1]:8080", "127.9.9.9:80", "unix:/run/b"])
def test_what_only_this_machine_can_reach_needs_no_token(bind: str) -> None:
    assert Settings.from_environment({"BATON_BIND": bind}).is_loopback


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BATON_THREADS", "many"), ("BATON_BIND", "0.0.0.0:9"), ("BATON_MAX_STREAM", "5")],
)
def test_a_server_with_a_wrong_setting_does_not_start_and_says_why_in_one_line(
    tmp_path: Path, variable: str, value: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), variable: value},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(f"baton: {variable}")
    assert done.stderr.count("\n") == 1
