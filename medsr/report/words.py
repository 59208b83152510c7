"""The sentences of a report, as pure functions: what the reader reads first, and most carefully.

No sentence here promises more than the gate can: the best one is "No contradiction found".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from medsr.records import (
    CalibrationUse,
    ChannelResult,
    Finding,
    FindingType,
    Judgement,
    NoiseLevel,
    Task,
    Verdict,
    Word,
)
from medsr.report.channels import channel_title
from medsr.report.outcome import as_a_whole, channel_clause
from medsr.volume import Modality

__all__ = [
    "DISCLAIMERS",
    "FINDING_TITLES",
    "NO_CONTRADICTION",
    "PROVENANCE_TITLES",
    "TASK_TITLES",
    "UNKNOWN_SIZE",
    "UNVERIFIED",
    "WORD_TITLES",
    "contrast_words",
    "finding_words",
    "gate_sentence",
    "guarantee_words",
    "measured_words",
    "millimetres",
    "noise_words",
    "number",
    "operator_words",
    "p_words",
    "reason_words",
    "sentence",
    "sizes_words",
    "supplied_words",
]

NO_CONTRADICTION = "no contradiction found"
UNVERIFIED = "UNVERIFIED"
UNKNOWN_SIZE = "unknown size"

WORD_TITLES: Mapping[Word, str] = MappingProxyType(
    {
        "released": "Released",
        "review": "Held for review",
        "rejected": "Rejected",
        "blocked": "Blocked",
        "withdrawn": "Withdrawn",
    }
)
TASK_TITLES: Mapping[Task, str] = MappingProxyType(
    {"denoise": "Denoising", "superres": "Super-resolution", "inpaint": "Missing slices"}
)
FINDING_TITLES: Mapping[FindingType, str] = MappingProxyType(
    {
        "added": "Added",
        "omitted": "Omitted",
        "shifted": "Shifted edge",
        "textured": "Texture changed",
        "oversmoothed": "Smoothed away",
        "domain": "Outside the model's domain",
    }
)
PROVENANCE_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "declared": "declared, by the user or the file beside the scan",
        "header": "from the header",
        "estimated": "estimated from the scan itself",
        "guessed": "guessed from the values",
        "user": "given by the user",
    }
)
DISCLAIMERS: tuple[str, ...] = (
    "Research software, not a medical device: not cleared or approved for diagnosis by any authority.",
    "The restored image was made by a computer model. Read it beside the original scan, never instead of it.",
    (
        "Released means that no contradiction was found of the size and detectability stated here. "
        "It does not mean that the image is correct."
    ),
)

_LEADS: Mapping[Word, str] = MappingProxyType(
    {
        "released": "Released",
        "review": "Held",
        "rejected": "Rejected",
        "blocked": "Blocked",
        "withdrawn": "Withdrawn",
    }
)
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "uncalibrated": "no calibration record covers this scan and model",
        "calibration.expired": "the calibration record has expired",
        "calibration.score": "the combined score is above the calibrated threshold",
        "no_preprojection": "the estimate before projection is missing, so agreement with the scan proves nothing",
        "noise.unverified": "the noise of the scan could not be verified",
        "operator.unverified": "the scan does not behave as the stated operator says",
        "domain": "the scan lies outside what the model was made for",
        "model.oversmooths": "the model smooths more than the gate can see through",
        "synthetic": "the volume holds synthetic slices",
        "findings.many": "the restored image contradicts the scan as a whole",
        "contradicts.whole": "the restored image contradicts the scan as a whole",
        "judgement.error": "the gate could not judge this result",
        "judgement.no_channels": "the gate could not judge this result: no channel was assessed",
        "judgement.unknown": "the gate could not judge this result: it holds a status or type that is not known",
        "judgement.not_finite": "the gate could not judge this result: its score is not a number",
        "findings.strong": "a contradiction as clear as this is left after correction",
        "policy.task": "the policy states nothing for this task",
        "hash.differs": "the pixels are not the ones that were judged",
    }
)
_STEMS: Mapping[str, str] = MappingProxyType(
    {
        "finding": "a finding of the type {rest}",
        "channel.missing": "a required check was not made ({rest})",
        "channel.not_assessed": "a required check could not be made ({rest})",
        "channel.not_finite": "a required check gave no number ({rest})",
        "channel.held": "a check is beyond its limit ({rest})",
        "channel.failed": "a check is beyond its limit ({rest})",
        "channel.reject": "the image as a whole departs from the scan ({rest})",
    }
)

_OPERATORS: Mapping[str, str] = MappingProxyType(
    {
        "identity": "every voxel measured, with noise",
        "k_space_truncation": "the outer part of k-space was not measured",
        "area_average": "each measured pixel is the mean over several restored ones",
        "overlap_average": "each measured pixel is the mean over several restored ones",
        "slice_profile": "each measured slice is the mean over several restored ones",
        "slice_mask": "some slices were not measured",
    }
)
_UNKNOWN_TYPE = "a place contradicts the scan in a way that is not known"
_SIZED: Mapping[FindingType, str] = MappingProxyType(
    {
        "added": "an added {size} structure contradicts the scan",
        "omitted": "{article} {size} structure of the scan was omitted",
        "shifted": "an edge of {size} was shifted against the scan",
        "textured": "texture over {size} is more than the scan's noise",
        "oversmoothed": "structure over {size} was smoothed away",
        "domain": "the scan lies outside what the model was made for",
    }
)
_UNSIZED: Mapping[FindingType, str] = MappingProxyType(
    {
        "added": f"an added structure of {UNKNOWN_SIZE} contradicts the scan",
        "omitted": f"a structure of {UNKNOWN_SIZE} of the scan was omitted",
        "shifted": "an edge was shifted against the scan",
        "textured": "texture is more than the scan's noise",
        "oversmoothed": "structure was smoothed away",
        "domain": "the scan lies outside what the model was made for",
    }
)
_MOST_MEASURED = 0.9


def number(value: float | None, digits: int = 3) -> str:
    """`value` to `digits` significant digits, without exponent where it can be read without one.

    >>> number(0.01234), number(1234.5), number(2.0), number(None)
    ('0.0123', '1234', '2', 'not known')
    """
    if value is None or not math.isfinite(value):
        return "not known"
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def millimetres(value: float) -> str:
    """A size for reading: whole millimetres from 10, steps of 0.5 below, of 0.1 below 2.

    >>> millimetres(5.2), millimetres(7.4), millimetres(14.7), millimetres(1.23)
    ('5 mm', '7.5 mm', '15 mm', '1.2 mm')
    """
    if not math.isfinite(value):
        return UNKNOWN_SIZE
    step = 1.0 if value >= 10 else 0.5 if value >= 2 else 0.1
    return f"{round(value / step) * step:.3g} mm"


def contrast_words(contrast: float, modality: Modality, *, reference: float | None) -> str:
    """A contrast with its sign: in HU for CT, in % of `reference` (the bright end of the scan) for MR."""
    if not math.isfinite(contrast):
        return "not known"
    if modality == "CT":
        return f"{contrast:+.0f} HU"
    if not reference:
        return f"{contrast:+.3g}"
    return f"{100 * contrast / reference:+.1f} %"


def finding_words(finding: Finding) -> str:
    """One finding as a clause, such as "an added 5 mm structure contradicts the scan, d' 9"."""
    if math.isfinite(finding.size_mm):
        template = _SIZED.get(finding.type, _UNKNOWN_TYPE)
        clause = template.format(size=millimetres(finding.size_mm), article=_article(finding.size_mm))
    else:
        clause = _UNSIZED.get(finding.type, _UNKNOWN_TYPE)
    return clause + (f", d' {finding.dprime:.0f}" if math.isfinite(finding.dprime) else "")


def reason_words(code: str) -> str:
    """A reason code as a clause; an unknown code is shown as it is.

    Codes are ``room.fact``, some with the channel or the finding's type behind a dot or colon.
    """
    if code in _REASONS:
        return _REASONS[code]
    for separator in (":", "."):
        stem, found, rest = code.rpartition(separator)
        if found and stem in _STEMS:
            return _STEMS[stem].format(rest=f"{rest}: {channel_title(rest)}" if stem.startswith("channel") else rest)
    tail = code.rpartition(".")[2]
    return _REASONS.get(tail, f"reason {code}")


def gate_sentence(judgement: Judgement, verdict: Verdict, *, task: Task) -> str:
    """The gate's word and its reason in one sentence, for a judgement."""
    return sentence(verdict, judgement.findings, task=task, channels=judgement.channels)


