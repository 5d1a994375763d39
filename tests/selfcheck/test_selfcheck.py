"""Each check finds what it is there for, says in one line what to do, and finds nothing where all is well."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app import selfcheck
from app.selfcheck import cage_check, database_check, exposure_check, limits_check, path_check
from app.selfcheck.finding import Finding
from app.settings import Settings
from app.store.engine import Database
from app.store.migrate import migrate
from tests.conftest import AGENTS, StartBaton, make_settings
from tests.harness.pgbouncer import PgBouncer, find_pgbouncer
from tests.harness.postgres import PostgresServer
from tests.harness.process import BatonProcess

OUTSIDE: dict[str, Any] = {"bind": "0.0.0.0:8080", "auth_tokens": (("ann", "a-token-of-some-length"),)}

Make = Callable[..., Settings]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda **more: make_settings(tmp_path, "http://127.0.0.1:1", **more)


def only(found: list[Finding], *, fatal: bool = False) -> str:
    """The line of the one finding."""
    (finding,) = found
    assert finding.state == ("failed" if fatal else "warning")
    assert "\n" not in finding.line
    return finding.line


def test_where_all_is_well_nothing_is_found(make: Make) -> None:
    assert selfcheck.checks(make(max_streams=10)) == []


def test_open_to_any_host_name_without_tokens_is_found(make: Make) -> None:
    line = only(exposure_check.check_exposure(make(allowed_hosts=("*",))))
    assert line == (
        "BATON_ALLOWED_HOSTS=*: any web page that a user of this machine opens can drive the agents: "
        "name the hosts, or set BATON_AUTH_TOKENS"
    )
    assert exposure_check.check_exposure(make(allowed_hosts=("*",), auth_tokens=OUTSIDE["auth_tokens"])) == []
    assert exposure_check.check_exposure(make(allowed_hosts=("*",), tokens_file=Path("tokens.txt"))) == []
    assert exposure_check.check_exposure(make(allowed_hosts=("baton.example",))) == []


def test_a_key_that_would_travel_in_clear_is_found(make: Make) -> None:
    assert "model.example" in only(
        exposure_check.check_key_in_clear(make(api_base_url="http://model.example/v1"))
    )
    for address in ("https://model.example", "http://127.0.0.1:9", "http://localhost", "http://[::1]:9", ""):
        assert exposure_check.check_key_in_clear(make(api_base_url=address)) == []


def test_root_on_a_public_address_is_found(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert only(exposure_check.check_user(make(**OUTSIDE))).endswith("run it as a user of its own")
    assert exposure_check.check_user(make()) == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert exposure_check.check_user(make(**OUTSIDE)) == []


def test_commands_beside_tokens_are_found_behind_a_proxy_too(make: Make, tmp_path: Path) -> None:
    shut = {"auth_tokens": OUTSIDE["auth_tokens"]}
    assert "runs as the server's user" in only(exposure_check.check_shell(make(**shut)))
    assert exposure_check.check_shell(make()) == []
    (tmp_path / "plain.yaml").write_text((AGENTS / "plain.yaml").read_text())
    (tmp_path / "broken.yaml").write_text("agents: [")
    assert exposure_check.check_shell(make(agents=tmp_path, **shut)) == []


def test_a_database_that_others_can_open_is_found(make: Make, tmp_path: Path) -> None:
    settings = make()
    assert exposure_check.check_modes(settings) == []
    (tmp_path / "baton.db").chmod(0o644)
    assert "chmod 600" in only(exposure_check.check_modes(settings))


def test_roots_are_looked_at_behind_a_proxy_too(make: Make, tmp_path: Path) -> None:
    settings = make(auth_tokens=OUTSIDE["auth_tokens"], environment={"HOME": str(tmp_path)})
    home, database_line = (finding.line for finding in path_check.check_roots(settings))
    assert "HOME" in home
    assert "the database" in database_line


def test_traces_without_the_library_end_the_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exposure_check.check_tracing(make(traces=True)) == []
    monkeypatch.setattr(exposure_check, "find_spec", lambda _: None)
    assert "pip install -e '.[otel]'" in only(exposure_check.check_tracing(make(traces=True)), fatal=True)
    assert exposure_check.check_tracing(make()) == []


def test_a_directory_without_agents_is_found(make: Make, tmp_path: Path) -> None:
    assert "no agent file" in only(path_check.check_agents(make(agents=tmp_path)))
    assert "there is no" in only(path_check.check_agents(make(agents=tmp_path / "nowhere")))


def test_a_root_where_nobody_can_write_is_found(make: Make) -> None:
    assert "below /proc" in only(path_check.check_roots(make(roots=(Path("/proc"),))))


def test_a_root_that_holds_the_servers_own_files_is_found_when_others_are_let_in(
    make: Make, tmp_path: Path
) -> None:
    inside = make(roots=(tmp_path,), agents=tmp_path / "agents", **OUTSIDE)
    database_line, agents_line = (finding.line for finding in path_check.check_roots(inside))
    assert "the database" in database_line
    assert "agent files" in agents_line
    assert path_check.check_roots(make(roots=(tmp_path,))) == []


@pytest.mark.parametrize("url", ["sqlite:////proc/baton.db", "sqlite:////nowhere/at/all/baton.db"])
def test_a_place_where_sqlite_can_make_no_file_ends_the_start(make: Make, url: str) -> None:
    line = only(database_check.check_sqlite(make(database_url=url)), fatal=True)
    assert line.startswith("BATON_DATABASE_URL: SQLite can't make files in ")


def test_a_sqlite_that_is_too_old_ends_the_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
    assert "too old, it must be 3.35 or newer" in only(database_check.check_sqlite(make()), fatal=True)


def test_a_database_file_of_somebody_else_ends_the_start(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "baton.db").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "can't be written" in only(database_check.check_sqlite(make()), fatal=True)


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
35 22 0:30 / /srv/the\\040share rw,relatime - nfs4 server:/share rw,vers=4.2
36 35 8:2 / /srv/the\\040share/local rw - xfs /dev/sdb1 rw
37 22 0:31 / /mnt rw - ext4 /dev/sdc1 rw
38 22 0:32 / /mnt rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/srv", "ext4"),
        ("/srv/the share", "nfs4"),
        ("/srv/the share/below", "nfs4"),
        ("/srv/the share/local/deep", "xfs"),
        ("/srv/the sharehold", "ext4"),
        ("/mnt/x", "cifs"),
    ],
)
def test_the_file_system_of_a_directory_is_that_of_the_nearest_and_latest_mount(
    tmp_path: Path, directory: str, kind: str
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert database_check.file_system(Path(directory), tmp_path / "mountinfo") == kind


def test_sqlite_on_a_network_file_system_ends_the_start(make: Make, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:30 / / rw - nfs server:/ rw\n")
    line = only(database_check.check_sqlite(make(), mounts), fatal=True)
    assert "network file system (nfs)" in line
    assert line.endswith("put it on a local disk, or use PostgreSQL")
    mounts.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    assert database_check.check_sqlite(make(), mounts) == []


def test_too_few_threads_beside_the_streams_are_found(make: Make) -> None:
    assert "4 threads beside 10 streams" in only(limits_check.check_threads(make(max_streams=10, threads=14)))
    assert limits_check.check_threads(make(max_streams=10)) == []


def test_too_few_open_files_are_found_and_far_too_few_end_the_start(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1024
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    line = only(limits_check.check_open_files(make(max_streams=300)))
    assert line.startswith("open files: 1024 open files are too few for BATON_MAX_STREAMS=300: allow 1052 ")
    limit = 256
    only(limits_check.check_open_files(make(max_streams=300)), fatal=True)
    limit = resource.RLIM_INFINITY
    assert limits_check.check_open_files(make(max_streams=300)) == []


def test_a_server_raises_its_own_limit_of_open_files_as_far_as_it_may(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a terminal of macOS, which gives 256."""
    limits = (256, resource.RLIM_INFINITY)

    def set_limits(_: int, wanted: tuple[int, int]) -> None:
        nonlocal limits
        if wanted[0] > 10_000:
            raise ValueError("current limit exceeds maximum limit")
        limits = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    only(limits_check.check_open_files(make(max_streams=200)), fatal=True)
    limits_check.allow_open_files(make(max_streams=200))
    assert limits == (752, resource.RLIM_INFINITY)
    assert limits_check.check_open_files(make(max_streams=200)) == []
    limits_check.allow_open_files(make(max_streams=10_000))
    only(limits_check.check_open_files(make(max_streams=10_000)), fatal=True)
    limits = (100, 400)
    limits_check.allow_open_files(make(max_streams=200))
    assert limits == (400, 400)


