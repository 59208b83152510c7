"""Policies: read strictly, since a misread policy releases what it should hold."""

from __future__ import annotations

import hashlib

import pytest

from medsr.errors import Refusal, UsageError
from medsr.resources import data_root
from medsr.validation.judge import CHANNELS
from medsr.validation.policy import _parsed, load_policy

OPTIONAL = {"R9"}
"""Judged wherever somebody ran the probe; the pipeline does not run it for every scan."""

GOOD = """
name = "site"
version = "1"
description = "A site's own."
waive_uncalibrated = false
most_findings_a_slice = 5
reject_dprime = 12

[required]
denoise = ["R1", "R4"]
"""


@pytest.mark.parametrize("name", ["clinical", "research"])
def test_shipped_policies_require_every_channel_that_always_has_evidence(name):
    """For the tasks that are restored so far, and hashed as the file stands."""
    policy = load_policy(name)
    assert (
        policy.sha256
        == hashlib.sha256((data_root("validation") / "policies" / f"{name}.toml").read_bytes()).hexdigest()
    )
    assert set(policy.required) >= {"denoise", "superres"}
    assert all(set(channels) == set(CHANNELS) - OPTIONAL for channels in policy.required.values())


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
    assert _parsed(path).required == {"denoise": ("R1", "R4")}


@pytest.mark.parametrize("name", ["none", "../clinical", "", "Clinical", "clinical.toml"])
def test_an_unknown_policy_is_a_usage_error(name):
    """Names are plain; no path is walked."""
    with pytest.raises(UsageError) as caught:
        load_policy(name)
    assert caught.value.code == "policy.unknown"
