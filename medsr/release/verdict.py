"""From a judgement to the gate's word, by policy. Pure, and closed: what is not understood is never released."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import get_args

from medsr.records import (
    ChannelKind,
    ChannelResult,
    ChannelStatus,
    Finding,
    FindingType,
    Judgement,
    Task,
    Verdict,
    Word,
)
from medsr.validation.policy import Policy

__all__ = ["UNVERIFIED", "channels_alone", "decide"]

UNVERIFIED = "UNVERIFIED"
"""Label of every result without a calibration record, whoever releases it: approval changes no byte."""


def decide(
    judgement: Judgement,
    policy: Policy,
    *,
    task: Task,
    slice_axis: int,
    method: str | None = None,
    second: bool = False,
) -> Verdict:
    """The gate's word.

    Blocked: the result could not be judged. Rejected: the image as a whole contradicts the measurement, some slice
    has more findings than the policy bears, or a strong finding is left after projection; where all of that rests on
    a noise level that was estimated and may be too high, a reader decides instead. Review: any other reason.
    Released: no reason at all, or ``uncalibrated`` alone under a policy that waives it.

    Parameters
    ----------
    slice_axis : of the restored grid, along which findings are counted.
    method : that made the image, None if unknown; second : a second scan was given. Both decide what is required.
    """
    reasons = _blocking(judgement)
    if reasons:
        return _verdict("blocked", reasons, judgement, policy)
    holding = _holding(judgement, policy, policy.required_for(task, method=method, second=second))
    reasons = _rejecting(judgement, policy, slice_axis)
    if reasons and _rests_on_noise(judgement):
        return _verdict("review", ["noise.unverified", *reasons, *holding], judgement, policy)
    if reasons:
        return _verdict("rejected", [*reasons, *holding], judgement, policy)
    reasons = holding
    waived = policy.waive_uncalibrated and reasons == ["uncalibrated"]
    return _verdict("released" if waived or not reasons else "review", reasons, judgement, policy)


def channels_alone(verdict: Verdict) -> Word | None:
    """What the channels would have decided where no calibration record speaks; None where one does.

    No policy releases more by it: it is said, not done.
    """
    if "uncalibrated" not in verdict.reasons:
        return None
    return "released" if set(verdict.reasons) == {"uncalibrated"} else verdict.word


def _verdict(word: Word, reasons: Iterable[str], judgement: Judgement, policy: Policy) -> Verdict:
    found = tuple(dict.fromkeys(reasons))
    label = UNVERIFIED if judgement.calibration is None or "uncalibrated" in found else ""
    return Verdict(word, found, policy.name, policy.sha256, label)


def _blocking(judgement: Judgement) -> list[str]:
    if judgement.error is not None:
        return ["judgement.error"]
    if not judgement.channels:
        return ["judgement.no_channels"]
    names = [channel.name for channel in judgement.channels]
    if not all(_understood(channel) for channel in judgement.channels) or len(set(names)) != len(names):
        return ["judgement.unknown"]
    if any(finding.type not in get_args(FindingType) for finding in judgement.findings):
        return ["judgement.unknown"]
    if judgement.score is not None and not math.isfinite(judgement.score):
        return ["judgement.not_finite"]
    return []


def _understood(channel: ChannelResult) -> bool:
    """A known kind and status; without a threshold a channel can neither have passed nor hold."""
    if channel.uncalibrated and channel.status != "not_assessed":
        return False
    return channel.kind in get_args(ChannelKind) and channel.status in get_args(ChannelStatus)


def _rejecting(judgement: Judgement, policy: Policy, slice_axis: int) -> list[str]:
    reasons = [
        f"channel.reject:{channel.name}"
        for channel in judgement.channels
        if channel.may == "reject" and channel.status == "held"
    ]
    if _most_in_a_slice(judgement.findings, slice_axis) > policy.most_findings_a_slice:
        reasons.append("findings.many")
    if any(finding.remains and finding.dprime >= policy.reject_dprime for finding in judgement.findings):
        reasons.append("findings.strong")
    return reasons


def _rests_on_noise(judgement: Judgement) -> bool:
    """True if the noise may have been read too high and nothing but R1 and R4, which count in its units, rejects."""
    rejecting = {item.name for item in judgement.channels if item.may == "reject" and item.status == "held"}
    finding = {item.channel for item in judgement.findings}
    return judgement.noise_may_be_high and rejecting <= {"R1", "R1w"} and finding <= {"R4", "R4w"}


def _most_in_a_slice(findings: Iterable[Finding], slice_axis: int) -> int:
    counts: Counter[int] = Counter()
    for finding in findings:
        counts.update(range(finding.box_voxel[0][slice_axis], finding.box_voxel[1][slice_axis]))
    return max(counts.values(), default=0)


def _holding(judgement: Judgement, policy: Policy, required: tuple[str, ...]) -> list[str]:
    reasons = [f"finding.{finding.type}" for finding in judgement.findings]
    reasons += [code for code in judgement.codes if code != "synthetic" or not policy.release_synthetic]
    by_name = {channel.name: channel for channel in judgement.channels}
    if not required:
        reasons.append("policy.task")
    for name in required:
        reasons += _required(by_name.get(name), name)
    reasons += [
        f"channel.held:{channel.name}"
        for channel in judgement.channels
        if channel.status == "held" and channel.name not in required
    ]
    calibration = judgement.calibration
    if calibration is not None and (judgement.score is None or judgement.score > calibration.threshold):
        reasons.append("calibration.score")
    if calibration is None:
        reasons.append("uncalibrated")
    # What was found stands before what is missing.
    return sorted(dict.fromkeys(reasons), key=lambda reason: reason == "uncalibrated")


def _required(channel: ChannelResult | None, name: str) -> list[str]:
    if channel is None:
        return [f"channel.missing:{name}"]
    if channel.uncalibrated and channel.value is not None and math.isfinite(channel.value):
        return ["uncalibrated"]
    if channel.status == "not_assessed":
        return [f"channel.not_assessed:{name}"]
    if channel.value is None or not math.isfinite(channel.value):
        return [f"channel.not_finite:{name}"]
    return [] if channel.status == "passed" else [f"channel.held:{name}"]