@pytest.mark.parametrize(("allowed", "found"), [("512", True), ("100000", False), ("max", False)])
@pytest.mark.parametrize(
    ("membership", "group"),
    [
        ("0::/", ""),
        ("0::/system.slice/baton.service", "system.slice"),
        ("9:name=systemd:/\n8:pids:/docker/1\n0::/", "pids/docker/1"),
    ],
)
def test_a_control_group_that_allows_too_few_threads_is_found(
    make: Make, tmp_path: Path, membership: str, group: str, allowed: str, found: bool
) -> None:
    """Its own, one around it, or one of the older kind."""
    (tmp_path / "own").write_text(f"{membership}\n")
    (tmp_path / group).mkdir(parents=True, exist_ok=True)
    (tmp_path / group / "pids.max").write_text(f"{allowed}\n")
    assert bool(limits_check.check_processes(make(workers=2), tmp_path, tmp_path / "own")) is found


def test_a_user_who_may_have_too_few_threads_is_told_unless_it_is_root(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    line = only(limits_check.check_processes(make(max_streams=200), tmp_path))
    assert line.startswith("threads: 256 threads are too few for 1 workers with 200 streams each: allow 440 ")
    assert "ulimit -u" in line
    assert limits_check.check_processes(make(max_streams=50), tmp_path) == []
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert limits_check.check_processes(make(max_streams=200), tmp_path) == []


# ---- PostgreSQL


@pytest.fixture
def admin(postgres: PostgresServer) -> str:
    """The URL of an empty database, as the superuser."""
    return postgres.new_database()


def as_user(url: str, name: str, *statements: str) -> str:
    """The same database as a role of that name, after these statements of the superuser."""
    made = Database(url)
    with made.writing() as connection:
        exists = connection.exec_driver_sql("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).first()
        for statement in ([] if exists else [f"CREATE ROLE {name} LOGIN"]) + list(statements):
            connection.exec_driver_sql(statement)
    made.close()
    return url.replace("postgres@", f"{name}@")


@pytest.mark.postgres
def test_a_postgresql_that_lets_us_do_everything_is_fine_before_and_after_the_migration(
    make: Make, admin: str
) -> None:
    assert database_check.check_postgresql(make(database_url=admin)) == []
    made = Database(admin)
    migrate(made)
    made.close()
    assert database_check.check_postgresql(make(database_url=admin)) == []


@pytest.mark.postgres
def test_a_role_that_may_not_make_tables_ends_the_start(make: Make, admin: str) -> None:
    url = as_user(admin, "guest", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    line = only(database_check.check_postgresql(make(database_url=url)), fatal=True)
    assert line.endswith("guest may not make tables in public: GRANT CREATE ON SCHEMA public TO guest")


@pytest.mark.postgres
def test_a_role_without_rights_on_our_tables_ends_the_start(make: Make, admin: str) -> None:
    made = Database(admin)
    migrate(made)
    made.close()
    url = as_user(
        admin,
        "reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    line = only(database_check.check_postgresql(make(database_url=url)), fatal=True)
    assert "reader lacks INSERT on " in line
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader" in line


@pytest.mark.postgres
def test_a_database_that_takes_no_writes_ends_the_start(make: Make, admin: str) -> None:
    url = as_user(admin, "standby", "ALTER ROLE standby SET default_transaction_read_only = on")
    line = only(database_check.check_postgresql(make(database_url=url)), fatal=True)
    assert line.endswith("takes no writes; it may be a standby: connect to the primary")


@pytest.mark.postgres
def test_too_few_connections_are_found(make: Make, admin: str) -> None:
    url = as_user(admin, "narrow", "ALTER ROLE narrow CONNECTION LIMIT 20")
    as_user(admin, "narrow", "GRANT CREATE ON SCHEMA public TO narrow")
    assert "20 connections are too few" in only(
        database_check.check_postgresql(make(database_url=url, workers=2))
    )


@pytest.mark.postgres
def test_hints_that_get_lost_on_the_way_are_found(
    make: Make, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "notify", lambda *_: None)
    monkeypatch.setattr("app.store.postgresql_rights.HINT_SECONDS", 0.05)
    assert "LISTEN and NOTIFY do not get through" in only(
        database_check.check_postgresql(make(database_url=admin))
    )


@pytest.mark.postgres
@pytest.mark.skipif(find_pgbouncer() is None, reason="pgbouncer is not installed")
def test_a_pooler_is_fine_if_it_keeps_sessions_and_is_found_if_it_does_not(
    make: Make, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PgBouncer(admin, mode="session") as pooler, closing(Database(pooler.url)) as pooled:
        migrate(pooled)
        assert database_check.check_postgresql(make(database_url=pooler.url)) == []
        with pooled.reading() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "10s"
    monkeypatch.setattr("app.store.postgresql_rights.HINT_SECONDS", 0.2)
    with PgBouncer(admin, mode="transaction") as pooler:
        line = only(database_check.check_postgresql(make(database_url=pooler.url)))
        assert line.endswith("let the pooler keep a session per connection (pool_mode = session)")


def test_a_postgresql_that_is_not_there_ends_the_start(make: Make) -> None:
    line = only(
        database_check.check_postgresql(make(database_url="postgresql://ann@127.0.0.1:1/b")), fatal=True
    )
    assert line.startswith("BATON_DATABASE_URL: the database can't be used (")


# ---- the start


def test_what_can_not_work_ends_the_start_with_one_line(tmp_path: Path) -> None:
    process = BatonProcess(
        tmp_path, model_url="http://127.0.0.1:1", agents=tmp_path, database_url="sqlite:////proc/baton.db"
    )
    with pytest.raises(AssertionError, match="the server did not start"):
        process.start()
    assert process.wait() == 1
    (line,) = (line for line in process.log().splitlines() if line.startswith("baton: "))
    assert line == (
        "baton: BATON_DATABASE_URL: SQLite can't make files in /proc (no such file or directory): "
        "let this user write there, or name another place"
    )
    assert "Traceback" not in process.log()


def test_what_is_only_doubtful_is_logged_and_the_server_starts(start_baton: StartBaton) -> None:
    baton = start_baton(settings={"BATON_MAX_STREAMS": "10", "BATON_THREADS": "12"})
    assert "WARNING gunicorn.error BATON_THREADS: 2 threads beside 10 streams are few" in baton.log()


@pytest.mark.parametrize(
    ("says", "because"),
    [
        ("No permissions to create new namespace, likely because", "user name spaces are not allowed here"),
        ("Can't mount proc on /newroot/proc: Operation not permitted", "/proc are covered"),
        ("setting up uid map: Permission denied", "AppArmor"),
        ("Failed to make / slave: Operation not permitted", "allows no mounts"),
        ("loopback: Failed to create NETLINK_ROUTE socket", "its network can't be set up"),
        ("Unknown option --disable-userns", "it is too old"),
        ("something new", "it does not start (bwrap: something new)"),
    ],
)
def test_a_cage_that_can_not_be_made_ends_the_start_with_its_reason(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, because: str
) -> None:
    (tmp_path / "bwrap").write_text(f'#!/bin/sh\necho "bwrap: {says}" >&2; exit 1\n')
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert because in only(cage_check.check_cage(make(sandbox="bubblewrap")), fatal=True)
    assert cage_check.check_cage(make()) == []


def test_every_file_of_the_servers_is_hidden_in_the_cage(make: Make, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "agents")
    settings = make(
        sandbox="bubblewrap",
        agents=tmp_path / "link",
        database_url=f"sqlite:///{tmp_path}/baton.db?timeout=5",
        tokens_file=tmp_path / "tokens.txt",
        bind=f"unix:{tmp_path}/baton.sock",
        environment={"HOME": str(tmp_path / "home")},
    )
    made = cage_check.cage_of(settings)
    assert made is not None
    names = {str(path.relative_to(tmp_path)) for path in made.hidden if path.is_relative_to(tmp_path)}
    assert names >= {"link", "agents", "tokens.txt", "baton.sock", "home/.baton"}
    assert names >= {f"baton.db{end}" for end in ("", "-wal", "-shm", "-journal")}
    assert Path("/etc/baton") in made.hidden


def test_a_cage_without_bubblewrap_ends_the_start(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("app.agent.tools.cage._USUAL", "/nowhere/bwrap")
    assert "it is not installed" in only(cage_check.check_cage(make(sandbox="bubblewrap")), fatal=True)
