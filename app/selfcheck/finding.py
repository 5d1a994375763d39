"""One thing that a check has found: in order, doubtful or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`failed` means that a server which starts all the same can't work, or breaks what it serves. `advice` says what
    to do; empty if there is nothing to be done."""

    state: Literal["ok", "warning", "failed"]
    subject: str  # the setting's name, or what else is meant
    text: str
    advice: str = ""

    @property
    def line(self) -> str:
        return f"{self.subject}: {self.text}: {self.advice}"