def sentence(
    verdict: Verdict, findings: Sequence[Finding], *, task: Task = "denoise", channels: Sequence[ChannelResult] = ()
) -> str:
    """The gate's word and its reason in one sentence, the first thing that a reader sees.

    What holds for the image as a whole comes first, then findings, the one of largest d' first, then the reference,
    then all other reasons; "uncalibrated" comes last.
    """
    lead = _LEADS[verdict.word]
    if verdict.word == "blocked":
        return f"{lead}: {_first_reason(verdict.reasons, 'the gate could not judge this result')}"
    clause = channel_clause(channels, "range")
    if findings or clause:
        return f"{lead}: {_contradiction(verdict, findings, clause)}"
    other = channel_clause(channels, "reference") or channel_clause(channels, "null")
    if other:
        return f"{lead}: {other}"
    unverified = "uncalibrated" in verdict.reasons or verdict.label == UNVERIFIED
    clause = NO_CONTRADICTION
    if task == "inpaint":
        clause += " in the measured slices; the synthetic ones cannot be checked"
    if verdict.word == "released":
        return f"{lead}, unverified: {clause}, but {_REASONS['uncalibrated']}" if unverified else f"{lead}: {clause}"
    others = [code for code in verdict.reasons if code != "uncalibrated"]
    if others:
        return f"{lead}: {_first_reason(others, '')}"
    return f"{lead}: {clause}, but {_REASONS['uncalibrated']}" if unverified else f"{lead}: {clause}"


