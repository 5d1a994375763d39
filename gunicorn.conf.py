"""gunicorn's settings, each number with its reason. Run it from the project's directory: `gunicorn`."""

import os
import sys

# gunicorn has put the current directory first on the path: a `secrets.py` or `json.py` there would run in place of the
# library's. So this comes before every import; even `from __future__` is one.
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != os.getcwd()]

from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from gunicorn.app.base import Application

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = ("anthropic_standin", "app", "baton_client", "wsgi")


class Beside:
    """An import finder: our packages and `wsgi` are the ones beside this file, if they are there; nothing else is."""

    @staticmethod
    def find_spec(name: str, _path: Sequence[str] | None = None, _target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, [HERE]) if name in OURS else None
        return spec if spec and spec.origin else None


def change_directory(application: Any) -> None:
    """As gunicorn's own, which would put the directory on the path again."""
    os.chdir(application.cfg.chdir)


Application.chdir = change_directory
# Once, after a reload too.
sys.meta_path[:] = [
    Beside,
    *(one for one in sys.meta_path if getattr(one, "__name__", "") != Beside.__name__),
]

import ipaddress
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import anthropic_standin
from app import logs, own_environment, selfcheck
from app.errors import ServerFull
from app.http_worker.worker import RequestWorker
from app.runtime.lazy_model import import_for_good
from app.setting_fields import InvalidSettings
from app.settings import Settings
from app.telemetry import metrics_directory

try:
    settings = Settings.from_environment(own_environment.take())
except (InvalidSettings, own_environment.EnvironmentLost) as error:
    sys.exit(f"baton: {error}")

wsgi_app = "wsgi:application"
bind = settings.bind


class Worker(RequestWorker):
    request_seconds = settings.request_seconds
    body_bytes = settings.max_body_bytes
    file_bytes = settings.max_file_bytes


worker_class = Worker
workers = settings.workers

# A stream holds a thread until its client has caught up, which it may never do. The spare ones keep ping, cancel and
# approve alive.
threads = settings.all_threads
# Accepted connections wait in a queue nobody sees, so accept few more than there are threads for.
worker_connections = threads + 128
# The default of 2048 means minutes of silent waiting; a proxy should rather fail fast.
backlog = 256
# A socket in the file system is for its owner and group. This is the umask of the socket only, not of tools.
umask = 0o117
# By default gunicorn lets clients on this host set SCRIPT_NAME, and so change which path a request has.
forwarder_headers = ""
# Longer than nginx keeps an idle upstream connection (60 s), or it would meet a closed one now and then.
keepalive = 75
# How long the main loop may be stuck before the worker is killed; streams are not limited by it.
timeout = 60
# Past this the worker is killed. The drain, the stop of what did not finish, and gunicorn's own two seconds
# of lingering on idle connections must fit in.
STOP_SECONDS = 5.0
graceful_timeout = int(settings.drain_seconds + STOP_SECONDS + 5)
# The heartbeat is a file's time stamp; on a stalled disk it would take the worker down.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - gunicorn makes its own file there
# A worker's numbers cost no disk either.
metrics_parent = Path(worker_tmp_dir or tempfile.gettempdir())
# Everything that starts threads or opens connections begins after the fork.
preload_app = False
# Two servers of one user would fight over its default path.
control_socket_disable = True
# With several listeners a connection can wait at a worker that is full while another one is idle.
reuse_port = False
accesslog = None
logger_class = "app.http_worker.access_logger.AccessLogger"
errorlog = "-"
logconfig_dict = logs.configuration(level=settings.log_level, style=settings.log_style)
proc_name = "baton"

STAND_IN = """
import runpy, sys, types
package = sys.modules["anthropic_standin"] = types.ModuleType("anthropic_standin")
package.__path__ = [sys.argv.pop(1)]
runpy.run_module("anthropic_standin.__main__", run_name="__main__", alter_sys=True)
"""
"""Runs the stand-in of the package whose directory is the first argument; `-m` would look elsewhere too."""

_stand_in: subprocess.Popen[str] | None = None


def on_starting(server: Any) -> None:
    """Once per server, before the first worker is forked."""
    selfcheck.allow_open_files(settings)
    findings = selfcheck.checks(settings)
    for finding in findings:
        if finding.state == "warning":
            server.log.warning("%s", finding.line)
    if failed := [finding.line for finding in findings if finding.state == "failed"]:
        sys.exit("\n".join(f"baton: {line}" for line in failed))
    server.log.info("%s", selfcheck.what_is_caged(settings))
    metrics_directory.make(metrics_parent)
    start_stand_in(server)
    if settings.workers > 1:
        share_imports()


