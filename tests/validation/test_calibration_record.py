"""Records: what one is bound to, and that nothing else is judged by it."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace

import pytest

from medsr.errors import Refusal
from medsr.physics import MagnitudeNoise
from medsr.records import CalibrationUse, ChannelResult, ModelIdentity
from medsr.settings import Settings
from medsr.validation import calibration_use
from medsr.validation.calibration import Normalisation, ScoredSubject
from medsr.validation.calibration_record import CalibrationRecord, binding_of, read_record
from medsr.validation.calibration_use import calibrated, find_record, keep_score, matches
from medsr.validation.judge import judge
from medsr.validation.strata import stratum_of
from tests.support.restorations import perfect
from tests.support.volumes import geometry

TODAY = datetime.date(2027, 3, 1)
POLICY = "p" * 64
MODEL = ModelIdentity("mr-inplane", "1.0", "a" * 64, "regress", precision="bf16")


def restoration(**changes):
    """A perfect MR restoration at 3.75 % noise and 1.5 mm, made by MODEL."""
    made = perfect("MR")
    grid = geometry(made.geometry.shape, (1.5, 1.5, 5.0))
    measured = replace(made.measured, geometry=grid, degradation={"reference": {"q": 800.0}})
    return replace(replace(made, measured=measured, geometry=grid, model=MODEL), **changes)


def record(**changes) -> CalibrationRecord:
    """35 subjects without a miss, bound to :func:`restoration`."""
    subjects = tuple(ScoredSubject(f"s{number}", 0.1 * number, 9.0 + number) for number in range(35))
    channels = ("R1", "R2", "R3", "R4", "R1w", "R4w")
    normal = Normalisation(dict.fromkeys(channels, 0.0), dict.fromkeys(channels, 0.5))
    made = CalibrationRecord(
        binding=binding_of(restoration()), policies={"clinical": POLICY}, normalisation=normal,
        null_thresholds={"N1": 2.0}, spread=0.9, beta=0.1, subjects=subjects, created=datetime.date(2027, 1, 1),
        expires=datetime.date(2028, 1, 1), folds={"A": {"a": "0"}, "B": {"b": "1"}}, sites="35 of one scanner",
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site's calibration folder, and one for scores, in force."""
    chosen = Settings(calibration=tmp_path / "records", calibration_scores=tmp_path / "scores")
    monkeypatch.setattr(calibration_use, "settings", lambda: chosen)
    return chosen.calibration


def stored(site, made: CalibrationRecord):
    """The record, written where it is looked for."""
    path = site / made.binding.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.to_bytes())
    return path


def test_a_record_comes_back_as_it_was_written(tmp_path):
    """Binding, scores and promise survive the file; the name says bundle, task, stratum, engine and precision."""
    made = record()
    path = stored(tmp_path, made)
    again = read_record(path)
    assert again.to_bytes() == made.to_bytes()
    assert again.binding == made.binding
    assert made.binding.name == "aaaaaaaaaaaa/denoise-mr-x1-low-1.1to2.1mm-torch-bf16.json"
    assert again.certificate.threshold == pytest.approx(8.95)
    assert again.sentence.startswith(
        "One lesion of this class in each of 35 subjects of these scanners: 0 released unse"
    )


def test_a_matching_record_gives_score_promise_and_scanners(site):
    """The judge under the record: S, n, the sentence, the threshold, and whose scanners they were."""
    stored(site, record())
    judgement = judge(restoration(), policy_sha256=POLICY, today=TODAY)
    assert judgement.error is None
    assert isinstance(judgement.calibration, CalibrationUse)
    assert (judgement.calibration.n, judgement.calibration.threshold) == (35, pytest.approx(8.95))
    values = {item.name: item.value for item in judgement.channels}
    assert judgement.score == pytest.approx(max(2 * values[name] for name in ("R1", "R2", "R3", "R4")))
    assert any("35 of one scanner" in sentence for sentence in judgement.limits)


def test_without_a_record_nothing_is_promised(site):
    """An empty folder: no score, no calibration."""
    judgement = judge(restoration(), policy_sha256=POLICY, today=TODAY)
    assert (judgement.score, judgement.calibration) == (None, None)


