"""Histories of workers that die, stall, wake and race, on a made clock: promises 1 to 3 hold in each of them.

The model knows what was acknowledged and what was published, and nothing of how the store does it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.stores import LIMITS, READER, FakeTime, fake_random, queued, release_of

from medsr.errors import Conflict, TransitionError
from medsr.jobs import audit
from medsr.jobs.checks import check_rows
from medsr.jobs.claims import beat, claim, hand_back, judging, reap
from medsr.jobs.decisions import decide
from medsr.jobs.events import events_after
from medsr.jobs.listing import job
from medsr.jobs.nouns import Progress
from medsr.jobs.publish import publish
from medsr.jobs.results import result_files
from medsr.jobs.states import COMPUTING, ENDED
from medsr.jobs.store import close_store, open_store
from medsr.jobs.submit import cancel

_SHOWN = ("released", "review", "rejected", "blocked")


class Histories(RuleBasedStateMachine):
    """Two jobs' worth of workers; every claim ever made stays in play as a possible zombie."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed):
        # Memory, not disk: a history loses processes, never power.
        memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a folder of its own in it
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.time = FakeTime()
        self.store = open_store(self.folder / "store", limits=LIMITS, clock=self.time.clock, random=fake_random(seed))
        self.acknowledged, self.claims, self.outputs, self.works = {}, [], {}, 0
        self.queue(False)

    def teardown(self):
        if hasattr(self, "store"):
            close_store(self.store)
            shutil.rmtree(self.folder)

    @rule(again=st.booleans())
    def queue(self, again):
        if len(self.acknowledged) < 3 or again:
            self.acknowledged[queued(self.store, bytes([len(self.acknowledged)])).id] = False

    @rule()
    def claim(self):
        held = claim(self.store, "w")
        if held is not None:
            self.claims.append(held)

    @rule(seconds=st.sampled_from([1.0, 6.0, 19.0, 25.0]))
    def sleep(self, seconds):
        self.time.sleep(seconds)

    @rule(seconds=st.sampled_from([3600.0, -3600.0, 86_400.0]))
    def jump(self, seconds):
        self.time.wall += seconds

    @rule()
    def reboot(self):
        self.time.epoch, self.time.steady = self.time.epoch + "'", 1.0

    @rule()
    def reap(self):
        reap(self.store)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), word=st.sampled_from(["released", "review", "rejected"]))
    def work(self, data, word):
        """Any claim, however old, goes on with its work as if nothing had happened."""
        held = data.draw(st.sampled_from(self.claims))
        before = job(self.store, held.job_id)
        deed = data.draw(st.sampled_from(["beat", "judge", "publish", "hand_back"]))
        self.works += 1
        try:
            if deed == "beat":
                assert (beat(self.store, held, Progress("restore", 0.5)) == "lost") == (not self.holds(before, held))
                return
            if deed == "judge":
                judging(self.store, held)
            elif deed == "hand_back":
                hand_back(self.store, held)
            else:
                made = release_of(self.folder / str(self.works), word, image=str(self.works).encode())
                done = publish(self.store, held, made)
                if done.state != "cancelled":
                    assert held.job_id not in self.outputs, "published twice"
                    self.outputs[held.job_id] = done.output_sha256
        except Conflict:
            wanted = ("judging",) if deed == "publish" else ("running",) if deed == "judge" else tuple(COMPUTING)
            assert before.token != held.token or before.state not in wanted
        else:
            assert self.holds(before, held), "a zombie had its way"

    def holds(self, before, held):
        return before.token == held.token and before.state in COMPUTING

    @rule(data=st.data())
    def cancel(self, data):
        asked = data.draw(st.sampled_from(sorted(self.acknowledged)))
        try:
            cancel(self.store, asked, owner=None, actor="x")
            self.acknowledged[asked] = True
        except TransitionError:
            assert job(self.store, asked).state in ENDED

    @rule(data=st.data())
    def approve(self, data):
        seen = job(self.store, data.draw(st.sampled_from(sorted(self.acknowledged))))
        if seen.state == "review":
            decide(
                self.store, seen.id, reader=READER, identity="A. Reader", verdict="released", reason="compared",
                output_sha256=seen.output_sha256, etag=seen.etag,
            )  # fmt: skip

    @invariant()
    def promises_hold(self):
        if not hasattr(self, "store"):
            return
        for name, cancelled in self.acknowledged.items():
            found = job(self.store, name)  # promise 1: there, and as it was written
            assert found.output_sha256 == self.outputs.get(name)  # promise 3: one content
            assert found.attempts <= LIMITS.attempts
            assert found.state != "cancelled" or cancelled
            if found.state in _SHOWN:
                assert result_files(self.store, name)
            told = [event.data.get("verdict") for event in events_after(self.store, name)]
            assert len([word for word in told if word]) == (name in self.outputs)
        assert check_rows(self.store) == ()  # promise 2: every release has its pass or decision
        audit.verify(self.store)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
