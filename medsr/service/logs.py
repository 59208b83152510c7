"""JSON logs of ids: one line an event, and a scrubber that lets nothing else through.

Whatever libraries write (uvicorn, SQLAlchemy, warnings) goes the same way, since their messages repeat values of
requests and files.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

__all__ = ["configure_logs", "scrub"]

_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_WORD = re.compile(r"[A-Za-z0-9_.:/{}+\-]{0,128}")
_KEYS = frozenset({
    "event", "level", "timestamp", "logger", "request", "method", "route", "status", "ms", "code", "kind", "errno",
    "job", "state", "stage", "attempt", "attempts", "worker", "owner", "key", "sha256", "input", "output", "bundle",
    "policy", "token", "seconds", "bytes", "count", "pid", "signal", "process", "port", "reason", "deed", "address",
    "version", "seq", "place", "exit", "n",
})  # fmt: skip
"""Keys that a log line may have; a new one is added here by somebody who asked what it may hold."""

Event = MutableMapping[str, Any]


def scrub(_logger: object, _method: str, event: Event) -> Event:
    """Keep known keys whose values are numbers or single words; say how many were dropped, not which."""
    kept: Event = {}
    for key, value in event.items():
        if key not in _KEYS:
            continue
        word = isinstance(value, str) and _WORD.fullmatch(value)
        if word or value is None or isinstance(value, bool | int | float):
            kept[key] = value
    if "event" in kept and not _EVENT.fullmatch(str(kept["event"])):
        del kept["event"]
    kept.setdefault("event", "log.foreign")
    dropped = len(event) - len([key for key in event if key in kept])
    if dropped > 0:
        kept["dropped"] = dropped
    return kept


def _foreign(_logger: object, _method: str, event: Event) -> Event:
    """Of a library's record only the logger's name, its level and the place in the code: messages quote values."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        return {"event": "log.foreign", "logger": record.name, "place": f"{record.module}:{record.lineno}",
                "level": record.levelname.lower(), "kind": error}  # fmt: skip
    return event


def configure_logs(*, level: str = "INFO") -> None:
    """Let every logger of this process write scrubbed JSON lines to stderr."""
    last: list[structlog.typing.Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        scrub,
        structlog.processors.JSONRenderer(sort_keys=True),
    ]
    structlog.configure(
        processors=[structlog.processors.add_log_level, *last],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[], processors=[_foreign, *last]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
