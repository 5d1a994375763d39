"""A socket in the file system: open to the server's user and one group."""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess, eventually


def ping(path: Path) -> bool:
    try:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(30)
            connection.connect(str(path))
            connection.sendall(b"GET /api/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def group_of_mine() -> grp.struct_group:
    """One that this process may give a file to, if there is one beside its own."""
    others = [gid for gid in os.getgroups() if gid != os.getegid()]
    if os.geteuid() == 0:
        others = [one.gr_gid for one in grp.getgrall() if one.gr_gid]
    if not others:
        pytest.skip("this user is in one group only")
    return grp.getgrgid(others[0])


def test_the_socket_is_for_its_user_and_the_group_that_is_named(
    tmp_path: Path, stand_in: OfflineServer
) -> None:
    path, group = tmp_path / "baton.sock", group_of_mine()
    settings = {"BATON_BIND": f"unix:{path}", "BATON_SOCKET_GROUP": group.gr_name}
    server = BatonProcess(tmp_path, model_url=stand_in.url, agents=AGENTS, settings=settings)
    try:
        server.launch()
        eventually(lambda: ping(path), "it answers on its socket")
        seen = path.stat()
        assert stat.S_IMODE(seen.st_mode) == 0o660
        assert seen.st_gid == group.gr_gid
    finally:
        server.kill()
