"""The release table is complete, and nothing that goes wrong leads towards release."""

from __future__ import annotations

import pytest

from medsr.errors import TransitionError
from medsr.release.transitions import EVENTS, STATES, TRANSITIONS, step

SAME = "same"
TABLE = {
    # state: work_done, decide, approve, refuse, withdraw, error, hash_differs; None is not allowed
    "received": ("restored", None, None, None, None, "failed", "blocked"),
    "restored": ("judged", None, None, None, None, "blocked", "blocked"),
    "judged": (None, ("released", "review", "rejected", "blocked"), None, None, None, "blocked", "blocked"),
    "review": (None, None, "released", "rejected", None, SAME, "blocked"),
    "released": (None, None, None, None, "withdrawn", SAME, "withdrawn"),
    "rejected": (None, None, None, None, None, SAME, SAME),
    "blocked": (None, None, None, None, None, SAME, SAME),
    "withdrawn": (None, None, None, None, None, SAME, SAME),
    "failed": (None, None, None, None, None, SAME, SAME),
}
PAIRS = [(state, event, TABLE[state][place]) for state in TABLE for place, event in enumerate(EVENTS)]


def test_every_state_and_event_has_an_entry():
    """The columns of TABLE are these events in this order: 9 states by 7 events."""
    assert EVENTS == ("work_done", "decide", "approve", "refuse", "withdraw", "error", "hash_differs")
    assert len(PAIRS) == 63
    assert all(len(row) == len(EVENTS) for row in TABLE.values())
    assert set(TRANSITIONS) == {(state, event) for state in STATES for event in EVENTS}
    assert set(TABLE) == set(STATES)


@pytest.mark.parametrize(("state", "event", "wanted"), PAIRS)
def test_each_step_leads_where_the_table_says(state, event, wanted):
    if wanted is None:
        with pytest.raises(TransitionError) as caught:
            step(state, event, decided="released" if event == "decide" else None)
        assert caught.value.code == "release.transition"
    elif isinstance(wanted, tuple):
        assert tuple(step(state, event, decided=word) for word in wanted) == wanted
    else:
        assert step(state, event) == (state if wanted == SAME else wanted)


@pytest.mark.parametrize("word", ["received", "judged", "withdrawn", "failed", "approved", None])
def test_a_decision_cannot_invent_a_state(word):
    with pytest.raises(TransitionError):
        step("judged", "decide", decided=word)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("word", STATES)
def test_only_what_was_judged_is_decided_and_only_by_four_words(state, word):
    if state == "judged" and word in ("released", "review", "rejected", "blocked"):
        assert step(state, "decide", decided=word) == word
    else:
        with pytest.raises(TransitionError):
            step(state, "decide", decided=word)


@pytest.mark.parametrize("state", STATES)
def test_an_error_or_a_wrong_hash_never_leads_towards_release(state):
    """A released result stays released on an error, and is withdrawn when its bytes differ."""
    for event in ("error", "hash_differs"):
        after = step(state, event)
        assert after != "review" or state == "review"
        assert after != "released" or (state, event) == ("released", "error")


@pytest.mark.parametrize(("state", "event"), [("unknown", "approve"), ("review", "unknown"), ("", "")])
def test_an_unknown_state_or_event_is_no_step(state, event):
    with pytest.raises(TransitionError):
        step(state, event)


def test_only_a_decision_or_an_approval_leads_to_released():
    ways = {(state, event) for (state, event), after in TRANSITIONS.items() if "released" in after}
    assert ways == {("judged", "decide"), ("review", "approve"), ("released", "error")}
