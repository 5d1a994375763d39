"""Run by Python before anything else, in a server of these tests: hides what only Linux has.

With `PYTHON_HIDDEN_AS=darwin` in the environment Python also says that it runs on macOS. This is no Mac: what the
kernel does stays Linux's.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import sys
import types

for name in [one for one in dir(select) if one.lower().startswith("epoll") or one == "POLLRDHUP"]:
    delattr(select, name)  # before `selectors` looks for it

import socket
from collections.abc import Callable
from typing import Any

LINUX_ONLY = {
    os: (
        *("eventfd", "eventfd_read", "eventfd_write", "pidfd_open", "sched_getaffinity", "sched_setaffinity"),
        *("O_PATH", "O_TMPFILE", "O_DIRECT", "memfd_create", "copy_file_range", "splice", "getrandom"),
        *(
            "posix_fadvise",
            "posix_fallocate",
            "fdatasync",
            "getxattr",
            "setxattr",
            "listxattr",
            "removexattr",
        ),
        *("setns", "unshare", "pipe2", "accept4", "waitid", "P_PIDFD", "GRND_NONBLOCK", "getresuid"),
    ),
    signal: ("pidfd_send_signal", "sigwaitinfo", "sigtimedwait", "SIGPOLL", "SIGPWR", "SIGSTKFLT"),
    socket: (
        *("SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_QUICKACK", "TCP_CORK"),
        *("SO_PEERCRED", "SO_DOMAIN", "SO_PROTOCOL", "SO_BINDTODEVICE", "SO_MARK", "TCP_INFO"),
        *("TCP_DEFER_ACCEPT", "SO_INCOMING_CPU", "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC", "MSG_MORE"),
    ),
    resource: (
        "prlimit",
        "RLIMIT_NICE",
        "RLIMIT_RTPRIO",
        "RLIMIT_SIGPENDING",
        "RLIMIT_MSGQUEUE",
        "RLIMIT_OFILE",
    ),
}
LINUX_PLACES = ("/proc", "/sys", "/dev/shm", "/etc/machine-id")
LINUX_CALLS = ("prctl", "pidfd_open", "eventfd", "epoll_create1", "signalfd", "renameat2", "unshare")


def is_hidden(path: object) -> bool:
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    elif isinstance(path, os.PathLike):
        path = os.fspath(path)
    return isinstance(path, str) and any(path == one or path.startswith(f"{one}/") for one in LINUX_PLACES)


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """For whatever opens or lists such a place, and for calls into the C library."""
    if event in ("open", "os.listdir", "os.scandir") and is_hidden(arguments[0]):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])
    if event == "ctypes.dlsym" and arguments[1] in LINUX_CALLS:
        raise AttributeError(f"symbol not found: {arguments[1]}")


def hiding(call: Callable[..., Any]) -> Callable[..., Any]:
    def hidden(path: Any, *more: Any, **options: Any) -> Any:
        if is_hidden(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return call(path, *more, **options)

    return hidden


def no_limit_by_that_number(limit: int) -> None:
    """RLIMIT_LOCKS, by its number: macOS knows nine limits."""
    if limit >= 9:
        raise ValueError("invalid resource specified")


def hide() -> None:
    for module, names in LINUX_ONLY.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in ("stat", "lstat", "readlink", "access"):
        replaced = hiding(getattr(os, name))
        for supported in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd):
            if getattr(os, name) in supported:
                supported.add(replaced)
        setattr(os, name, replaced)
    get, set_ = resource.getrlimit, resource.setrlimit

    def getrlimit(limit: int) -> tuple[int, int]:
        no_limit_by_that_number(limit)
        return get(limit)

    def setrlimit(limit: int, values: tuple[int, int]) -> None:
        no_limit_by_that_number(limit)
        if limit == resource.RLIMIT_AS:
            raise ValueError("current limit exceeds maximum limit")  # what a Mac with Apple's processors says
        set_(limit, values)

    resource.getrlimit, resource.setrlimit = getrlimit, setrlimit
    sys.addaudithook(refuse)


def say_darwin() -> None:
    """The names that macOS has, beside those that it has not."""
    name = os.uname()
    data = f"_sysconfigdata__{sys.platform}_{sys.implementation._multiarch}"
    os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = data  # this Python was not built on a Mac
    sys.platform = "darwin"
    setattr(
        os, "uname", lambda: os.uname_result(("Darwin", name.nodename, "24.6.0", "Darwin Kernel", "arm64"))
    )
    setattr(socket, "TCP_KEEPALIVE", 0x04)  # this kernel's TCP_KEEPIDLE
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))  # as a terminal gives it
    proxies = types.ModuleType("_scproxy")

    def unsafe() -> Any:
        raise AssertionError("macOS can't ask for its proxies in a process that was forked")

    setattr(proxies, "_get_proxies", unsafe)
    setattr(proxies, "_get_proxy_settings", unsafe)
    sys.modules["_scproxy"] = proxies


hide()
if os.environ.get("PYTHON_HIDDEN_AS") == "darwin":
    say_darwin()
