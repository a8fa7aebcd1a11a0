"""One thing that a check has found, and what all of them together mean for scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    OK = 0
    """Looked at, and as it should be."""
    NOTE = 1
    """A choice that one should know of."""
    WARNING = 2
    """Works, but not for everybody, not for long or not as safely as it could."""
    ERROR = 3
    """Does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`cause` is one line; `remedy` says what to do, '' where nothing is to be done."""

    severity: Severity
    area: str
    """configuration, certificate, dns, port, files or features."""
    subject: str
    """What it is about: a key of the configuration, a record, a file."""
    cause: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "severity": self.severity.name.lower(),
            "area": self.area,
            "subject": self.subject,
            "cause": self.cause,
            "remedy": self.remedy,
        }


def exit_status(findings: Iterable[Finding]) -> int:
    """0: nothing worse than a note, 1: warnings, 2: errors."""
    worst = max((finding.severity for finding in findings), default=Severity.OK)
    return {Severity.WARNING: 1, Severity.ERROR: 2}.get(worst, 0)
