"""From Restoration, Judgement and Verdict to the contents of report.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast, get_args

import numpy as np
from pydantic import JsonValue

from medsr import __version__
from medsr.records import (
    CalibrationUse,
    ChannelKind,
    ChannelResult,
    ChannelStatus,
    Finding,
    FindingType,
    Judgement,
    Restoration,
    Verdict,
)
from medsr.release.verdict import channels_alone
from medsr.report.document import (
    Calibration,
    Channel,
    FindingEntry,
    Gate,
    Input,
    MeasuredSize,
    Model,
    Noise,
    OperatorEntry,
    Point,
    Reference,
    Report,
)
from medsr.report.outcome import alone_word, as_a_whole, domain_words
from medsr.report.sizes import measured_sizes
from medsr.report.words import DISCLAIMERS, gate_sentence, measured_words
from medsr.validation.policy import Policy
from medsr.validation.r9_probe import smallest_kept_mm

__all__ = ["known_findings", "report_of"]

_NOT_JUDGED = "The gate could not judge this result: nothing here is evidence that it agrees with the scan."
_NOT_PROBED = "How small a lesion the model keeps was not probed in this scan."
_INPUT = (
    "A scan that was interpolated, filtered or reconstructed by a network before it came here makes noise and "
    "agreement look better than they are."
)
_LONGEST_TEXT = 200


def report_of(restoration: Restoration, judgement: Judgement, verdict: Verdict, *, policy: Policy) -> Report:
    """The contents of report.json; whatever the judgement holds, a report comes out."""
    judged = judgement.error is None
    fraction = _share(judgement.measured_fraction) if judged else None
    required = policy.required_for(
        restoration.task,
        method=restoration.model.method if restoration.model else None,
        second=restoration.second is not None,
    )
    return Report(
        medsr_version=__version__,
        task=restoration.task,
        input=_input(restoration),
        operator=_operator(restoration),
        noise=Noise(
            sigma=_finite(restoration.noise.sigma),
            model=restoration.noise.model,
            provenance=restoration.noise.provenance,
        ),
        model=_model(restoration),
        channels=tuple(_channel(item, required) for item in judgement.channels),
        findings=tuple(_finding(item) for item in known_findings(judgement)),
        measured_fraction=fraction,
        measured_words=measured_words(fraction, restoration.task),
        measured_sizes=tuple(
            MeasuredSize(size_mm=size, share=share) for size, share in measured_sizes(restoration) if share is not None
        ),
        supplied_energy=_share(judgement.supplied_energy) if judged else None,
        smallest_kept_mm=None if restoration.probe is None else _finite(smallest_kept_mm(restoration.probe)),
        domain=domain_words(judgement.channels),
        reference=_reference(restoration),
        synthetic_slices=restoration.synthetic_slices,
        calibration=_calibration(judgement.calibration, judgement.score),
        gate=Gate(
            word=verdict.word,
            reasons=verdict.reasons,
            policy=verdict.policy,
            policy_sha256=verdict.policy_sha256,
            sentence=gate_sentence(judgement, verdict, task=restoration.task),
            channels_alone=channels_alone(verdict),
            label=verdict.label,
            alone=alone_word(verdict),
            as_a_whole=as_a_whole(verdict.reasons),
        ),
        timings={name: seconds for name, seconds in restoration.timings.items() if math.isfinite(seconds)},
        resources=_json_object(restoration.resources),
        intensity=_json_object(restoration.intensity),
        limits=_limits(judgement),
        notes=restoration.measured.notes,
        disclaimers=DISCLAIMERS,
    )


def known_findings(judgement: Judgement) -> tuple[Finding, ...]:
    """Findings of a type that this version knows, the clearest first."""
    known = [item for item in judgement.findings if item.type in get_args(FindingType)]
    return tuple(sorted(known, key=lambda item: -item.dprime if math.isfinite(item.dprime) else math.inf))


def _input(restoration: Restoration) -> Input:
    measured = restoration.measured
    return Input(
        name=measured.source.name,
        sha256=measured.source.sha256,
        modality=measured.modality,
        modality_provenance=measured.modality_provenance,
        shape=measured.geometry.shape,
        spacing=measured.geometry.spacing_mm,
    )


def _reference(restoration: Restoration) -> Reference | None:
    if restoration.reference is None:
        return None
    return Reference(name=restoration.reference.source.name, sha256=restoration.reference.source.sha256)


def _operator(restoration: Restoration) -> OperatorEntry:
    operator = restoration.operator
    return OperatorEntry(
        kind=operator.linear.kind,
        parameters=_json_object(operator.linear.parameters()),
        provenance=operator.provenance,
        noise=_json_object(operator.noise.to_record()),
    )


def _model(restoration: Restoration) -> Model | None:
    model = restoration.model
    if model is None:
        return None
    return Model(
        bundle=model.bundle,
        version=model.version,
        sha256=model.sha256,
        method=model.method,
        fidelity=_finite(model.fidelity),
        steps=model.steps,
        samples=model.samples,
        seed=model.seed,
        engine=model.engine,
        precision=model.precision,
    )


def _channel(item: ChannelResult, required: tuple[str, ...]) -> Channel:
    """A channel; a kind or status that is not known is written as the one that vouches for nothing."""
    known_kind, known_status = item.kind in get_args(ChannelKind), item.status in get_args(ChannelStatus)
    note = (
        item.note if known_kind and known_status else f"unknown kind or status {item.kind}/{item.status}; {item.note}"
    )
    return Channel(
        name=item.name,
        kind=item.kind if known_kind else "null",
        status=item.status if known_status else "not_assessed",
        value=_finite(item.value),
        threshold=_finite(item.threshold),
        p=_share(item.p),
        required=item.name in required,
        note=note,
        words=item.words,
        uncalibrated=item.uncalibrated,
    )


def _finding(item: Finding) -> FindingEntry:
    return FindingEntry(
        id=item.id,
        type=item.type,
        box_voxel=item.box_voxel,
        box_mm=_box(item.box_mm),
        size_mm=_finite(item.size_mm),
        contrast=_finite(item.contrast),
        dprime=_finite(item.dprime),
        p=_share(item.p),
        channel=item.channel,
        remains=item.remains,
    )


def _box(box: tuple[Point, Point]) -> tuple[Point, Point] | None:
    return box if all(math.isfinite(value) for corner in box for value in corner) else None


def _calibration(use: CalibrationUse | None, score: float | None) -> Calibration | None:
    if use is None:
        return None
    return Calibration(
        record=use.record,
        n=use.n,
        guarantee=use.guarantee,
        made=use.made,
        threshold=_finite(use.threshold),
        score=_finite(score),
    )


def _limits(judgement: Judgement) -> tuple[str, ...]:
    limits = [*([_NOT_JUDGED] if judgement.error is not None else []), *judgement.limits]
    unknown = len(judgement.findings) - len(known_findings(judgement))
    if unknown:
        limits.append(f"{unknown} findings are of a type that this version does not know; they are not shown.")
    if not any(item.name == "R9" and item.status != "not_assessed" for item in judgement.channels):
        limits.append(_NOT_PROBED)
    limits.append(_INPUT)
    return tuple(dict.fromkeys(limits))


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _share(value: float | None) -> float | None:
    """A number between 0 and 1 with rounding forgiven, or None."""
    finite = _finite(value)
    return min(1.0, max(0.0, finite)) if finite is not None and -1e-6 <= finite <= 1 + 1e-6 else None


def _json_object(values: Mapping[str, object]) -> dict[str, JsonValue]:
    return {str(name): _json(value) for name, value in values.items()}


def _json(value: object) -> JsonValue:
    """A JSON value; numbers that are not finite become null, what JSON does not have becomes short text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return _finite(float(value))
    if isinstance(value, Mapping):
        return _json_object(cast("Mapping[str, object]", value))
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_json(item) for item in value]
    return str(value)[:_LONGEST_TEXT]
