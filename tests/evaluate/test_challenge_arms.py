"""The other arms of the challenge on the demo head, and the table of goals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medsr.errors import UsageError
from medsr.evaluate.cases import slab
from medsr.evaluate.challenge import Challenge, ChallengePlan
from medsr.evaluate.challenge_album import Album
from medsr.evaluate.challenge_arms import OTHER_ARMS, Trial, run_arm
from medsr.evaluate.challenge_files import ChallengeRequest, challenge_files
from medsr.evaluate.challenge_goals import goals_of, goals_table, shares_table, simulated_coverage
from medsr.io import read
from medsr.models.bundle import find_bundle
from medsr.validation.challenge import Outcome, Twin
from tests.support.restorations import perfect


@pytest.fixture(scope="module")
def head():
    """Two slices of the demo head."""
    from medsr.resources import data_root

    volume = read(data_root("validation") / "demo" / "t1_head.nii.gz")
    return slab(volume, 4, 6)


@pytest.mark.slow
@pytest.mark.parametrize("arm", sorted(OTHER_ARMS))
def test_every_arm_runs_and_says_what_it_did(head, arm):
    """Each gives trials of its own name with finite readings where it promises any."""
    trials = run_arm(arm, "t1_head", head, "demo", bundle=find_bundle("MR", task="denoise"), places=4)
    assert trials
    assert {trial.arm for trial in trials} == {arm}
    if arm == "null":
        paired = [trial for trial in trials if "paired" in trial.what]
        assert all(trial.value <= 1e-5 for trial in paired)
        null, plain = ([t.value - t.truth for t in trials if word in t.what] for word in ("null disc", "plain disc"))
        assert np.mean(plain) > np.mean(null) + 0.2
    if arm == "operator":
        shift = next(trial for trial in trials if trial.what == "shift .25 px, true image")
        assert shift.right
        assert shift.value == pytest.approx(0.25, abs=0.1)
    if arm == "noise":
        assert all(trial.right for trial in trials if "20" in trial.what)


def outcome(number, *, found, dprime=8.0):
    return Outcome("scan", f"s{number}", "MR", "MR denoise 5 %", "insertion", dprime, 8.0, 1, found)


def test_goals_say_pass_fail_or_not_judged(tmp_path):
    """V1 by share, lower bound and false flags; what no arm measured is not judged; published outputs by their file."""
    twins = [Twin("scan", "s0", "MR", "MR denoise 5 %", 4, 0, 4.0, "")]
    good = Challenge(outcomes=[outcome(n, found=n > 0) for n in range(100)], twins=twins)
    bad = Challenge(outcomes=[outcome(n, found=n > 9) for n in range(100)], twins=twins)
    file = tmp_path / "references.json"
    file.write_text(json.dumps({"V11": {"figure": "21, 22, 16, 17", "reached": True}}))
    words = {goal.name: goal.word for goal in goals_of(good, references=file, draws=200)}
    assert (words["V1 MR"], words["V4 MR"], words["V5"], words["V11"]) == ("pass", "not judged", "not judged", "pass")
    assert words["V10"] == "fail"
    assert {goal.name: goal.word for goal in goals_of(bad, records=["One lesion"], draws=200)}["V1 MR"] == "fail"
    assert goals_table(goals_of(bad, draws=200))[2].startswith("| V1 MR | d' 8, 10, 12")


def test_a_share_comes_with_both_intervals():
    """Exact over trials, bootstrapped over subjects."""
    trials = [Trial("input", "scan", f"s{n % 4}", "MR", "d' 8, 8 px", n > 1, 0.8) for n in range(20)]
    row = shares_table(trials)[-1]
    assert "18 of 20 | 90 % | 68 to 99 %" in row
    assert row.endswith("| 4 |")


def test_coverage_of_simulated_certificates_is_what_it_says():
    """A thousand calibrations: the bound breaks its promise in about one of twenty, never in one of ten."""
    assert 0.93 <= simulated_coverage(1000) <= 0.99


def test_the_album_keeps_the_ten_worst(tmp_path):
    """Fifteen offered, ten kept, worst first, as small PNG files."""
    album, made = Album(), perfect("MR")
    for number in range(15):
        album.offer(float(number % 15), f"case {number}", made, 1, (60, 50))
    titles = album.write(tmp_path)
    assert titles[0] == "worst-01.png: case 14"
    assert len(titles) == len(list(tmp_path.glob("*.png"))) == 10
    assert (tmp_path / "worst-01.png").read_bytes()[:4] == b"\x89PNG"
    assert max(path.stat().st_size for path in tmp_path.glob("*.png")) < 120_000


def test_an_arm_that_is_none_is_refused(tmp_path):
    """With the arms that there are."""
    with pytest.raises(UsageError) as error:
        challenge_files(ChallengeRequest((str(tmp_path),), ChallengePlan(arms=("sideways",))), log=print)
    assert error.value.code == "challenge.arm"
