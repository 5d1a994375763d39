"""The fields of a credential that requests of the Managed Agents API may name, and their bounds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field

from app.managed.agent_bodies import web_address
from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch
from app.managed.vaults.vault_calls import DisplayName

Json = dict[str, Any]


def _fit_for_a_header(secret: str) -> str:
    if not all("!" <= letter <= "~" for letter in secret):
        raise ValueError("it must be printable ASCII without spaces")
    return secret


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        is_whole = moment.tzinfo is not None and moment.timestamp() >= 0
    except (ValueError, OverflowError):
        is_whole = False
    if not is_whole:
        raise ValueError("it must be a time as in RFC 3339")
    return text


Secret = Annotated[str, Field(min_length=1, max_length=8192), AfterValidator(_fit_for_a_header)]
ClientSecret = Annotated[str, Field(min_length=1, max_length=8192), SOUND]
Address = Annotated[str, Field(max_length=2048), SOUND, AfterValidator(web_address)]
Moment = Annotated[str, Field(max_length=64), AfterValidator(_moment)]
Words = Annotated[str, Field(min_length=1, max_length=2048), SOUND]


class StaticBearer(Body):
    type: Literal["static_bearer"]
    token: Secret
    mcp_server_url: Address


class NoAuth(Body):
    type: Literal["none"]


class BasicAuth(Body):
    type: Literal["client_secret_basic"]
    client_secret: ClientSecret


class PostAuth(Body):
    type: Literal["client_secret_post"]
    client_secret: ClientSecret


class Refresh(Body):
    token_endpoint: Address
    client_id: Words
    refresh_token: Secret
    token_endpoint_auth: Annotated[NoAuth | BasicAuth | PostAuth, Discriminator("type")]
    scope: Words | None = None
    resource: Words | None = None


class McpOauth(Body):
    type: Literal["mcp_oauth"]
    access_token: Secret
    mcp_server_url: Address
    expires_at: Moment | None = None
    refresh: Refresh | None = None


class EnvironmentVariable(Body):
    """Refused whatever it holds."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    type: Literal["environment_variable"]


class CreateCredential(Body):
    auth: Annotated[StaticBearer | McpOauth | EnvironmentVariable, Discriminator("type")]
    display_name: DisplayName | None = None
    metadata: Metadata = Field(default_factory=dict)


class StaticBearerUpdate(Body):
    type: Literal["static_bearer"]
    token: Secret | None = None


class ClientSecretUpdate(Body):
    type: Literal["client_secret_basic", "client_secret_post"]
    client_secret: ClientSecret | None = None


class RefreshUpdate(Body):
    refresh_token: Secret | None = None
    scope: Annotated[str, Field(max_length=2048), SOUND] | None = None
    token_endpoint_auth: ClientSecretUpdate | None = None


class McpOauthUpdate(Body):
    type: Literal["mcp_oauth"]
    access_token: Secret | None = None
    expires_at: Moment | None = None
    refresh: RefreshUpdate | None = None


class UpdateCredential(Body):
    auth: (
        Annotated[StaticBearerUpdate | McpOauthUpdate | EnvironmentVariable, Discriminator("type")] | None
    ) = None
    display_name: DisplayName | None = None
    metadata: MetadataPatch | None = None