def test_judging_without_a_policy_looks_for_no_record(site):
    """A calibration itself must not be judged under an earlier one."""
    stored(site, record())
    assert judge(restoration()).calibration is None


CHANGED = {
    "weights": {"model": replace(MODEL, sha256="b" * 64)},
    "method": {"model": replace(MODEL, method="gan")},
    "fidelity": {"model": replace(MODEL, fidelity=0.5)},
    "steps": {"model": replace(MODEL, steps=4)},
    "samples": {"model": replace(MODEL, samples=8)},
    "engine": {"model": replace(MODEL, engine="openvino")},
    "precision": {"model": replace(MODEL, precision="fp32")},
    "model": {"model": None},
    "task": {"task": "superres"},
}


@pytest.mark.parametrize("field", sorted(CHANGED))
def test_a_record_of_another_field_is_not_used(site, field):
    """Each bound field alone keeps a record from speaking, even where the file's name is that of the other."""
    other = restoration(**CHANGED[field])
    wanted = binding_of(other)
    stored(site, record())
    if wanted is not None:
        path = site / wanted.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record().to_bytes())
    assert find_record(other, policy_sha256=POLICY, today=TODAY)[0] is None


def test_a_record_of_another_operator_noise_or_grid_is_not_used(site):
    """An estimated operator, another noise level, another spacing: other strata, other records."""
    stored(site, record())
    made = restoration()
    estimated = replace(made, operator=replace(made.operator, provenance="estimated"))
    loud = replace(
        made,
        noise=replace(made.noise, sigma=60.0),
        operator=replace(made.operator, noise=MagnitudeNoise(60.0)),
    )
    user = replace(made, noise=replace(made.noise, provenance="user"))
    fine = geometry(made.geometry.shape, (0.8, 0.8, 5.0))
    small = replace(made, geometry=fine, measured=replace(made.measured, geometry=fine))
    for other in (estimated, loud, user, small):
        assert find_record(other, policy_sha256=POLICY, today=TODAY)[0] is None
    assert find_record(made, policy_sha256="q" * 64, today=TODAY)[0] is None
    assert find_record(made, policy_sha256=POLICY, today=TODAY)[0] is not None
    assert not matches(record(), binding_of(estimated), policy_sha256=POLICY)


def test_strata_end_where_their_classes_end():
    """3.75 % is low, 7.5 % high, 15 % and 3 mm none at all."""
    made = restoration()
    assert stratum_of(made).name == "mr-x1-low-1.1to2.1mm"
    assert stratum_of(replace(made, noise=replace(made.noise, sigma=60.0))).noise == "high"
    assert stratum_of(replace(made, noise=replace(made.noise, sigma=120.0))) is None
    wide = geometry(made.geometry.shape, (3.0, 3.0, 5.0))
    assert stratum_of(replace(made, geometry=wide)) is None


@pytest.mark.parametrize("day", ["2026-12-31", "2028-01-01"])
def test_a_record_lives_from_its_day_to_its_last(site, day):
    """Expired, or of a day to come: not used, and said."""
    stored(site, record())
    found, limit = find_record(restoration(), policy_sha256=POLICY, today=datetime.date.fromisoformat(day))
    assert found is None
    assert "2028-01-01" in limit


@pytest.mark.parametrize("edit", ["threshold", "misses", "score", "beta", "expires"])
def test_an_edited_record_is_not_used(site, edit):
    """A threshold, a score or a date changed in the file: refused, and judged as uncalibrated."""
    path = stored(site, record())
    data = json.loads(path.read_bytes())
    if edit in ("threshold", "misses"):
        data["promise"][edit] = 30
    elif edit == "score":
        data["subjects"][0]["planted"] = 30.0
    else:
        data[edit] = {"beta": 0.5, "expires": "2099-01-01"}[edit]
    path.write_text(json.dumps(data))
    with pytest.raises(Refusal) as refusal:
        read_record(path)
    assert refusal.value.code == "calibration.broken"
    judgement = judge(restoration(), policy_sha256=POLICY, today=TODAY)
    assert judgement.calibration is None
    assert any("not used" in sentence for sentence in judgement.limits)


