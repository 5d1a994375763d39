"""Was a request made by a page of this very server, or by one of another origin?"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def host_name(host: str) -> str:
    """The name in a `Host` header, without the port and in lower case; "?" if it makes no sense."""
    address = _split(f"//{host}")
    return "?" if address is None else (address.hostname or "").lower()


def is_same_origin(origin: str, *, host: str, scheme: str, listens_on: int | None, fetch_site: str) -> bool:
    """Compares names always, scheme and port wherever that is safe.

    A browser says itself where a request came from (`Sec-Fetch-Site`), and it knows the true address behind
    whatever proxy. Where it says nothing, ports are compared if `Host` has one, or if this process listens on a
    default port (None: on no port). Else a proxy has left the port out, and what was asked for is not known.
    """
    page, asked = _split(origin), _split(f"//{host}")
    if page is None or asked is None or page.scheme not in DEFAULT_PORTS or not page.hostname:
        return False
    if page.hostname.lower() != (asked.hostname or "").lower():
        return False
    if fetch_site:
        return fetch_site in ("same-origin", "none")
    if scheme == "https" and page.scheme != "https":
        return False
    default = DEFAULT_PORTS[page.scheme]
    if asked.port is None and listens_on not in DEFAULT_PORTS.values():
        return True
    return (page.port or default) == (asked.port or default)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is only now found to be none
    except ValueError:
        return None
    return parts
