"""The settings, from environment variables. The one reader of the environment."""

from __future__ import annotations

import difflib
import grp
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from app import tool_environment
from app.access_tokens import AccessToken, parse_token, read_tokens_file, refuse_repeated
from app.roots import NAME

T = TypeVar("T")

SPARE_THREADS: Final = 24
"""Threads beyond the streams, so that ping, cancel and approve answer at once when every stream is taken."""

PREFIX: Final = "BATON_"

OF_THE_COMMAND: Final = ("BATON_URL", "BATON_TOKEN")
"""Variables that `baton` reads for itself; a server that finds them in its environment leaves them alone."""

LIKE_A_TYPO: Final = 0.8
"""From this likeness on an unknown variable is taken for a misspelt one. Others are left alone: Kubernetes sets
BATON_PORT and BATON_SERVICE_HOST in every container near a service called baton."""


class InvalidSettings(Exception):
    """One line that names the variable and what to do about it."""


def _setting(variable: str, default: Any, about: str, *, secret: bool = False) -> Any:
    """A secret's value appears neither in the representation nor in an error."""
    return field(
        default=default, repr=not secret, metadata={"variable": variable, "about": about, "secret": secret}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each has a default that works on a laptop. `variables()` lists them for the documents."""

    bind: str = _setting("BATON_BIND", "127.0.0.1:8080", "address and port, or unix:PATH")
    socket_group: str = _setting(
        "BATON_SOCKET_GROUP", "", "the group that may connect to unix:PATH beside the server's own user"
    )
    agents: Path = _setting("BATON_AGENTS", Path("agents"), "an agent file, or a directory of them")
    database_url: str = _setting(
        "BATON_DATABASE_URL", "sqlite:///baton.db", "sqlite:///PATH or postgresql://…", secret=True
    )
    workers: int = _setting("BATON_WORKERS", 1, "worker processes")
    max_streams: int = _setting("BATON_MAX_STREAMS", 200, "open streams per worker; more get 503 server_full")
    share: float = _setting(
        "BATON_SHARE",
        0.5,
        "how much of a process's streams, runs, requests and waiting requests one of several names may have; 1: all",
    )
    threads: int = _setting("BATON_THREADS", 0, "threads per worker; 0: BATON_MAX_STREAMS + 24")
    lease_seconds: float = _setting(
        "BATON_LEASE_SECONDS", 30.0, "how long a run that shows no sign of life keeps its session"
    )
    drain_seconds: float = _setting(
        "BATON_DRAIN_SECONDS", 20.0, "how long running runs may go on after a stop was asked for"
    )
    titles: bool = _setting("BATON_TITLES", True, "give sessions a title by a small model call: on or off")
    approval_seconds: float = _setting(
        "BATON_APPROVAL_SECONDS", 0.0, "how long a question to a person stays open; 0: as long as it takes"
    )
    deny_wins: bool = _setting(
        "BATON_DENY_WINS",
        True,
        "a `deny` counts whatever was approved: on; off: approvals of the session come first, as in docker-agent",
    )
    run_seconds: float = _setting(
        "BATON_RUN_SECONDS",
        0.0,
        "how long a run may be at work, not counting waits for a person; 0: any time",
    )
    on_disconnect: Literal["cancel", "continue"] = _setting(
        "BATON_ON_DISCONNECT", "cancel", "what becomes of a run whose own reader hangs up: cancel or continue"
    )
    roots: tuple[Path, ...] = _setting(
        "BATON_ROOTS",
        (),
        "directories below which sessions may work, separated by colons; {name} is a token's name",
    )
    tools_environment: tuple[str, ...] = _setting(
        tool_environment.VARIABLE,
        (),
        "further variables that tools' commands get, separated by commas; a * at the end for any rest",
    )
    sandbox: Literal["off", "bubblewrap"] = _setting(
        "BATON_SANDBOX", "off", "what tools' commands run in: off, or bubblewrap for a cage"
    )
    sandbox_readable: tuple[Path, ...] = _setting(
        "BATON_SANDBOX_READABLE",
        (),
        "directories that caged commands can read beside the system's, separated by colons",
    )
    max_body_bytes: int = _setting("BATON_MAX_BODY_BYTES", 33_554_432, "the longest request body")
    request_seconds: float = _setting(
        "BATON_REQUEST_SECONDS",
        60.0,
        "how long a request may take to arrive, from its first byte to its last",
    )
    auth_tokens: tuple[AccessToken, ...] = _setting(
        "BATON_AUTH_TOKENS",
        (),
        "NAME[/ROLE]:TOKEN,…; requests need one of them as bearer token",
        secret=True,
    )
    tokens_file: Path | None = _setting(
        "BATON_TOKENS_FILE", None, "a file with more of them, one a line, that is read again when it changes"
    )
    runs_per_token: int = _setting(
        "BATON_RUNS_PER_TOKEN", 0, "runs at work at the same time on the sessions of one name; 0: any number"
    )
    requests_per_minute: int = _setting(
        "BATON_REQUESTS_PER_MINUTE", 0, "requests in a minute with the tokens of one name; 0: any number"
    )
    session_bytes: int = _setting(
        "BATON_SESSION_BYTES", 268_435_456, "how many bytes of messages a session may hold; 0: any number"
    )
    session_budget: float = _setting(
        "BATON_SESSION_BUDGET", 0.0, "what a session may cost, in dollars; 0: anything"
    )
    token_budget: float = _setting(
        "BATON_TOKEN_BUDGET", 0.0, "what the sessions of one name may cost in a day, in dollars; 0: anything"
    )
    unpriced_models: Literal["refuse", "allow"] = _setting(
        "BATON_UNPRICED_MODELS",
        "refuse",
        "models without a known price where a budget applies: refuse, or allow and warn that they don't count",
    )
    audit_days: int = _setting("BATON_AUDIT_DAYS", 90, "how long the audit trail is kept; 0: none is written")
    allowed_hosts: tuple[str, ...] = _setting(
        "BATON_ALLOWED_HOSTS", (), "further Host names to answer to, separated by commas; * for any"
    )
    log_level: str = _setting("BATON_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")
    log_style: Literal["human", "json"] = _setting("BATON_LOG_STYLE", "human", "human or json")
    traces: bool = _setting("BATON_TRACES", False, "send traces by OpenTelemetry: on or off")
    api_key: str = _setting("ANTHROPIC_API_KEY", "", "the key for the Messages API", secret=True)
    api_base_url: str = _setting("ANTHROPIC_BASE_URL", "", "another address of the Messages API", secret=True)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def all_threads(self) -> int:
        return self.threads or self.max_streams + SPARE_THREADS

    @property
    def heartbeat_seconds(self) -> float:
        """A third of the lease, so that two may fail before anybody notices."""
        return self.lease_seconds / 3

    @property
    def all_roots(self) -> tuple[Path, ...]:
        """The directories of BATON_ROOTS, absolute; one may have `{name}` for the name of a token."""
        return tuple(root.absolute() for root in self.roots) or (Path.cwd(),)

    @property
    def port(self) -> int | None:
        """None for a Unix socket."""
        return None if self.bind.startswith("unix:") else int(self.bind.rpartition(":")[2])

    @property
    def share_of_a_name(self) -> float:
        """All, where there is only one name: it has nobody to share with."""
        alone = self.tokens_file is None and len({token.name for token in self.auth_tokens}) == 1
        return 1.0 if alone else self.share

    @property
    def asks_for_tokens(self) -> bool:
        return bool(self.auth_tokens) or self.tokens_file is not None

    @property
    def is_loopback(self) -> bool:
        host = self.bind.rpartition(":")[0].strip("[]")
        return self.bind.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """InvalidSettings names the first variable whose name is misspelt, or whose value makes no sense, alone
        or with the others."""
        _refuse_typos(environment, [variable for variable, _, _ in cls.variables()])
        values: dict[str, Any] = {}
        for one in fields(cls):
            text = environment.get(one.metadata.get("variable", ""), "").strip()
            if text:
                values[one.name] = _read(one.metadata, _READERS[one.name], text)
        settings = cls(**values, environment=dict(environment))
        settings.check()
        return settings

    def check(self) -> None:
        """Checks several values together. Raises InvalidSettings."""
        if self.threads and self.threads <= self.max_streams:
            raise InvalidSettings(
                f"BATON_THREADS={self.threads} leaves no thread beside BATON_MAX_STREAMS={self.max_streams} "
                "streams: raise the first or lower the second"
            )
        if not self.is_loopback and not self.asks_for_tokens:
            raise InvalidSettings(
                f"BATON_BIND={self.bind} can be reached from outside: set BATON_AUTH_TOKENS or BATON_TOKENS_FILE, "
                "or bind 127.0.0.1"
            )
        for variable, limit in (
            ("BATON_RUNS_PER_TOKEN", self.runs_per_token),
            ("BATON_REQUESTS_PER_MINUTE", self.requests_per_minute),
            ("BATON_TOKEN_BUDGET", self.token_budget),
        ):
            if limit and not self.asks_for_tokens:
                raise InvalidSettings(
                    f"{variable} limits names, and without tokens there are none: set BATON_AUTH_TOKENS or "
                    "BATON_TOKENS_FILE"
                )
        if any(NAME in root.parts for root in self.roots) and not self.asks_for_tokens:
            raise InvalidSettings(
                "BATON_ROOTS has {name}, and without tokens there are no names: set BATON_AUTH_TOKENS or "
                "BATON_TOKENS_FILE"
            )
        if self.lease_seconds < 3:
            raise InvalidSettings(
                "BATON_LEASE_SECONDS must be at least 3: a lease is renewed every third of it"
            )

    @classmethod
    def variables(cls) -> list[tuple[str, Any, str]]:
        """Name, default and meaning of every variable."""
        described = [one for one in fields(cls) if "variable" in one.metadata]
        return [(one.metadata["variable"], one.default, one.metadata["about"]) for one in described]


def _refuse_typos(environment: Mapping[str, str], known: Iterable[str]) -> None:
    names = {variable.removeprefix(PREFIX) for variable in known if variable.startswith(PREFIX)}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if not variable.startswith(PREFIX) or name in names or variable in OF_THE_COMMAND:
            continue
        if meant := difflib.get_close_matches(name.upper(), sorted(names), n=1, cutoff=LIKE_A_TYPO):
            raise InvalidSettings(f"{variable} is not a setting: did you mean {PREFIX}{meant[0]}?")


def _read(about: Mapping[str, Any], reader: Callable[[str], T], text: str) -> T:
    try:
        return reader(text)
    except ValueError as error:
        shown = "its value" if about["secret"] else repr(text[:100])
        raise InvalidSettings(f"{about['variable']}: {shown} makes no sense: {error}") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < 1:
        raise ValueError("it must be a whole number, at least 1")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]*)?", text) or float(text) >= 86_400:
        raise ValueError("it must be a number of seconds, from 0 to 86400")
    return float(text)


def _part(text: str) -> float:
    if not re.fullmatch(r"[01](\.[0-9]{1,3})?", text) or not 0 < float(text) <= 1:
        raise ValueError("it must be more than 0 and at most 1, such as 0.5")
    return float(text)


def _some_seconds(text: str) -> float:
    if not (seconds := _seconds(text)):
        raise ValueError("it must be more than 0")
    return seconds


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text

    return read


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("it must be a whole number; 0 switches it off")
    return int(text)


def _bytes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError("it must be a whole number of bytes; 0 switches it off")
    return int(text)


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError("it must be a whole number of days")
    return int(text)


def _dollars(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,6})?", text):
        raise ValueError("it must be a number of dollars, such as 2.50; 0 switches it off")
    return float(text)


def _tokens(text: str) -> tuple[AccessToken, ...]:
    tokens = tuple(parse_token(part.strip()) for part in text.split(",") if part.strip())
    refuse_repeated(tokens)
    return tokens


def _tokens_file(text: str) -> Path:
    """Read here so that a wrong one stops the start; who serves reads it again whenever it changes."""
    path = Path(text).absolute()
    try:
        read_tokens_file(path)
    except OSError as error:
        raise ValueError(f"it can't be read: {error.strerror}") from None
    return path


def _printable(text: str) -> str:
    """A header can bear nothing else."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("it must be printable ASCII, without spaces")
    return text


def _database_url(text: str) -> str:
    if not text.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://", "postgres://")):
        raise ValueError("it must begin with sqlite:/// or postgresql://")
    if text.startswith("sqlite:") and text[len("sqlite:///") :].partition("?")[0] in ("", ":memory:"):
        raise ValueError("it must name a file; a database in memory is another one for every connection")
    return text


def _web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", text):
        raise ValueError("it must begin with http:// or https://")
    return text


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise ValueError("there is no such file or directory")
    return path


def _roots(text: str) -> tuple[Path, ...]:
    roots = tuple(Path(part) for part in text.split(":") if part)
    for root in roots:
        whole = root.parts.index(NAME) if NAME in root.parts else len(root.parts)
        if not (there := Path(*root.parts[:whole])).is_dir():
            raise ValueError(f"{there} is not a directory")
        if any(NAME in part and part != NAME for part in root.parts):
            raise ValueError(f"{NAME} must stand alone between slashes")
    return roots


def _group(text: str) -> str:
    try:
        grp.getgrnam(text)
    except KeyError:
        raise ValueError("there is no such group") from None
    return text


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if wrong := [name for name in names if not re.fullmatch(r"\*|[a-z0-9._-]+|[0-9a-f:]+", name)]:
        raise ValueError(f"{wrong[0]!r} is not a host name; write it without scheme and port")
    return names


def _bind(text: str) -> str:
    address = re.fullmatch(r"unix:.+|(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})", text)
    if address is None or int(address[1] or 0) > 65_535:
        raise ValueError("it must be HOST:PORT or unix:PATH")
    return text


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "bind": _bind,
    "socket_group": _group,
    "agents": _existing,
    "database_url": _database_url,
    "workers": _whole,
    "max_streams": _whole,
    "share": _part,
    "threads": _whole,
    "lease_seconds": _seconds,
    "drain_seconds": _seconds,
    "approval_seconds": _seconds,
    "run_seconds": _seconds,
    "titles": lambda text: _one_of("on", "off")(text) == "on",
    "deny_wins": lambda text: _one_of("on", "off")(text) == "on",
    "on_disconnect": _one_of("cancel", "continue"),
    "roots": _roots,
    "tools_environment": tool_environment.parse,
    "sandbox": _one_of("off", "bubblewrap"),
    "sandbox_readable": lambda text: tuple(path.resolve() for path in _roots(text)),
    "max_body_bytes": _whole,
    "request_seconds": _some_seconds,
    "auth_tokens": _tokens,
    "tokens_file": _tokens_file,
    "runs_per_token": _count,
    "requests_per_minute": _count,
    "session_bytes": _bytes,
    "session_budget": _dollars,
    "token_budget": _dollars,
    "unpriced_models": _one_of("refuse", "allow"),
    "audit_days": _days,
    "allowed_hosts": _hosts,
    "log_level": _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_style": _one_of("human", "json"),
    "traces": lambda text: _one_of("on", "off")(text) == "on",
    "api_key": _printable,
    "api_base_url": _web_address,
}
