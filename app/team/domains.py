"""Hosts, IP addresses and blocks of them, as agent files write them: `.example.com`, `10.0.0.0/8`, `::1`."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from pydantic_core import PydanticCustomError

_HOST: Final = re.compile(r"(\*?\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=1_000)
def network(text: str) -> Network | None:
    """The block; one address is a block, too. None for what is neither."""
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def is_in(address: str, block: Network) -> bool:
    """False for what is no address. An IPv4 address in IPv6's form is the IPv4 address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found) in block


def domains(values: tuple[str, ...]) -> tuple[str, ...]:
    """The same, if each is a host or such addresses. Else PydanticCustomError."""
    for value in values:
        if not _HOST.fullmatch(value) and network(value) is None:
            hosts = "a host like example.com, .example.com or *.example.com"
            raise PydanticCustomError("domain", f"must be {hosts}, or addresses like 10.0.0.0/8")
    return values