def guarantee_words(calibration: CalibrationUse | None) -> str:
    """What is promised under the calibration record, or that nothing is."""
    if calibration is not None:
        return calibration.guarantee
    return (
        f"{UNVERIFIED}: no calibration record covers this model, scan and task. "
        "How often a lesion is added or removed unseen is not known."
    )


def measured_words(fraction: float | None, task: Task) -> str:
    """What `fraction`, the measured share of the degrees of freedom, means for the picture."""
    if fraction is None or not math.isfinite(fraction):
        return "how much was measured is not known"
    if fraction >= 0.9995:
        return "all voxels measured, with noise"
    share = _percent(fraction)
    if task == "inpaint":
        return f"{share} of the slices were measured; the others are synthetic"
    return f"{share} of the restored image's degrees of freedom were measured"


def sizes_words(sizes: Sequence[tuple[float, float]]) -> str:
    """From which size on structure was measured; `sizes` are (diameter in mm, share of energy measured), rising.

    >>> sizes_words(((2.0, 0.7), (3.0, 0.88), (4.0, 0.94), (6.0, 0.95)))
    'structures of 4 mm and more were measured to 90 % or more, those of 2 mm to 70 %'
    """
    if not sizes:
        return "not known by size"
    small, share = sizes[0]
    smallest = f"those of {millimetres(small)} to {_percent(share)}"
    for place, (size, _) in enumerate(sizes):
        if all(later >= _MOST_MEASURED for _, later in sizes[place:]):
            if place == 0:
                return f"structures of {millimetres(size)} and more were measured to 90 % or more"
            return f"structures of {millimetres(size)} and more were measured to 90 % or more, {smallest}"
    return f"even structures of {millimetres(sizes[-1][0])} were measured to less than 90 %, {smallest}"


def operator_words(kind: str) -> str:
    """What an operator means for the scan; an unknown kind stands for itself."""
    return _OPERATORS.get(kind, kind)


def p_words(p: float | None) -> str:
    """A chance for reading.

    >>> p_words(3e-12), p_words(0.0123), p_words(None)
    ('< 0.0001', '0.012', 'not known')
    """
    return "< 0.0001" if p is not None and 0 <= p < 1e-4 else number(p, 2)


def supplied_words(energy: float | None, fraction: float | None) -> str:
    """What `energy`, the share of fine detail outside the measured part, means for the picture."""
    if energy is None or not math.isfinite(energy):
        return "how much the model supplied is not known"
    if energy < 0.0005 and fraction is not None and fraction >= 0.9995:
        return "nothing lies outside what was measured; detail below the noise can still be lost unseen"
    return f"{_percent(energy)} of the energy of fine detail was supplied by the model and cannot be checked"


def noise_words(noise: NoiseLevel, modality: Modality, *, reference: float | None) -> str:
    """Noise level for reading: in HU, or in % of the bright end of an MR scan."""
    if not math.isfinite(noise.sigma):
        return "not known"
    if modality == "CT":
        return f"{number(noise.sigma)} HU"
    if not reference:
        return number(noise.sigma)
    return f"{number(100 * noise.sigma / reference, 2)} % ({number(noise.sigma)} in image units)"


def _contradiction(verdict: Verdict, findings: Sequence[Finding], clause: str) -> str:
    """What contradicts the scan: the image as a whole, or its places."""
    many = as_a_whole(verdict.reasons) and len(findings) > 1
    parts = [_REASONS["contradicts.whole"]] if many and not clause else []
    parts += [clause] if clause else []
    if findings:
        parts.append(_findings_words(findings, besides=bool(clause), many=many))
    return "; ".join(parts)


def _findings_words(findings: Sequence[Finding], *, besides: bool = False, many: bool = False) -> str:
    worst = max(findings, key=lambda finding: finding.dprime if math.isfinite(finding.dprime) else -math.inf)
    start = "besides, " if besides else ""
    if len(findings) == 1:
        return start + finding_words(worst)
    listed = f"{len(findings)} places" if many else f"{len(findings)} places contradict the scan"
    return f"{start}{listed}; the clearest: {finding_words(worst)}"


def _first_reason(reasons: Sequence[str], otherwise: str) -> str:
    return reason_words(reasons[0]) if reasons else otherwise


def _article(size_mm: float) -> str:
    return "an" if millimetres(size_mm).startswith(("8", "11", "18")) else "a"


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.5:
        return "less than 1 %"
    return f"{percent:.1f} %" if 0 < percent < 10 and abs(percent - round(percent)) > 0.05 else f"{percent:.0f} %"
