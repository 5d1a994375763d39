"""A toolset as an agent file describes it: one class for all types, and which field belongs to which type."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.team.expansion import Expander
from app.team.fields import AgentFilePart, Anything, Count, Flag, Json, Text, TextMap, Texts, misused
from app.team.lifecycle import Lifecycle
from app.team.problems import quoted_list
from app.team.web_spec import Hosts, WebFetchSpec, WebSearchSpec
from app.team.webhook_spec import WebhookSpec

TYPES = frozenset(
    {
        "a2a",
        "agent_toolset",
        "api",
        "background_agents",
        "background_jobs",
        "environment",
        "fetch",
        "file",
        "filesystem",
        "git",
        "lsp",
        "mcp",
        "mcp_catalog",
        "memory",
        "model_picker",
        "open_url",
        "openapi",
        "plan",
        "rag",
        "scheduler",
        "script",
        "session_context",
        "shell",
        "tasks",
        "think",
        "todo",
        "user_prompt",
        "webhook",
    }
)
"""The types of the schema. Whether this server can build one is decided where toolsets are built."""

_BELONGS_TO = {
    "shell": ("script",),
    "path": ("memory", "tasks"),
    "post_edit": ("filesystem", "file"),
    "env": ("shell", "background_jobs", "script", "mcp", "lsp"),
    "file_types": ("lsp",),
    "models": ("model_picker",),
    "shared": ("todo",),
    "version": ("mcp", "lsp"),
    "command": ("mcp", "lsp"),
    "args": ("mcp", "lsp"),
    "ref": ("mcp", "rag"),
    "headers": ("openapi", "a2a", "fetch"),
    "url": ("a2a", "openapi", "open_url"),
    "origins": ("mcp", "openapi"),
    "name": ("mcp", "a2a", "rag", "open_url"),
    "network": ("shell", "background_jobs", "script", "filesystem", "file", "mcp", "lsp", "agent_toolset"),
    "web_fetch": ("agent_toolset",),
    "web_search": ("agent_toolset",),
    "webhook_config": ("webhook",),
    "rag_config": ("rag",),
    "allowed_domains": ("fetch",),
    "blocked_domains": ("fetch",),
    "allowed_servers": ("mcp_catalog",),
    "blocked_servers": ("mcp_catalog",),
    "allow_private_ips": ("fetch", "api", "openapi", "a2a", "mcp"),
    "working_dir": ("mcp", "lsp"),
}
_NEEDS = {
    "a2a": ("url", "a2a toolset requires a url to be set"),
    "lsp": ("command", "lsp toolset requires a command to be set"),
    "openapi": ("url", "openapi toolset requires a url to be set"),
    "open_url": ("url", "open_url toolset requires a url to be set"),
    "model_picker": ("models", "model_picker toolset requires at least one model in the 'models' list"),
}
_ORIGIN = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")
_ONE_SOURCE = "either command, remote or ref must be set"


class RemoteSpec(AgentFilePart):
    not_here: ClassVar = {
        "oauth": "the client that answers the question for an authorization brings its own registration"
    }
    url: Text = ""
    transport_type: Text = ""
    headers: TextMap = Field(default_factory=dict)


class ScriptToolSpec(AgentFilePart):
    cmd: Text
    description: Text = ""
    args: Json = Field(default_factory=dict)
    """JSON Schema properties."""
    required: Texts | None = None
    env: TextMap = Field(default_factory=dict)
    working_dir: Text = ""


class ApiToolSpec(AgentFilePart):
    instruction: Text = ""
    name: Text = ""
    required: Texts = ()
    args: Json = Field(default_factory=dict)
    endpoint: Text = ""
    method: Text = ""
    headers: TextMap = Field(default_factory=dict)
    output_schema: Json = Field(default_factory=dict)


class PostEditSpec(AgentFilePart):
    path: Text = ""
    """A glob on the file's base name."""
    cmd: Text = ""


