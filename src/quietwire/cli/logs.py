"""Logs by structlog. Redaction is the default: only facts from a short list of keys get through."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    (
        "event",
        "level",
        "timestamp",
        "condition",
        "state",
        "where",
        "error",
        "count",
        "port",
        "domain",
        "peer",
        "version",
    )
)
"""Everything else is dropped: a new fact must be thought about before it can be logged."""


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keeps the allowed keys; a value that looks like an address loses it."""
    kept = {key: _plain(value) for key, value in event.items() if key in ALLOWED}
    event.clear()
    event.update(kept)
    return event


def _plain(value: Any) -> Any:
    text = str(value)
    return "[redacted]" if "@" in text or "<" in text else value


class Log:
    """What the server's `note` and `fault` write to: standard error, one line an event."""

    def __init__(self, level: str = "info", stream: Any = None) -> None:
        self._stream = stream or sys.stderr
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """From now on."""
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(self._stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
                redact,
                structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        )

    def note(self, event: str, **facts: str) -> None:
        self._logger.info(event, **facts)

    def warn(self, event: str, **facts: str) -> None:
        """Something that an administrator should look at."""
        self._logger.warning(event, **facts)

    def fault(self, error: BaseException) -> None:
        """A bug. The place is logged, the text is not: it may quote a stanza."""
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))
        self._logger.error("fault", error=type(error).__name__, where=where.replace("<", "(").replace(">", ")"))
