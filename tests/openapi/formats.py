"""Formats that schemathesis has to be told: texts that look like any other, but stand for something outside of them.

It is loaded by its command line, as SCHEMATHESIS_HOOKS; `ROOT_OF_THE_FUZZER` is a directory that exists.
"""

from __future__ import annotations

import os
from typing import Final

import schemathesis
from hypothesis import strategies

PIXEL: Final = (
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
    "https://example.org/picture.png",
    "http://example.org/",
)

schemathesis.openapi.format("image-url", strategies.sampled_from(PIXEL))
schemathesis.openapi.format("document-data", strategies.just("YSB0ZXh0"))
schemathesis.openapi.format(
    "permission-pattern", strategies.sampled_from(("shell", "*:path=*.env", "fetch:url=https://x*"))
)
schemathesis.openapi.format(
    "directory", strategies.sampled_from(("", os.environ.get("ROOT_OF_THE_FUZZER", "")))
)