def test_a_threshold_edited_with_its_checksum_does_not_follow_from_the_scores(site):
    """Whoever makes the checksum anew must still explain the threshold by scores."""
    from medsr.validation.calibration_record import _digest

    path = stored(site, record())
    data = json.loads(path.read_bytes())
    data["promise"]["threshold"] = 30.0
    del data["sha256"]
    path.write_text(json.dumps({**data, "sha256": _digest(data)}))
    with pytest.raises(Refusal, match="does not follow"):
        read_record(path)


def test_garbage_in_the_folder_blocks_nothing(site):
    """A file that is no record leaves the result uncalibrated."""
    path = stored(site, record())
    for text in (b"", b"{}", b"[1]", b"\xff\xfe"):
        path.write_bytes(text)
        judgement = judge(restoration(), policy_sha256=POLICY, today=TODAY)
        assert (judgement.error, judgement.calibration) == (None, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"spread": 1.2}, "model.oversmooths"), ({"subjects": record().subjects[:28]}, "calibration.few")],
)
def test_a_record_without_a_promise_is_not_used(site, changes, code):
    """A model that smooths beyond physics, or 28 subjects: said with the reason, not applied."""
    made = record(**changes)
    assert made.refusal == code
    stored(site, made)
    found = calibrated(restoration(), (), policy_sha256=POLICY, today=TODAY)
    assert found.use is None
    assert code in found.limit


def test_the_walk_ends_where_physics_does():
    """No threshold lets a z of more than 5.7 noise sd pass, whatever the lesions scored."""
    far = tuple(ScoredSubject(f"s{number}", 0.0, 100.0) for number in range(35))
    made = record(subjects=far)
    assert made.certificate.threshold == pytest.approx(5.7 / 0.5)


def test_null_channels_take_their_threshold_from_the_record(site):
    """N1 without a threshold becomes passed or held; a channel that the record does not know stays as it is."""
    stored(site, record())
    names = ("R1", "R2", "R3", "R4", "R1w", "R4w")
    ranges = tuple(ChannelResult(name, "range", "passed", 0.5, 1.0) for name in names)
    for value, status in ((1.0, "passed"), (3.0, "held")):
        null = ChannelResult("N1", "null", "not_assessed", value, None, uncalibrated=True)
        other = replace(null, name="N2")
        found = calibrated(restoration(), (*ranges, null, other), policy_sha256=POLICY, today=TODAY).channels
        assert (found[-2].status, found[-2].threshold, found[-2].uncalibrated) == (status, 2.0, False)
        assert found[-1] == other


def test_a_missing_channel_has_no_score_and_a_broken_one_is_not_finite(site):
    """None where a channel of the record was not assessed (held), NaN where it gave none (blocked)."""
    stored(site, record())
    names = ("R1", "R2", "R3", "R4", "R1w", "R4w")
    ranges = tuple(ChannelResult(name, "range", "passed", 0.5, 1.0) for name in names)
    found = calibrated(restoration(), ranges, policy_sha256=POLICY, today=TODAY)
    assert found.score == pytest.approx(1.0)
    assert calibrated(restoration(), ranges[1:], policy_sha256=POLICY, today=TODAY).score is None
    broken = (replace(ranges[0], value=float("nan")), *ranges[1:])
    score = calibrated(restoration(), broken, policy_sha256=POLICY, today=TODAY).score
    assert score is not None
    assert math.isnan(score)


def test_drift_of_the_last_hundred_scores_ends_a_record(site):
    """A hundred scores like the calibration's change nothing; a hundred from elsewhere do."""
    made = record()
    stored(site, made)
    use = CalibrationUse(made.binding.name, 35, "", 8.95)
    for number in range(99):
        keep_score(use, 50.0 + number)
    assert find_record(restoration(), policy_sha256=POLICY, today=TODAY)[0] is not None
    keep_score(use, 60.0)
    found, limit = find_record(restoration(), policy_sha256=POLICY, today=TODAY)
    assert found is None
    assert "last 100" in limit
    for number in range(100):
        keep_score(use, 0.035 * number)
    assert find_record(restoration(), policy_sha256=POLICY, today=TODAY)[0] is not None
