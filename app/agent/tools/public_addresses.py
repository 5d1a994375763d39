"""Which IP addresses are on the public internet.

The blocks are those of the IANA special-purpose address registries, as of 2025-05:
https://www.iana.org/assignments/iana-ipv4-special-registry
https://www.iana.org/assignments/iana-ipv6-special-registry
The interpreter has a list too. It changes with the interpreter's version, and it lets pass what the registries call
globally reachable, although no web site is there.
"""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

IPV4_BLOCKS: Final = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba Cloud's metadata: 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # not in the registry: Azure's metadata and name server
        "169.254.0.0/16",  # link-local; most clouds' metadata: 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's older metadata: 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

IPV6_GLOBAL: Final = ipaddress.IPv6Network("2000::/3")
"""Nothing outside it is assigned as global unicast: loopback, unique local (AWS's metadata: fd00:ec2::254), link-local,
site-local, multicast, discard-only, SRv6's 5f00::/16 and IPv4-compatible addresses are all outside."""

IPV6_BLOCKS: Final = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments; Teredo, ORCHID, AMT, AS112 are in it
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: it leads to whatever IPv4 address it embeds, over relays that are gone
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""The way to IPv4 from a network that has only IPv6. The local-use prefix 64:ff9b:1::/48 is not public."""

_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)  # in front of an IPv4 address, in the lower half


def is_public(address: str) -> bool:
    """Is the address on the public internet? An IPv6 address that embeds an IPv4 address is judged by both. ValueError
    for text that is no IP address."""
    found: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return _is_public_ipv4(found)
    if found.ipv4_mapped is not None:
        return _is_public_ipv4(found.ipv4_mapped)
    if found in NAT64:
        return _is_public_ipv4(_last_bits(found))
    if found not in IPV6_GLOBAL or any(found in block for block in IPV6_BLOCKS):
        return False
    is_isatap = int(found) >> 32 & 0xFFFF_FFFF in _ISATAP
    return not is_isatap or _is_public_ipv4(_last_bits(found))


def _is_public_ipv4(address: ipaddress.IPv4Address) -> bool:
    return not any(address in block for block in IPV4_BLOCKS)


def _last_bits(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
