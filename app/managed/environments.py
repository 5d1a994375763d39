"""Environments of the Managed Agents API."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from flask import Response
from pydantic import Discriminator, Field

from app.errors import Forbidden, InvalidRequest
from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch, Name, patched, read
from app.managed.calls import Calls, delete, get, post
from app.managed.id_validation import checked
from app.managed.paging import page_json, window
from app.managed.times import times_json
from app.managed_ids import new_id
from app.store.definitions import Defined
from app.store.environment_store import EnvironmentStore
from app.web.access import own_name, owner, role
from app.web.response_json import json_response

Json = dict[str, Any]

UNRESTRICTED: Final = "unrestricted"
_MANAGERS: Final = ("apt", "cargo", "gem", "go", "npm", "pip")
_Packages = list[Annotated[str, Field(min_length=1, max_length=256), SOUND]] | None
Scope = Literal["organization", "account"]


class Packages(Body):
    type: Literal["packages"] | None = None
    apt: _Packages = None
    cargo: _Packages = None
    gem: _Packages = None
    go: _Packages = None
    npm: _Packages = None
    pip: _Packages = None


class Unrestricted(Body):
    type: Literal["unrestricted"]


class Limited(Body):
    type: Literal["limited"]
    allowed_hosts: list[Annotated[str, Field(min_length=1, max_length=255), SOUND]] | None = None
    allow_mcp_servers: bool | None = None
    allow_package_managers: bool | None = None


class Cloud(Body):
    type: Literal["cloud"]
    networking: Annotated[Unrestricted | Limited, Discriminator("type")] | None = None
    packages: Packages | None = None


class SelfHosted(Body):
    type: Literal["self_hosted"]


Config = Annotated[Cloud | SelfHosted, Discriminator("type")]
Description = Annotated[str, Field(max_length=1024), SOUND]


class CreateEnvironment(Body):
    name: Name
    config: Config | None = None
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)
    scope: Scope | None = None


class UpdateEnvironment(Body):
    name: Name | None = None
    config: Config | None = None
    description: Description | None = None
    metadata: MetadataPatch = Field(default_factory=dict)
    scope: Scope | None = None


class EnvironmentCalls(Calls):
    prefix = "/v1/environments"

    def __init__(self, environments: EnvironmentStore, *, caged: bool) -> None:
        """`caged`: commands run where they can be kept off the network."""
        self._environments = environments
        self._caged = caged

    @post("")
    def create(self) -> Response:
        body = read(CreateEnvironment)
        scope = body.scope or ("account" if role() == "user" else "organization")
        made = {
            "name": body.name,
            "description": body.description,
            "config": self._config(body.config),
            "metadata": body.metadata,
            "scope": scope,
        }
        added = self._environments.add(new_id("env"), made, owner=own_name(), shared=_shared(scope))
        return json_response(environment_json(added))

    @get("")
    def page(self) -> Response:
        asked = window()
        rows = self._environments.page(asked, owner=owner())
        return json_response(page_json(rows, asked, environment_json, lambda one: (one.created_at, one.id)))

    @get("/<environment_id>")
    def retrieve(self, environment_id: str) -> Response:
        return json_response(
            environment_json(self._environments.get(checked("env", environment_id), owner=owner()))
        )

    @post("/<environment_id>")
    def update(self, environment_id: str) -> Response:
        body = read(UpdateEnvironment)

        def change(before: Defined) -> Json:
            if before.archived_at is not None:
                raise InvalidRequest(
                    f"Environment {before.id} is archived.", error_code="environment_archived"
                )
            return self._changed(before.definition, body)

        shared = None if body.scope is None else _shared(body.scope)
        found = self._environments.change(
            checked("env", environment_id), change, shared=shared, owner=owner()
        )
        return json_response(environment_json(found))

    @post("/<environment_id>/archive")
    def archive(self, environment_id: str) -> Response:
        found = self._environments.archive(checked("env", environment_id), owner=owner())
        return json_response(environment_json(found))

    @delete("/<environment_id>")
    def delete(self, environment_id: str) -> Response:
        self._environments.delete(checked("env", environment_id), owner=owner())
        return json_response({"id": environment_id, "type": "environment_deleted"})

    def _changed(self, before: Json, body: UpdateEnvironment) -> Json:
        after = {**before, "metadata": patched(before["metadata"], body.metadata, empty_deletes=True)}
        if body.name is not None:
            after["name"] = body.name
        if body.given("description"):
            after["description"] = body.description
        if body.scope is not None:
            after["scope"] = body.scope
        if body.config is not None:
            if body.config.type != before["config"]["type"]:
                raise InvalidRequest("config.type: the kind of an environment can't be changed")
            config = self._config(body.config)
            kept = () if body.config.type == "self_hosted" or body.config.networking else ("networking",)
            after["config"] = {**config, **{name: before["config"][name] for name in kept}}
        return after

    def _config(self, config: Cloud | SelfHosted | None) -> Json:
        """InvalidRequest for what this server can't keep to: nothing is accepted without effect."""
        if isinstance(config, SelfHosted):
            return {"type": config.type}
        given = config.networking if config is not None else None
        networking = self._limited(given) if isinstance(given, Limited) else {"type": UNRESTRICTED}
        if config is not None and config.packages is not None:
            for manager in _MANAGERS:
                if getattr(config.packages, manager):
                    raise InvalidRequest(
                        f"config.packages.{manager}: this server installs no packages; install them on its machine"
                    )
        packages = {"type": "packages", **{manager: [] for manager in _MANAGERS}}
        return {"type": "cloud", "networking": networking, "packages": packages}

    def _limited(self, given: Limited) -> Json:
        """No network at all: there is nothing here that would let some hosts through."""
        if not self._caged:
            raise InvalidRequest(
                "config.networking.type: limited needs a cage for commands; let the operator set "
                "BATON_SANDBOX=bubblewrap"
            )
        for name in ("allowed_hosts", "allow_mcp_servers", "allow_package_managers"):
            if getattr(given, name):
                raise InvalidRequest(f"config.networking.{name}: this server can only keep all hosts out")
        return {
            "type": "limited",
            "allowed_hosts": [],
            "allow_mcp_servers": False,
            "allow_package_managers": False,
        }


def environment_json(environment: Defined) -> Json:
    return {
        "id": environment.id,
        "type": "environment",
        **environment.definition,
        **times_json(environment),
    }


def _shared(scope: Scope) -> bool:
    if scope == "organization" and role() == "user":
        raise Forbidden("Only operators may share an environment with everybody (scope: organization).")
    return scope == "organization"
