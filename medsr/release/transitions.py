"""The states of a judged result and the only steps between them; complete by construction.

    received ──work_done──▶ restored ──work_done──▶ judged ──decide──▶ released | review | rejected
    review ──approve──▶ released        review ──refuse──▶ rejected        released ──withdraw──▶ withdrawn

Every (state, event) pair has an entry. An empty one is a step that is not allowed: the state stays, and the attempt
is an error. What goes wrong never leads towards release.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from medsr.errors import TransitionError

__all__ = ["EVENTS", "STATES", "TRANSITIONS", "Event", "State", "step"]

State = Literal["received", "restored", "judged", "review", "released", "rejected", "blocked", "withdrawn", "failed"]
Event = Literal["work_done", "decide", "approve", "refuse", "withdraw", "error", "hash_differs"]

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)

_NOT_ALLOWED: tuple[State, ...] = ()


def _row(
    *,
    work_done: State | None = None,
    decide: tuple[State, ...] = _NOT_ALLOWED,
    approve: State | None = None,
    refuse: State | None = None,
    withdraw: State | None = None,
    error: State,
    hash_differs: State,
) -> dict[Event, tuple[State, ...]]:
    return {
        "work_done": (work_done,) if work_done else _NOT_ALLOWED,
        "decide": decide,
        "approve": (approve,) if approve else _NOT_ALLOWED,
        "refuse": (refuse,) if refuse else _NOT_ALLOWED,
        "withdraw": (withdraw,) if withdraw else _NOT_ALLOWED,
        "error": (error,),
        "hash_differs": (hash_differs,),
    }


def _ended(state: State) -> dict[Event, tuple[State, ...]]:
    """A state that nothing leaves."""
    return _row(error=state, hash_differs=state)


_ROWS: dict[State, dict[Event, tuple[State, ...]]] = {
    "received": _row(work_done="restored", error="failed", hash_differs="blocked"),
    "restored": _row(work_done="judged", error="blocked", hash_differs="blocked"),
    "judged": _row(decide=("released", "review", "rejected", "blocked"), error="blocked", hash_differs="blocked"),
    "review": _row(approve="released", refuse="rejected", error="review", hash_differs="blocked"),
    "released": _row(withdraw="withdrawn", error="released", hash_differs="withdrawn"),
    "rejected": _ended("rejected"),
    "blocked": _ended("blocked"),
    "withdrawn": _ended("withdrawn"),
    "failed": _ended("failed"),
}

TRANSITIONS: Mapping[tuple[State, Event], tuple[State, ...]] = MappingProxyType(
    {(state, event): _ROWS[state][event] for state in STATES for event in EVENTS}
)
"""States that a step may lead to; empty where the step is not allowed."""


def step(state: State, event: Event, *, decided: State | None = None) -> State:
    """The state after an event.

    Parameters
    ----------
    decided : with ``decide`` alone, what the policy says; must be one of the states that the table allows.

    Raises
    ------
    TransitionError : ``release.transition``, for a step that the table does not allow or does not know.
    """
    allowed = TRANSITIONS.get((state, event), _NOT_ALLOWED)
    if event == "decide":
        if decided is None or decided not in allowed:
            raise TransitionError("release.transition", f"{state} cannot be decided to be {decided}")
        return decided
    if len(allowed) != 1:
        raise TransitionError("release.transition", f"{event} is not allowed in state {state}")
    return allowed[0]
