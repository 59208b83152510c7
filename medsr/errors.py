"""Every error medsr raises on purpose, and the remedy that goes with each reason code.

    MedsrError
    ├── Refusal          input that medsr will not process            exit 5, HTTP 422
    ├── UsageError       a request that does not make sense           exit 2, HTTP 400
    ├── MissingExtra     an optional dependency is not installed      exit 2
    ├── IntegrityError   stored bytes are not what they were          exit 4
    └── TransitionError  a step the release table does not allow      exit 1

A reason code is ``room.fact`` and never changes its meaning; docs/reason-codes.md lists them all.
"""

from __future__ import annotations

from medsr.remedies import REMEDIES

__all__ = [
    "IntegrityError",
    "MedsrError",
    "MissingExtra",
    "Refusal",
    "TransitionError",
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
    """A step that the release transition table does not allow."""

    exit_code = 1
