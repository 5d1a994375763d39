"""Connections whose descriptor has a number that was another's before."""

from __future__ import annotations

import os
import socket


def connection_with(number: int) -> tuple[socket.socket, socket.socket]:
    """A connected pair whose second end has this descriptor, which must be free."""
    one, other = socket.socketpair()
    if one.fileno() == number:
        return other, one
    if other.fileno() != number:
        os.dup2(other.fileno(), number)
        other.close()
        other = socket.socket(fileno=number)
    return one, other
