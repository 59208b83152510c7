"""Policies: read strictly, since a misread policy releases what it should hold."""

from __future__ import annotations

import hashlib

import pytest

from medsr.errors import Refusal, UsageError
from medsr.resources import data_root
from medsr.validation.policy import _parsed, load_policy

RANGE = {"R1", "R2", "R3", "R4", "R7", "R9", "R1w", "R4w"}

GOOD = """
name = "site"
version = "1"
description = "A site's own."
waive_uncalibrated = false
release_synthetic = false
most_findings_a_slice = 5
reject_dprime = 12
required_with_second = ["R8"]

[required]
denoise = ["R1", "R4"]

[required_by_method]
gan = ["N3"]
"""


@pytest.mark.parametrize("name", ["clinical", "research"])
def test_shipped_policies_require_what_each_task_and_method_can_be_judged_by(name):
    """R5 and R6 are not built; all others as the task has a range, a null space or hidden slices."""
    policy = load_policy(name)
    assert (
        policy.sha256
        == hashlib.sha256((data_root("validation") / "policies" / f"{name}.toml").read_bytes()).hexdigest()
    )
    wanted = {"denoise": RANGE | {"N4"}, "superres": RANGE | {"N1", "N4"}, "inpaint": {"N1", "N4", "N5"}}
    for task, channels in wanted.items():
        assert set(policy.required_for(task)) == channels
        assert set(policy.required_for(task, method="regress")) == channels
        assert set(policy.required_for(task, method="gan")) == channels | {"N3"}
        assert set(policy.required_for(task, method="diffusion")) == channels | {"N2", "N3"}
        assert set(policy.required_for(task, second=True)) == channels | {"R8"}


def test_a_policy_without_the_task_requires_nothing_that_could_pass():
    """A method alone is no list: the task is refused."""
    policy = load_policy("research")
    assert policy.required_for("guess", method="gan", second=True) == ()


def test_only_research_releases_slices_that_nobody_measured():
    assert load_policy("research").release_synthetic
    assert not load_policy("clinical").release_synthetic


def test_only_research_waives_the_lack_of_calibration():
    """clinical holds what no record covers."""
    assert load_policy("research").waive_uncalibrated
    assert not load_policy("clinical").waive_uncalibrated


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('denoise = ["R1", "R4"]', "denoise = []"),
        ('denoise = ["R1", "R4"]', 'denoise = "R1"'),
        ('denoise = ["R1", "R4"]', 'denoise = ["R1", "R99"]'),
        ('denoise = ["R1", "R4"]', "denoise = [1]"),
        ('denoise = ["R1", "R4"]', 'denoise = [["R1"]]'),
        ('denoise = ["R1", "R4"]', 'guess = ["R1"]'),
        ('[required]\ndenoise = ["R1", "R4"]', "required = []"),
        ('gan = ["N3"]', "gan = []"),
        ('gan = ["N3"]', 'dream = ["N3"]'),
        ('gan = ["N3"]', 'gan = ["N99"]'),
        ('[required_by_method]\ngan = ["N3"]', ""),
        ('required_with_second = ["R8"]', 'required_with_second = "R8"'),
        ('required_with_second = ["R8"]', 'required_with_second = ["R88"]'),
        ('required_with_second = ["R8"]\n', ""),
        ("release_synthetic = false", "release_synthetic = 0"),
        ("release_synthetic = false\n", ""),
        ('[required]\ndenoise = ["R1", "R4"]', "[required]"),
        ("waive_uncalibrated = false", 'waive_uncalibrated = "false"'),
        ("waive_uncalibrated = false", "waive_uncalibrated = 0"),
        ("waive_uncalibrated = false\n", ""),
        ("reject_dprime = 12", "reject_dprime = 0"),
        ("reject_dprime = 12", "reject_dprime = nan"),
        ("reject_dprime = 12", "reject_dprime = inf"),
        ("reject_dprime = 12", "reject_dprime = true"),
        ("reject_dprime = 12", 'reject_dprime = "12"'),
        ("most_findings_a_slice = 5", "most_findings_a_slice = -1"),
        ("reject_dprime = 12", "reject_dprime = 12\nreject_all = false"),
        ('name = "site"', "name = 3"),
        ('name = "site"', "name = "),
    ],
)
def test_anything_not_understood_is_refused(old, new, tmp_path):
    """Unknown keys, empty lists, unknown channels, wrong kinds: no part of a policy is guessed."""
    path = tmp_path / "site.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(Refusal) as caught:
        _parsed(path)
    assert caught.value.code == "policy.broken"


def test_a_sites_own_policy_is_read(tmp_path):
    """The template of these tests itself parses."""
    path = tmp_path / "site.toml"
    path.write_text(GOOD)
    policy = _parsed(path)
    assert policy.required == {"denoise": ("R1", "R4")}
    assert policy.required_for("denoise", method="gan", second=True) == ("R1", "R4", "N3", "R8")


@pytest.mark.parametrize("name", ["none", "../clinical", "", "Clinical", "clinical.toml"])
def test_an_unknown_policy_is_a_usage_error(name):
    """Names are plain; no path is walked."""
    with pytest.raises(UsageError) as caught:
        load_policy(name)
    assert caught.value.code == "policy.unknown"
