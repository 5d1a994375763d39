"""`baton deploy`: the files of deploy/, as they fit the settings in the environment.

The files themselves are the templates: what they say for the default settings is replaced, line by line, by what these
settings need."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

import click

from app.commands.serve import home
from app.commands.server_options import ServerOptions, json_option, pass_asking
from app.commands.terminal_output import print_json
from app.setting_fields import InvalidSettings
from app.settings import Settings

MEBIBYTE: Final = 1024 * 1024
FORM_BYTES: Final = 65_536  # around a file that is uploaded

Files = dict[str, str]
DEFAULTS: Final = Settings()
SPARE_CONNECTIONS: Final = 128
"""Connections that a worker accepts beyond its threads; gunicorn.conf.py has the same number."""

DRAIN_AND_MORE: Final = 25
"""Seconds of a stop beyond BATON_DRAIN_SECONDS: 15 for what did not finish, 10 for a slow disk."""

UNIT_SETS: Final = {
    "BATON_ROOTS": ("baton.db BATON_ROOTS=/var/lib/baton-work", "baton.db"),
    "BATON_LOG_STYLE": (" BATON_LOG_STYLE=json", ""),
    "BATON_SANDBOX": ("Environment=BATON_SANDBOX=bubblewrap\n", ""),
}
"""What the delivered unit says of settings, and what it says without them."""

IN_CONTAINER: Final = frozenset(
    (
        "BATON_BIND",
        "BATON_SOCKET_GROUP",
        "BATON_AGENTS",
        "BATON_ROOTS",
        "BATON_TOKENS_FILE",
        "BATON_LOG_STYLE",
    )
)
"""Settings that the image and its volumes decide about."""


@click.command("deploy")
@click.argument("kind", type=click.Choice(["systemd", "nginx", "compose"]))
@click.option("--directory", type=click.Path(path_type=Path), help="Write the files there, over none.")
@json_option
@pass_asking
def command(asking: ServerOptions, kind: str, directory: Path | None) -> None:
    """Print files for systemd, nginx or compose.

    They are those of deploy/, with the addresses, paths, limits and times of the settings in the environment. Secrets
    are never printed; each file says where they belong. Without --directory, several files come one after the other,
    each with its name above it.
    """
    try:
        settings = Settings.from_environment(os.environ)
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    files = KINDS[kind](settings)
    if directory is not None:
        _write(directory, files)
        files = {str(directory / name): text for name, text in files.items()}
    if asking.as_json:
        print_json(files)
    elif directory is not None:
        click.echo("\n".join(files))
    elif len(files) == 1:
        click.echo(next(iter(files.values())), nl=False)
    else:
        click.echo("\n".join(f"# ==> {name} <==\n{text}" for name, text in files.items()), nl=False)


def _systemd(settings: Settings) -> Files:
    service, socket = _template("baton.service"), _template("baton.socket")
    service = _replace(service, "TimeoutStopSec=45", f"TimeoutStopSec={_stop_seconds(settings)}")
    given = _given(settings)
    for variable, (own, without) in UNIT_SETS.items():
        if variable in given:  # the line of these settings is the only one then
            service = _replace(service, own, without)
    lines = [f'Environment="{name}={_systemd_text(value)}"' for name, value in given.items()]
    if settings.roots:
        lines += [f'ReadWritePaths="{_systemd_text(path)}"' for path in _above_names(settings)]
    mark = "# ANTHROPIC_API_KEY=…"
    service = _replace(service, mark, "".join(f"{line}\n" for line in lines) + mark)
    return {"baton.service": service, "baton.socket": _socket(socket, settings)}


def _socket(text: str, settings: Settings) -> str:
    listen = settings.bind.removeprefix("unix:")
    if settings.port is None:
        group = f"SocketGroup={settings.socket_group}\n" if settings.socket_group else ""
        text = _replace(text, "NoDelay=true\n", "")
        text = _replace(text, "KeepAlive=true\n", f"SocketMode=0660\n{group}")
        text = _replace(text, "# Baton notices by itself that a client is gone; see gunicorn.conf.py.\n", "")
        listen = str(Path(listen).absolute())
    return _replace(text, f"ListenStream={DEFAULTS.bind}", f"ListenStream={listen}")


def _nginx(settings: Settings) -> Files:
    accepts = settings.workers * (settings.all_threads + SPARE_CONNECTIONS)
    server = f"{_address(settings)} max_conns={_fewer(accepts)}"
    text = _replace(_template("nginx.conf"), f"server {DEFAULTS.bind} max_conns=300", f"server {server}")
    text = _replace(text, "server_name agents.example.org;", f"server_name {_host(settings)};")
    text = text.replace("agents.example.org", _host(settings))
    return {
        "nginx.conf": _replace(text, "client_max_body_size 101m;", f"client_max_body_size {_size(settings)};")
    }


def _compose(settings: Settings) -> Files:
    place = Path("two-hosts")
    compose = _template(place / "compose.yaml")
    seconds = _stop_seconds(settings)
    compose = _replace(compose, "stop_grace_period: 45s", f"stop_grace_period: {seconds}s")
    given = {name: value for name, value in _given(settings).items() if name not in IN_CONTAINER}
    lines = "".join(f"    {name}: {_yaml_text(value)}\n" for name, value in given.items())
    compose = _replace(compose, "    BATON_ROOTS: /work\n", f"    BATON_ROOTS: /work\n{lines}")
    accepts = settings.workers * (settings.all_threads + SPARE_CONNECTIONS)
    nginx = _template(place / "nginx.conf").replace("max_conns=300", f"max_conns={_fewer(accepts)}")
    nginx = nginx.replace("agents.example.org", _host(settings))
    nginx = _replace(nginx, "client_max_body_size 101m;", f"client_max_body_size {_size(settings)};")
    secrets = _template(place / "baton.env.example").replace("agents.example.org", _host(settings))
    return {"compose.yaml": compose, "nginx.conf": nginx, "baton.env.example": secrets}


KINDS: Final[Mapping[str, Callable[[Settings], Files]]] = {
    "systemd": _systemd,
    "nginx": _nginx,
    "compose": _compose,
}


def _template(name: str | Path) -> str:
    return (home() / "deploy" / name).read_text()


def _replace(text: str, old: str, new: str) -> str:
    if old not in text:
        raise click.ClickException(f"{old!r} is missing in a file of deploy/: install baton again")
    return text.replace(old, new, 1)


def _given(settings: Settings) -> dict[str, str]:
    """The settings in the environment that are no secrets, with whole paths."""
    found = {}
    for one in fields(Settings):
        variable = one.metadata.get("variable", "")
        text = settings.environment.get(variable, "").strip()
        if text and not one.metadata["secret"]:
            value = getattr(settings, one.name)
            found[variable] = _with_whole_paths(value, text)
    return found


def _with_whole_paths(value: object, text: str) -> str:
    """Services start in other directories."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple) and value and all(isinstance(one, Path) for one in value):
        return ":".join(str(one.absolute()) for one in value)
    return f"unix:{Path(text[5:]).absolute()}" if text.startswith("unix:") else text


