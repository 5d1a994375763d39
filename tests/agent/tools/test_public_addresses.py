"""Addresses that are not on the public internet are known in every wrapping, whatever the interpreter thinks."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

import pytest

from app.agent.tools.public_addresses import is_public

SPECIAL_IPV4 = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "224.0.0.0/4",
]
"""The IANA registry, row by row, and multicast."""

SPECIAL_IPV6 = [
    "::1/128",
    "::/128",
    "::ffff:0:0/112",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.169.253",
    "169.254.0.23",
    "192.0.0.192",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
]
"""The addresses of AWS, Google, Azure, Oracle, Alibaba, Tencent, OpenStack and their relatives."""

PRIVATE_IPV4 = [address for address in METADATA if "." in address] + ["127.0.0.1", "10.0.0.1", "192.168.1.1"]

WRAPPINGS: dict[str, Callable[[int], int]] = {
    "mapped": lambda ip: 0xFFFF << 32 | ip,
    "compatible": lambda ip: ip,
    "translated": lambda ip: 0xFFFF << 48 | ip,
    "nat64": lambda ip: 0x64FF9B << 96 | ip,
    "local nat64": lambda ip: 0x64FF9B0001 << 80 | ip,
    "6to4": lambda ip: 0x2002 << 112 | ip << 80,
    "teredo": lambda ip: 0x20010000 << 96 | ip ^ 0xFFFF_FFFF,
    "isatap": lambda ip: 0x26064700 << 96 | 0x00005EFE << 32 | ip,
    "isatap, global": lambda ip: 0x26064700 << 96 | 0x02005EFE << 32 | ip,
}


def edges(blocks: list[str]) -> Iterator[str]:
    for block in blocks:
        network = ipaddress.ip_network(block)
        yield from (str(network[0]), str(network[-1]), str(network[network.num_addresses // 2]))


@pytest.mark.parametrize("address", [*edges(SPECIAL_IPV4), *edges(SPECIAL_IPV6), *METADATA])
def test_no_address_of_a_special_block_is_public(address: str) -> None:
    assert not is_public(address)
    assert not is_public(f"{address}%eth0")


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("inner", PRIVATE_IPV4)
def test_no_wrapping_makes_an_address_public(wrapping: str, inner: str) -> None:
    wrapped = ipaddress.IPv6Address(WRAPPINGS[wrapping](int(ipaddress.IPv4Address(inner))))
    assert not is_public(str(wrapped))


def test_what_the_interpreter_calls_private_is_not_public() -> None:
    """At the edges of every block of either list, and one address beyond."""
    blocks = [ipaddress.ip_network(block) for block in SPECIAL_IPV4 + SPECIAL_IPV6]
    ends = [int(end) + step for block in blocks for end in (block[0], block[-1]) for step in (-1, 0, 1)]
    tried = 0
    for number in ends:
        for kind, bits in ((ipaddress.IPv4Address, 32), (ipaddress.IPv6Address, 128)):
            if 0 <= number < 1 << bits:
                address = kind(number)
                tried += 1
                assert address.is_global or not is_public(str(address)), address
    assert tried > 200


@pytest.mark.parametrize(
    "address",
    [
        *["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1"],
        *[
            "168.63.129.15",
            "168.63.129.17",
            "192.0.1.0",
            "192.88.98.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.1",
        ],
        *["2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101"],
        *["2001:200::1", "3ffe::1", "2606:4700::5efe:101:101"],
    ],
)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


def test_text_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="localhost"):
        is_public("localhost")