def _all_or_names(value: Any) -> Any:
    """`false` means no tool, which is the empty list."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    if not isinstance(value, bool):
        raise PydanticCustomError("defer", "must be true, false or a list of tool names")
    return value or ()


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _ORIGIN.fullmatch(value):
            raise PydanticCustomError("origin", "must be scheme://host or scheme://host:port, http or https")
    return values


class ToolsetSpec(AgentFilePart):
    """`type` may be one that nobody knows: such a toolset is skipped with a warning at build time."""

    not_here: ClassVar = {
        "allow_list": "the server's roots and the session's directory say which files tools may reach",
        "deny_list": "write a deny rule for the path into permissions",
        "escape_html": "pages come as they are",
        "recall": "a job is looked at with view_background_job",
        "sudo_askpass": "commands of this server ask nobody for a password",
    }
    type: Annotated[Text, Field(min_length=1)]
    tools: Texts = ()
    """Names to keep; empty means all."""
    instruction: Text = ""
    readonly: Flag = False
    """Only the tools that say of themselves that they read and change nothing."""
    toon: Text = ""
    model: Text = ""
    defer: Annotated[
        Literal[True] | Texts, BeforeValidator(_all_or_names, json_schema_input_type=bool | list[str])
    ] = ()
    command: Text = ""
    args: Texts = ()
    ref: Text = ""
    remote: RemoteSpec = RemoteSpec()
    config: Anything = None
    version: Text = ""
    name: Text = ""
    url: Text = ""
    origins: Annotated[Texts, AfterValidator(_origins)] = ()
    """Further servers, scheme://host[:port], that the toolset's own server may send us to."""
    headers: TextMap = Field(default_factory=dict)
    env: TextMap = Field(default_factory=dict)
    shared: Flag = False
    path: Text = ""
    shell: dict[Text, ScriptToolSpec] = Field(default_factory=dict)
    post_edit: tuple[PostEditSpec, ...] = ()
    api_config: ApiToolSpec = ApiToolSpec()
    ignore_vcs: Flag | None = None
    file_types: Texts = ()
    network: Flag = False
    """Whether its commands have a network in a cage."""
    timeout: Count = 0
    models: Texts = ()
    webhook_config: WebhookSpec | None = None
    rag_config: Json = Field(default_factory=dict)
    allowed_domains: Hosts = ()
    """Hosts that pages may come from, subdomains included; `.example.com` is the subdomains alone. A block of addresses
    is for hosts that are written as one."""
    blocked_domains: Hosts = ()
    """Hosts that pages may not come from. An address or a block of them is refused whatever the host is called."""
    web_fetch: WebFetchSpec | None = None
    web_search: WebSearchSpec | None = None
    allowed_servers: Texts = ()
    blocked_servers: Texts = ()
    allow_private_ips: Flag | None = None
    """Whether addresses outside of the public internet may be reached."""
    working_dir: Text = ""
    """The directory that the server is started in, relative to the session's."""
    lifecycle: Lifecycle | None = None

    @property
    def is_known(self) -> bool:
        return self.type in TYPES

    @model_validator(mode="after")
    def _fields_fit_the_type(self) -> ToolsetSpec:
        for field, types in _BELONGS_TO.items():
            self._check(field, types, is_set=bool(getattr(self, field)))
        self._check("config", ("mcp",), is_set=self.config is not None)
        self._check("lifecycle", ("mcp", "lsp"), is_set=self.lifecycle is not None)
        self._check("ignore_vcs", ("filesystem",), is_set=self.ignore_vcs is not None)
        self._check("remote", ("mcp",), is_set=bool(self.remote.url or self.remote.transport_type))
        self._check("remote headers", ("mcp", "a2a"), is_set=bool(self.remote.headers))
        self._check_needs()
        self._check_later_fields()
        return self

    def _check_later_fields(self) -> None:
        if self.allowed_domains and self.blocked_domains:
            raise misused("allowed_domains and blocked_domains are mutually exclusive", "blocked_domains")
        if self.working_dir and self.type == "mcp" and self.remote.url:
            raise misused(
                "working_dir is not valid for remote MCP toolsets (no local subprocess)", "working_dir"
            )
        if self.allow_private_ips and self.type == "mcp" and self.command:
            raise misused("allow_private_ips can only be used with remote MCP toolsets", "allow_private_ips")
        if self.allow_private_ips is False and self.remote.url:
            words = (
                "is not supported here: a tool server is reached wherever the agent's author says that it is"
            )
            raise misused(words, "allow_private_ips")
        if self.type == "webhook" and self.webhook_config is None:
            raise misused("webhook toolset requires a url in webhook_config", "webhook_config")

    def _check(self, field: str, types: tuple[str, ...], *, is_set: bool) -> None:
        if is_set and self.type not in types:
            text = f"{field} can only be used with type {quoted_list(types)}"
            raise misused(text, *field.split())

    def _check_needs(self) -> None:
        field, text = _NEEDS.get(self.type, ("type", ""))
        if not getattr(self, field):
            raise misused(text, field)
        if self.type == "mcp":
            sources = [
                name
                for name, value in (("command", self.command), ("remote", self.remote.url), ("ref", self.ref))
                if value
            ]
            if not sources:
                raise misused(_ONE_SOURCE)
            if len(sources) > 1:
                raise misused(f"{_ONE_SOURCE}, but only one of those", sources[1])

    def over(self, definition: ToolsetSpec) -> ToolsetSpec:
        """This toolset with what it leaves open taken from an entry of `mcps`; `env` is merged."""
        inherited = {
            field: getattr(definition, field)
            for field in (
                "command",
                "args",
                "version",
                "config",
                "name",
                "instruction",
                "tools",
                "defer",
                "origins",
                "working_dir",
                "lifecycle",
                "allow_private_ips",
            )
            if getattr(self, field) in ("", (), None)
        }
        remote = self.remote if self.remote.url else definition.remote
        env = {**definition.env, **self.env}
        network = self.network or definition.network
        readonly = self.readonly or definition.readonly
        return self.with_(
            ref=definition.ref, remote=remote, env=env, network=network, readonly=readonly, **inherited
        )

    def expanded(self, expander: Expander) -> ToolsetSpec:
        """With `${env.X}` filled in where the schema has it; `env` is filled in when the toolset is built."""
        remote, api, webhook = self.remote, self.api_config, self.webhook_config
        return self.with_(
            url=expander.expand(self.url),
            headers=expander.expand_all(self.headers),
            remote=remote.with_(url=expander.expand(remote.url), headers=expander.expand_all(remote.headers)),
            api_config=api.with_(
                endpoint=expander.expand(api.endpoint), headers=expander.expand_all(api.headers)
            ),
            webhook_config=webhook
            and webhook.with_(url=expander.expand(webhook.url), headers=expander.expand_all(webhook.headers)),
        )
