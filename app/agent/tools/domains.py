"""The hosts that an agent's author lets its pages come from."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.agent.tools.public_http import AddressRefused
from app.team.domains import is_in, network


@dataclass(frozen=True, slots=True)
class Domains:
    """The hosts that pages may come from, redirects included."""

    allowed: tuple[str, ...]
    blocked: tuple[str, ...]

    def refusal(self, url: str) -> str:
        """Empty if pages may come from there."""
        host = (urlsplit(url).hostname or "").rstrip(".")
        if self.allowed and not any(_is_of(host, domain) for domain in self.allowed):
            return f"URL blocked: {host} is not in allowed_domains"
        if any(_is_of(host, domain) for domain in self.blocked):
            return f"URL blocked: {host} is in blocked_domains"
        return ""

    def check_address(self, host: str, address: str) -> None:
        """AddressRefused if the host's name leads to an address that is blocked."""
        blocks = map(network, self.blocked)
        if any(is_in(address, block) for block in blocks if block is not None):
            raise AddressRefused(f"{host} is in blocked_domains")


def _is_of(host: str, domain: str) -> bool:
    """`example.com` is itself and all below it; `.example.com` and `*.example.com` are what is below it."""
    if (block := network(domain)) is not None:
        return is_in(host, block)
    domain = domain.lower().removeprefix("*")
    return host.endswith(domain) if domain.startswith(".") else f".{host}".endswith(f".{domain}")
