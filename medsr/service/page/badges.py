"""States in words, shapes and tones, and ages for reading."""

from __future__ import annotations

from dataclasses import dataclass

from medsr.jobs.states import JobState

__all__ = ["BADGES", "Badge", "age_words", "bytes_words"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Badge:
    """A state as a reader sees it: word and shape say it, colour only repeats it."""

    title: str
    shape: str
    tone: str


BADGES: dict[JobState, Badge] = {
    "receiving": Badge("Receiving", "wait", "busy"),
    "queued": Badge("Queued", "wait", "busy"),
    "running": Badge("Running", "play", "busy"),
    "judging": Badge("Judging", "play", "busy"),
    "review": Badge("Held for review", "diamond", "hold"),
    "released": Badge("Released", "tick", "good"),
    "rejected": Badge("Rejected", "cross", "bad"),
    "blocked": Badge("Blocked", "stop", "bad"),
    "withdrawn": Badge("Withdrawn", "back", "bad"),
    "failed": Badge("Failed", "alert", "bad"),
    "cancelled": Badge("Cancelled", "dash", "idle"),
    "superseded": Badge("Superseded", "dash", "idle"),
    "purged": Badge("Purged", "dash", "idle"),
}


def age_words(seconds: float) -> str:
    """How long ago, to the unit that matters.

    >>> age_words(20), age_words(600), age_words(7300), age_words(260000)
    ('just now', '10 min', '2 h', '3 d')
    """
    if seconds < _MINUTE:
        return "just now"
    for unit, size, most in (("min", _MINUTE, _HOUR), ("h", _HOUR, 2 * _DAY)):
        if seconds < most:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds // _DAY:.0f} d"


def bytes_words(size: int) -> str:
    """A file size for reading.

    >>> bytes_words(900), bytes_words(2_300_000)
    ('900 bytes', '2.3 MB')
    """
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.3g} {unit}"
    return f"{size} bytes"
