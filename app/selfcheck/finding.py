"""One thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`fatal` means that a server which starts all the same can't work, or breaks what it serves."""

    subject: str  # the setting's name, or what else is meant
    problem: str
    remedy: str
    fatal: bool = False

    @property
    def line(self) -> str:
        return f"{self.subject}: {self.problem}: {self.remedy}"
