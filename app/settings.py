"""The settings, from environment variables. The one reader of the environment.

Not by pydantic-settings, because nothing would get shorter: the readers and their error texts stay, its errors have to
be turned into one line without secrets, each tuple has to be kept from being read as JSON, and it takes `os.environ`
where a mapping is given here. It costs 90 ms of each start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from app import setting_fields, tool_environment
from app import setting_readers as read
from app.access_tokens import AccessToken
from app.roots import NAME
from app.setting_fields import InvalidSettings, setting

SPARE_THREADS: Final = 24
"""Threads beyond the streams, so that ping, cancel and approve answer at once when every stream is taken."""

OF_THE_COMMAND: Final = ("BATON_URL", "BATON_TOKEN")
"""Variables that `baton` reads for itself; a server that finds them in its environment leaves them alone."""

DEFAULT_AGENTS: Final = Path(__file__).parent / "team" / "default_agents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each has a default that works on a laptop. `variables()` lists them for the documents."""

    bind: str = setting("BATON_BIND", read.bind, "127.0.0.1:8080", "address and port, or unix:PATH")
    socket_group: str = setting(
        "BATON_SOCKET_GROUP",
        read.group,
        "",
        "the group that may connect to unix:PATH beside the server's own user",
    )
    agents: Path = setting(
        "BATON_AGENTS",
        read.existing,
        Path("agents"),
        "an agent file, or a directory of them; where there is no `agents`, Baton's own assistant answers",
    )
    database_url: str = setting(
        "BATON_DATABASE_URL",
        read.database_url,
        "sqlite:///baton.db",
        "sqlite:///PATH or postgresql://…",
        secret=True,
    )
    workers: int = setting("BATON_WORKERS", read.whole, 1, "worker processes")
    max_streams: int = setting(
        "BATON_MAX_STREAMS", read.whole, 200, "open streams per worker; more get 503 server_full"
    )
    share: float = setting(
        "BATON_SHARE",
        read.part,
        0.5,
        "how much of a process's streams, runs, requests and waiting requests one of several names may have; 1: all",
    )
    threads: int = setting("BATON_THREADS", read.whole, 0, "threads per worker; 0: BATON_MAX_STREAMS + 24")
    lease_seconds: float = setting(
        "BATON_LEASE_SECONDS",
        read.seconds,
        30.0,
        "how long a run that shows no sign of life keeps its session",
    )
    drain_seconds: float = setting(
        "BATON_DRAIN_SECONDS",
        read.seconds,
        20.0,
        "how long running runs may go on after a stop was asked for",
    )
    titles: bool = setting(
        "BATON_TITLES", read.on_or_off, True, "give sessions a title by a small model call: on or off"
    )
    search: bool = setting(
        "BATON_SEARCH",
        read.on_or_off,
        True,
        "keep an index of words, so that messages can be found: on or off",
    )
    approval_seconds: float = setting(
        "BATON_APPROVAL_SECONDS",
        read.seconds,
        0.0,
        "how long a question to a person stays open; 0: as long as it takes",
    )
    deny_wins: bool = setting(
        "BATON_DENY_WINS",
        read.on_or_off,
        True,
        "a `deny` counts whatever was approved: on; off: approvals of the session come first, as in docker-agent",
    )
    run_seconds: float = setting(
        "BATON_RUN_SECONDS",
        read.seconds,
        0.0,
        "how long a run may be at work, not counting waits for a person; 0: any time",
    )
    wire: Literal["later", "march-2026"] = setting(
        "BATON_WIRE",
        read.one_of("later", "march-2026"),
        "later",
        "the generation of docker-agent's clients, where one form can't suit all: later or march-2026",
    )
    on_disconnect: Literal["cancel", "continue"] = setting(
        "BATON_ON_DISCONNECT",
        read.one_of("cancel", "continue"),
        "cancel",
        "what becomes of a run whose own reader hangs up: cancel or continue",
    )
    roots: tuple[Path, ...] = setting(
        "BATON_ROOTS",
        read.roots,
        (),
        "directories below which sessions may work, separated by colons; {name} is a token's name",
    )
    tools_environment: tuple[str, ...] = setting(
        tool_environment.VARIABLE,
        tool_environment.parse,
        (),
        "further variables that tools' commands get, separated by commas; a * at the end for any rest",
    )
    sandbox: Literal["off", "bubblewrap"] = setting(
        "BATON_SANDBOX",
        read.one_of("off", "bubblewrap"),
        "off",
        "what tools' commands run in: off, or bubblewrap for a cage",
    )
    unasked_tools: bool = setting(
        "BATON_UNASKED_TOOLS",
        read.on_or_off,
        False,
        "let users' agents run bash, write and edit unasked where there are tokens and no cage: on or off",
    )
    web_search: bool = setting(
        "BATON_WEB_SEARCH",
        read.on_or_off,
        True,
        "offer web_search to agents of the Managed Agents API: on, or off where the key may not search",
    )
    sandbox_readable: tuple[Path, ...] = setting(
        "BATON_SANDBOX_READABLE",
        read.readable,
        (),
        "directories that caged commands can read beside the system's, separated by colons",
    )
    max_body_bytes: int = setting("BATON_MAX_BODY_BYTES", read.whole, 33_554_432, "the longest request body")
    max_file_bytes: int = setting(
        "BATON_MAX_FILE_BYTES", read.file_bytes, 104_857_600, "the longest file of the Managed Agents API"
    )
    max_file_bytes_per_name: int = setting(
        "BATON_MAX_FILE_BYTES_PER_NAME",
        read.bytes,
        10_737_418_240,
        "how many bytes the files of one name may hold together; 0: any number",
    )
    request_seconds: float = setting(
        "BATON_REQUEST_SECONDS",
        read.some_seconds,
        60.0,
        "how long a request may take to arrive, from its first byte to its last",
    )
    auth_tokens: tuple[AccessToken, ...] = setting(
        "BATON_AUTH_TOKENS",
        read.tokens,
        (),
        "NAME[/ROLE]:TOKEN,…; requests need one of them as bearer token",
        secret=True,
    )
    tokens_file: Path | None = setting(
        "BATON_TOKENS_FILE",
        read.tokens_file,
        None,
        "a file with more of them, one a line, that is read again when it changes",
    )
    runs_per_token: int = setting(
        "BATON_RUNS_PER_TOKEN",
        read.count,
        0,
        "runs at work at the same time on the sessions of one name; 0: any number",
    )
    requests_per_minute: int = setting(
        "BATON_REQUESTS_PER_MINUTE",
        read.count,
        0,
        "requests in a minute with the tokens of one name; 0: any number",
    )
    private_mcp_servers: bool = setting(
        "BATON_PRIVATE_MCP_SERVERS",
        read.on_or_off,
        False,
        "let users' sessions reach MCP servers at addresses that are not public where there are tokens: on or off",
    )
    vault_keys: tuple[str, ...] = setting(
        "BATON_VAULT_KEY",
        read.vault_keys,
        (),
        "the key that encrypts secrets in vaults and tokens of repositories; behind a comma the one before it, while "
        "it is replaced",
        secret=True,
    )
    session_bytes: int = setting(
        "BATON_SESSION_BYTES",
        read.bytes,
        268_435_456,
        "how many bytes of messages a session may hold; 0: any number",
    )
    history_bytes: int = setting(
        "BATON_HISTORY_BYTES",
        read.bytes,
        33_554_432,
        "memory of a process, in bytes, for conversations between two runs; 0: none is kept",
    )
    objects_per_token: int = setting(
        "BATON_OBJECTS_PER_TOKEN",
        read.count,
        10_000,
        "agents, environments and memory stores of one name, of each kind; 0: any number",
    )
    memory_bytes: int = setting(
        "BATON_MEMORY_BYTES",
        read.bytes,
        1_073_741_824,
        "how many bytes the memory stores of one name may hold, with all versions; 0: any number",
    )
    session_budget: float = setting(
        "BATON_SESSION_BUDGET", read.dollars, 0.0, "what a session may cost, in dollars; 0: anything"
    )
    token_budget: float = setting(
        "BATON_TOKEN_BUDGET",
        read.dollars,
        0.0,
        "what the sessions of one name may cost in a day, in dollars; 0: anything",
    )
    unpriced_models: Literal["refuse", "allow"] = setting(
        "BATON_UNPRICED_MODELS",
        read.one_of("refuse", "allow"),
        "refuse",
        "models without a known price where a budget applies: refuse, or allow and warn that they don't count",
    )
    audit_days: int = setting(
        "BATON_AUDIT_DAYS", read.days, 90, "how long the audit trail is kept; 0: none is written"
    )
    webhook_url: str = setting(
        "BATON_WEBHOOK_URL",
        read.web_address,
        "",
        "the address that is told what happens to what clients of the Managed Agents API have made",
        secret=True,
    )
    webhook_secret: str = setting(
        "BATON_WEBHOOK_SECRET",
        read.webhook_secret,
        "",
        "the key that signs what it is told: whsec_ and 24 to 64 bytes in base64",
        secret=True,
    )
    webhook_private: bool = setting(
        "BATON_WEBHOOK_PRIVATE",
        read.on_or_off,
        False,
        "whether it may lie in a private network, or be told without TLS: on or off",
    )
    allowed_hosts: tuple[str, ...] = setting(
        "BATON_ALLOWED_HOSTS",
        read.hosts,
        (),
        "further Host names to answer to, separated by commas; * for any",
    )
    log_level: str = setting(
        "BATON_LOG_LEVEL",
        read.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "DEBUG, INFO, WARNING or ERROR",
    )
    log_style: Literal["human", "json"] = setting(
        "BATON_LOG_STYLE", read.one_of("human", "json"), "human", "human or json"
    )
    traces: bool = setting("BATON_TRACES", read.on_or_off, False, "send traces by OpenTelemetry: on or off")
    api_key: str = setting(
        "ANTHROPIC_API_KEY", read.printable, "", "the key for the Messages API", secret=True
    )
    api_base_url: str = setting(
        "ANTHROPIC_BASE_URL", read.web_address, "", "another address of the Messages API", secret=True
    )
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def stand_in(self) -> bool:
        """No key is set: the stand-in that gunicorn's configuration starts then, with this key, plays the model."""
        return self.api_key == "offline"

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
    def stand_in_agents(self) -> Path | None:
        """The directory of Baton's own agent, for a place that has no `agents` yet."""
        return None if self.agents.exists() else DEFAULT_AGENTS

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
    def lets_tools_run_unasked(self) -> bool:
        """Whether agents that users have made may change something on this machine without a person's word."""
        return self.unasked_tools or self.sandbox != "off" or not self.asks_for_tokens

    @property
    def lets_servers_be_private(self) -> bool:
        """Whether MCP servers that users have named may be at addresses that are not public."""
        return self.private_mcp_servers or not self.asks_for_tokens

    @property
    def is_loopback(self) -> bool:
        host = self.bind.rpartition(":")[0].strip("[]")
        return self.bind.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """InvalidSettings names the first variable whose name is misspelt, or whose value makes no sense, alone
        or with the others."""
        values = setting_fields.values(cls, environment, others=OF_THE_COMMAND)
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
        if bool(self.webhook_url) != bool(self.webhook_secret):
            raise InvalidSettings(
                "BATON_WEBHOOK_URL and BATON_WEBHOOK_SECRET need each other: set both or none"
            )
        if self.webhook_url.startswith("http:") and not self.webhook_private:
            raise InvalidSettings(
                "BATON_WEBHOOK_URL must begin with https://, unless BATON_WEBHOOK_PRIVATE is on"
            )
        if self.lease_seconds < 3:
            raise InvalidSettings(
                "BATON_LEASE_SECONDS must be at least 3: a lease is renewed every third of it"
            )

    @classmethod
    def variables(cls) -> list[tuple[str, Any, str]]:
        """Name, default and meaning of every variable."""
        return setting_fields.variables(cls)
