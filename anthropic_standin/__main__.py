"""Runs the stand-in by itself: `python -m anthropic_standin`."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import threading
import time

from anthropic_standin.standin_server import OfflineServer

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5


def main() -> int:
    options = _parser().parse_args()
    # blocked before the server's thread begins, so that only `sigwait` sees them
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    if options.die_with_parent:
        _die_with_parent()
    try:
        with OfflineServer(options.host, options.port, record=not options.no_record) as server:
            print(f"offline stand-in on {server.url}", flush=True)
            signal.sigwait(stops)
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m anthropic_standin", description="A stand-in for the Anthropic API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--no-record", action="store_true", help="do not keep the last requests")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the parent ends")
    return parser


def _die_with_parent() -> None:
    parent = os.getppid()
    if prctl := getattr(ctypes.CDLL(None, use_errno=True), "prctl", None):  # only Linux has it
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    # the parent may have ended before the call
    if os.getppid() != parent:
        raise SystemExit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())