def _above_names(settings: Settings) -> list[str]:
    return sorted({str(root).partition("/{")[0] for root in settings.all_roots})


def _address(settings: Settings) -> str:
    if settings.port is None:
        return f"unix:{Path(settings.bind.removeprefix('unix:')).absolute()}"
    host = settings.bind.rpartition(":")[0]
    return f"127.0.0.1:{settings.port}" if host in ("0.0.0.0", "[::]", "") else settings.bind  # noqa: S104 - it asks there


def _host(settings: Settings) -> str:
    return next((host for host in settings.allowed_hosts if host != "*"), "agents.example.org")


def _fewer(accepts: int) -> int:
    return max(1, accepts * 6 // 7 // 10 * 10)


def _size(settings: Settings) -> str:
    """The bytes of the longest request, be it the form around a file that is uploaded."""
    longest, form = settings.max_body_bytes, settings.max_file_bytes + FORM_BYTES
    if form > longest:
        return f"{-(-form // MEBIBYTE)}m"
    return f"{longest}" if longest % MEBIBYTE else f"{longest // MEBIBYTE}m"


def _stop_seconds(settings: Settings) -> int:
    return int(settings.drain_seconds) + DRAIN_AND_MORE


def _systemd_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _yaml_text(text: str) -> str:
    """Compose reads a dollar as the beginning of a variable's name."""
    return "'" + text.replace("'", "''").replace("$", "$$") + "'"


def _write(directory: Path, files: Files) -> None:
    there = [name for name in files if (directory / name).exists()]
    if there:
        raise click.ClickException(f"{directory / there[0]} is there already; nothing is written")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise click.ClickException(f"{directory} can't be written: {error.strerror}") from None
