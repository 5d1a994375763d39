"""Runs the stand-in by itself: `python -m anthropic_standin`."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys

from anthropic_standin.standin_server import OfflineServer

_PR_SET_PDEATHSIG = 1


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
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the parent ends (Linux)")
    return parser


def _die_with_parent() -> None:
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # the parent may have ended before the call
    if os.getppid() != parent:
        raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