def share_imports() -> None:
    """What takes seconds and tens of megabytes to import, once for all workers. A single one imports it beside its
    first answers instead."""
    # Looked through by no collector: in a worker it would write to the pages that are shared.
    import_for_good("app.agent.anthropic.anthropic_model")


def start_stand_in(server: Any) -> None:
    """Without a key and without an address, the offline stand-in plays the model."""
    global _stand_in
    if settings.api_key or settings.api_base_url:
        return
    command = [
        sys.executable,
        "-P",
        "-c",
        STAND_IN,
        *anthropic_standin.__path__,
        "--port",
        "0",
        "--die-with-parent",
    ]
    environment = own_environment.for_helpers()
    _stand_in = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    assert _stand_in.stdout is not None  # noqa: S101 - it is a pipe
    url = _stand_in.stdout.readline().strip().rpartition(" ")[2]
    own_environment.add(ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY="offline")
    server.log.warning("ANTHROPIC_API_KEY is not set: an offline stand-in plays the model, at %s", url)


def pre_exec(server: Any) -> None:
    """USR2 starts Python again as it was started. `sys.argv` alone has lost the options, and for `-m gunicorn` names
    a file whose neighbours would stand in for the library's."""
    server.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]
    try:
        own_environment.hand_over(server.cfg.env_orig)
    except OSError as error:
        server.log.error("USR2: %s", error)
        os._exit(1)


def when_ready(server: Any) -> None:
    _refuse_strangers(server)
    _open_socket_to_group(server)
    _notice_who_is_gone(server)


def _refuse_strangers(server: Any) -> None:
    """With systemd's socket activation BATON_BIND says nothing: the address that is really listened on counts."""
    for listener in server.LISTENERS:
        if listener.sock.family.name == "AF_UNIX" or settings.asks_for_tokens:
            continue
        address = listener.sock.getsockname()[0]
        if not ipaddress.ip_address(address).is_loopback:
            advice = "set BATON_AUTH_TOKENS or BATON_TOKENS_FILE"
            server.log.error("%s can be reached from outside: %s", address, advice)
            sys.exit(1)


def _open_socket_to_group(server: Any) -> None:
    """A socket that systemd made has the group that its unit says."""
    path = settings.bind.removeprefix("unix:")
    if not settings.socket_group or path not in [
        listener.sock.getsockname() for listener in server.LISTENERS
    ]:
        return
    try:
        shutil.chown(path, group=settings.socket_group)
    except OSError as error:
        sys.exit(f"baton: BATON_SOCKET_GROUP: {settings.socket_group} can't have {path}: {error.strerror}")


def _notice_who_is_gone(server: Any) -> None:
    """Accepted sockets inherit this: a peer that vanished or stopped reading is noticed within 30 s. Where there is no
    such limit, a write fails when the system gives up sending it again, after minutes."""
    for listener in server.LISTENERS:
        if hasattr(listener, "sock") and listener.sock.family.name != "AF_UNIX":
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def post_worker_init(worker: Any) -> None:
    """No hook fires when a worker is asked to stop, so a thread waits for it and drains. Housekeeping begins at once:
    what a dead process has left behind is found though nobody asks."""
    baton = worker.wsgi.extensions["baton"]
    with suppress(ServerFull):  # then the first run begins it
        baton.runtime.services.ensure_running()

    def watch() -> None:
        worker.wait_for_stop()
        baton.runtime.supervisor.drain(settings.drain_seconds, stop_within=STOP_SECONDS)

    threading.Thread(target=watch, name="drain", daemon=True).start()
    _hear_once(worker)


def _hear_once(worker: Any) -> None:
    """A Ctrl-C comes twice, from the terminal and from the master. The second one would end the process in the
    middle of the stop that the first began, or wait for ever for the lock that gunicorn takes at its beginning."""

    def stop(number: int, frame: Any) -> None:
        for one in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(one, lambda *_: None)  # one that is under way would complain of SIG_IGN
        worker.handle_quit(number, frame)

    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, stop)


def worker_exit(_server: Any, worker: Any) -> None:
    """In the worker that leaves; one that never came up has no application."""
    baton = getattr(getattr(worker, "wsgi", None), "extensions", {}).get("baton")
    if baton is not None:
        baton.telemetry.tracing.close()


def child_exit(_server: Any, worker: Any) -> None:
    """In the master, of a worker that is gone, however it went."""
    metrics_directory.process_died(worker.pid)


def on_exit(_server: Any) -> None:
    metrics_directory.remove()
    if _stand_in is not None:
        _stand_in.terminate()
        _stand_in.wait()
