"""gunicorn's settings for the afternoon relay: every number of ours, without the hooks that start Baton."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

_NOT_THE_RELAYS = {"wsgi_app", "on_starting", "post_worker_init", "on_exit", "settings"}

_environment = dict(os.environ)
_ours = runpy.run_path(str(Path(__file__).parents[1] / "gunicorn.conf.py"))
globals().update(
    {name: value for name, value in _ours.items() if name not in _NOT_THE_RELAYS and name[0] != "_"}
)

os.environ.update(_environment)  # ours hide the key, which the relay reads where everybody does
wsgi_app = "bench.afternoon_relay:app"
