"""The addresses of tool servers in the form in which two of them are compared."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


def server_key(url: str) -> str:
    """Without regard to case, to the scheme's own port and to slashes at the end."""
    parts = urlsplit(url.lower())
    try:
        port = parts.port
    except ValueError:
        return url.lower()  # nobody is there
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    place = host if port in (None, _PORTS.get(parts.scheme)) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}{query}"
