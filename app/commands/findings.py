"""One finding of `baton doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """`advice` says what to do; empty if there is nothing to be done."""

    state: Literal["ok", "warning", "failed"]
    subject: str
    text: str
    advice: str = ""
