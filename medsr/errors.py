"""Every error medsr raises on purpose, and the remedy that goes with each reason code.

    MedsrError
    ├── Refusal          input that medsr will not process            exit 5, HTTP 422
    ├── UsageError       a request that does not make sense           exit 2, HTTP 400
    ├── MissingExtra     an optional dependency is not installed      exit 2
    ├── IntegrityError   stored bytes are not what they were          exit 4
    ├── TransitionError  a step that a table does not allow           exit 1
    ├── NotFound         no such thing, or not the asker's            exit 2, HTTP 404
    ├── Conflict         somebody else was first                      exit 1, HTTP 409
    ├── Denied           the key does not allow it                    exit 2, HTTP 401, 403
    └── Unavailable      busy, full or read-only: try again           exit 1, HTTP 503, 507

A reason code is ``room.fact`` and never changes its meaning; docs/reason-codes.md lists them all.
"""

from __future__ import annotations

from medsr.remedies import REMEDIES

__all__ = [
    "Conflict",
    "Denied",
    "IntegrityError",
    "MedsrError",
    "MissingExtra",
    "NotFound",
    "Refusal",
    "TransitionError",
    "Unavailable",
    "UsageError",
]


class MedsrError(Exception):
    """Base of all errors that medsr raises on purpose.

    Parameters
    ----------
    code : stable reason code, ``room.fact``; must stand in :data:`medsr.remedies.REMEDIES`.
    fact : one clause with the figure: what was found, where, how much. Never patient text.
    """

    exit_code = 1

    def __init__(self, code: str, fact: str) -> None:
        self.code, self.fact, self.remedy = code, fact, REMEDIES[code]
        super().__init__(f"{fact} [{code}]")

    def __reduce__(self) -> tuple[type[MedsrError], tuple[str, str]]:
        return type(self), (self.code, self.fact)


class Refusal(MedsrError):
    """Input that medsr will not process (exit 5, HTTP 422)."""

    exit_code = 5


class UsageError(MedsrError):
    """A request that contradicts itself or lacks something (exit 2)."""

    exit_code = 2


class MissingExtra(MedsrError):
    """An optional dependency that this deed needs is not installed (exit 2)."""

    exit_code = 2


class IntegrityError(MedsrError):
    """Stored bytes do not hash to what was recorded (exit 4)."""

    exit_code = 4


class TransitionError(MedsrError):
    """A step that a transition table, of a release or of a job, does not allow."""

    exit_code = 1


class NotFound(MedsrError):
    """No such job, input, key or file, or one that is not the asker's (exit 2, HTTP 404)."""

    exit_code = 2


class Conflict(MedsrError):
    """What the asker saw is no longer so: somebody else was first (exit 1, HTTP 409)."""

    exit_code = 1


class Denied(MedsrError):
    """The key is unknown or does not allow this (exit 2, HTTP 401 or 403)."""

    exit_code = 2


class Unavailable(MedsrError):
    """The store is busy, full or read-only; the same request may succeed later (exit 1, HTTP 503 or 507)."""

    exit_code = 1
