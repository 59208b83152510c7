"""The job's table of states is complete, and nothing leaves it but by its steps."""

from __future__ import annotations

import itertools

import pytest

from medsr.errors import TransitionError
from medsr.jobs.states import COMPUTING, ENDED, FINAL, JUDGED, STATES, STEPS, TABLE, step
from medsr.release.transitions import STATES as JUDGED_STATES


def test_every_pair_has_an_entry_and_leads_to_known_states():
    assert set(TABLE) == set(itertools.product(STATES, STEPS))
    assert {state for after in TABLE.values() for state in after} <= set(STATES)


@pytest.mark.parametrize(("state", "deed"), [pair for pair, after in TABLE.items() if not after])
def test_a_step_that_the_table_lacks_is_refused(state, deed):
    with pytest.raises(TransitionError, match=r"job.transition"):
        step(state, deed, decided="released" if deed == "publish" else None)


def test_released_is_reached_by_publishing_and_by_a_reader_alone():
    ways = {(state, deed) for (state, deed), after in TABLE.items() if "released" in after}
    assert ways == {("judging", "publish"), ("review", "approve")}


def test_what_is_final_is_never_queued_or_run_again():
    seen, edge = set(FINAL), set(FINAL)
    while edge:
        edge = {after for (state, _), to in TABLE.items() if state in edge for after in to} - seen
        seen |= edge
    assert seen == FINAL
    assert {"review"} | FINAL == ENDED
    assert not COMPUTING & ENDED


def test_judged_states_are_those_of_the_release_table():
    assert JUDGED - {"superseded"} <= set(JUDGED_STATES)


def test_an_undecided_publication_is_refused():
    with pytest.raises(TransitionError, match=r"cannot be published as None"):
        step("judging", "publish")
    with pytest.raises(TransitionError, match=r"cannot be published as failed"):
        step("judging", "publish", decided="failed")
