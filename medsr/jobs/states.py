"""The states of a job and the only steps between them; complete by construction.

    receiving ─complete▶ queued ─claim▶ running ─judge▶ judging ─publish▶ released | review | rejected | blocked
    review ─approve▶ released        review ─refuse▶ rejected        released ─withdraw▶ withdrawn
    running, judging ─lose, hand_back▶ queued          ─exhaust, fail▶ failed          ─block▶ blocked
    queued, running, judging ─cancel▶ cancelled        whatever may still be shown ─supersede▶ superseded
    whatever nobody computes any more ─purge▶ purged

Every (state, step) pair has an entry; an empty one is a step that is not allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from medsr.errors import TransitionError

__all__ = ["COMPUTING", "ENDED", "FINAL", "JUDGED", "STATES", "STEPS", "TABLE", "JobState", "JobStep", "step"]

JobState = Literal[
    "receiving", "queued", "running", "judging",
    "released", "review", "rejected", "blocked", "withdrawn",
    "failed", "cancelled", "superseded", "purged",
]  # fmt: skip
JobStep = Literal[
    "complete", "claim", "judge", "publish", "approve", "refuse", "withdraw", "hand_back", "lose", "exhaust", "fail",
    "block", "cancel", "supersede", "purge",
]  # fmt: skip

STATES: tuple[JobState, ...] = get_args(JobState)
STEPS: tuple[JobStep, ...] = get_args(JobStep)

COMPUTING: frozenset[JobState] = frozenset({"running", "judging"})
"""A worker holds a lease."""
FINAL: frozenset[JobState] = frozenset(
    {"released", "rejected", "blocked", "withdrawn", "failed", "cancelled", "superseded", "purged"}
)
"""Nobody is waited for. A reader may still withdraw what was released, and anything may be purged."""
ENDED: frozenset[JobState] = FINAL | {"review"}
"""Nothing is computed any more."""
JUDGED: frozenset[JobState] = frozenset({"released", "review", "rejected", "blocked", "withdrawn", "superseded"})
"""A report may be there."""

_ROWS: dict[JobState, dict[JobStep, tuple[JobState, ...]]] = {
    "receiving": {"complete": ("queued",), "fail": ("failed",), "cancel": ("cancelled",)},
    "queued": {
        "claim": ("running",), "block": ("blocked",), "cancel": ("cancelled",), "supersede": ("superseded",),
    },
    "running": {
        "judge": ("judging",), "hand_back": ("queued",), "lose": ("queued",), "exhaust": ("failed",),
        "fail": ("failed",), "block": ("blocked",), "cancel": ("cancelled",), "supersede": ("superseded",),
    },
    "judging": {
        "publish": ("released", "review", "rejected", "blocked"),
        "hand_back": ("queued",), "lose": ("queued",), "exhaust": ("failed",),
        "fail": ("failed",), "block": ("blocked",), "cancel": ("cancelled",), "supersede": ("superseded",),
    },
    "review": {
        "approve": ("released",), "refuse": ("rejected",), "supersede": ("superseded",), "purge": ("purged",),
    },
    "released": {"withdraw": ("withdrawn",), "supersede": ("superseded",), "purge": ("purged",)},
    "rejected": {"purge": ("purged",)},
    "blocked": {"purge": ("purged",)},
    "withdrawn": {"purge": ("purged",)},
    "failed": {"purge": ("purged",)},
    "cancelled": {"purge": ("purged",)},
    "superseded": {"purge": ("purged",)},
    "purged": {},
}  # fmt: skip

TABLE: Mapping[tuple[JobState, JobStep], tuple[JobState, ...]] = MappingProxyType(
    {(state, deed): _ROWS[state].get(deed, ()) for state in STATES for deed in STEPS}
)
"""States that a step may lead to; empty where the step is not allowed."""


def step(state: JobState, deed: JobStep, *, decided: JobState | None = None) -> JobState:
    """The state after a step.

    Parameters
    ----------
    decided : with ``publish`` alone, the gate's word.

    Raises
    ------
    TransitionError : ``job.transition``, for a step that the table does not allow.
    """
    allowed = TABLE.get((state, deed), ())
    if deed == "publish":
        if decided is None or decided not in allowed:
            raise TransitionError("job.transition", f"a job that is {state} cannot be published as {decided}")
        return decided
    if len(allowed) != 1:
        raise TransitionError("job.transition", f"{deed} is not allowed for a job that is {state}")
    return allowed[0]
