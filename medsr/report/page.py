"""report.html: the context of the template, in words that a reader of images uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from medsr.errors import Refusal
from medsr.records import Finding, Judgement, Restoration, Verdict
from medsr.report.channels import STATUS_TITLES, channel_title
from medsr.report.contents import known_findings
from medsr.report.display import place_words
from medsr.report.document import Channel, Report
from medsr.report.figures import SliceFigure, slice_figure
from medsr.report.outcome import alone_words, channel_clause
from medsr.report.planes import shown_slices
from medsr.report.words import (
    FINDING_TITLES,
    PROVENANCE_TITLES,
    TASK_TITLES,
    UNVERIFIED,
    WORD_TITLES,
    contrast_words,
    guarantee_words,
    millimetres,
    noise_words,
    number,
    operator_words,
    p_words,
    sizes_words,
    supplied_words,
)
from medsr.restore.intensity import percentile_of_positive

__all__ = ["page"]

_MOST_ROWS, _MOST_ROWS_OF_A_WHOLE = 25, 5
_DIVISOR = "divisor"
_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class _Row:
    """A finding in the table."""

    number: int
    kind: str
    title: str
    size: str
    contrast: str
    dprime: str
    p: str
    place: str
    slices: str


@dataclass(frozen=True, slots=True)
class _Check:
    """A channel in the table."""

    name: str
    title: str
    status: str
    status_words: str
    value: str
    threshold: str
    required: bool
    note: str


def page(restoration: Restoration, judgement: Judgement, verdict: Verdict, report: Report) -> bytes:
    """The page as UTF-8 HTML: one file, nothing fetched, no script."""
    environment = Environment(
        loader=PackageLoader("medsr.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(_context(restoration, judgement, verdict, report)).encode()


def _context(restoration: Restoration, judgement: Judgement, verdict: Verdict, report: Report) -> Mapping[str, object]:
    findings = known_findings(judgement)
    reference = _reference(restoration)
    # Single places mean nothing where the whole departs: a few are listed, and none is boxed.
    boxed = () if report.gate.as_a_whole else findings
    figures = _figures(restoration, judgement, findings, boxed)
    most = _MOST_ROWS_OF_A_WHOLE if report.gate.as_a_whole else _MOST_ROWS
    return {
        "report": report,
        "word": verdict.word,
        "word_title": WORD_TITLES[verdict.word],
        "task_title": TASK_TITLES[restoration.task],
        "cards": _cards(restoration, judgement, report, findings),
        "figures": figures,
        "views": figures[0].views if figures else (),
        "rows": [
            _row(place, finding, restoration, reference) for place, finding in enumerate(findings[:most], start=1)
        ],
        "more_rows": max(0, len(findings) - most),
        "slice_letter": "ijk"[restoration.geometry.slice_axis],
        "facts": _facts(restoration, report, reference),
        "checks": [_check(item) for item in report.channels],
        "guarantee": guarantee_words(judgement.calibration),
        "alone": alone_words(verdict),
        "clause": channel_clause(judgement.channels, "range"),
        "details": _details(report),
    }


def _figures(
    restoration: Restoration, judgement: Judgement, findings: Sequence[Finding], boxed: Sequence[Finding]
) -> list[SliceFigure]:
    """The slices to show; none for an image that does not fit its own grid, which was never judged either."""
    if restoration.image.shape != restoration.geometry.shape:
        return []
    numbered = list(enumerate(boxed, start=1))
    slices = shown_slices(findings, restoration)
    return [
        slice_figure(restoration, judgement, numbered, index, main=place == 0) for place, index in enumerate(slices)
    ]


def _cards(
    restoration: Restoration, judgement: Judgement, report: Report, findings: Sequence[Finding]
) -> list[tuple[str, str, str]]:
    """(title, figure, words) of what a reader asks first."""
    if report.gate.reasons and any(code.startswith("judgement.") for code in report.gate.reasons):
        contradictions = ("not judged", "the gate could not look")
    elif report.gate.as_a_whole:
        contradictions = ("as a whole", f"{len(findings)} places, not boxed: so many mean nothing one by one")
    elif findings:
        kinds = {kind: sum(item.type == kind for item in findings) for kind in dict.fromkeys(f.type for f in findings)}
        contradictions = (
            str(len(findings)),
            ", ".join(f"{n} {FINDING_TITLES[kind].lower()}" for kind, n in kinds.items()),
        )
    elif channel_clause(judgement.channels, "range"):
        contradictions = (
            "on the whole",
            "no single place stands out, but a check of the whole image is beyond its limit",
        )
    else:
        contradictions = ("none found", "of a clarity that the scan can decide (d' above 5)")
    measured = "not known" if report.measured_fraction is None else _percent(report.measured_fraction)
    supplied = "not known" if report.supplied_energy is None else _percent(report.supplied_energy)
    sizes = tuple((item.size_mm, item.share) for item in report.measured_sizes)
    return [
        ("Contradictions", *contradictions),
        ("Measured", measured, sizes_words(sizes) if sizes else report.measured_words),
        ("Supplied by the model", supplied, supplied_words(report.supplied_energy, report.measured_fraction)),
        ("Smallest lesion kept", *_kept(restoration, report)),
        ("Guarantee", *_guarantee(report)),
    ]


def _kept(restoration: Restoration, report: Report) -> tuple[str, str]:
    """Figure and words of the probe."""
    if restoration.probe is None:
        return "not known", "no probe lesions were planted into this scan"
    if report.smallest_kept_mm is None:
        return "none", "of the probe lesions with d' 8 or more no size kept half of its contrast"
    return (
        millimetres(report.smallest_kept_mm),
        "from this size on probe lesions with d' 8 or more kept at least half of their contrast in this scan",
    )


def _guarantee(report: Report) -> tuple[str, str]:
    """Figure and words of the calibration."""
    if report.calibration is None:
        return UNVERIFIED, "no calibration record: how often a lesion passes unseen is not known"
    made = f", {report.calibration.made}" if report.calibration.made else ""
    return f"n = {report.calibration.n}{made}", report.calibration.guarantee


def _row(place: int, finding: Finding, restoration: Restoration, reference: float | None) -> _Row:
    axis = restoration.geometry.slice_axis
    first, last = finding.box_voxel[0][axis] + 1, finding.box_voxel[1][axis]
    corners = [value for corner in finding.box_mm for value in corner]
    centre = [(low + high) / 2 for low, high in zip(*finding.box_mm, strict=True)]
    return _Row(
        number=place,
        kind=finding.type,
        title=FINDING_TITLES[finding.type],
        size=millimetres(finding.size_mm),
        contrast=contrast_words(finding.contrast, restoration.measured.modality, reference=reference),
        dprime=number(finding.dprime, 2),
        p=p_words(finding.p),
        place=place_words(centre) if all(math.isfinite(value) for value in corners) else "not known",
        slices=str(first) if last <= first else f"{first} to {last}",
    )


def _check(item: Channel) -> _Check:
    return _Check(
        name=item.name,
        title=channel_title(item.name),
        status=item.status,
        status_words="measured, no limit calibrated" if item.uncalibrated else STATUS_TITLES[item.status],
        value=_NOTHING if item.value is None else number(item.value),
        threshold=_NOTHING if item.threshold is None else number(item.threshold),
        required=item.required,
        note=item.note,
    )


def _facts(restoration: Restoration, report: Report, reference: float | None) -> list[tuple[str, str]]:
    geometry, modality = restoration.geometry, restoration.measured.modality
    level = noise_words(restoration.noise, modality, reference=reference)
    noise = f"{level}, {report.noise.model}, {PROVENANCE_TITLES[report.noise.provenance]}"
    known = f"{report.operator.kind}, {PROVENANCE_TITLES[report.operator.provenance]}"
    facts = [
        ("Task", TASK_TITLES[restoration.task]),
        ("Modality", f"{modality}, {PROVENANCE_TITLES[report.input.modality_provenance]}"),
        ("Input grid", _grid(report.input.shape, report.input.spacing)),
        ("Restored grid", _grid(geometry.shape, geometry.spacing_mm)),
        ("Noise of the scan", noise),
        ("What was measured", f"{operator_words(report.operator.kind)} ({known})"),
        ("Measured share", report.measured_words),
    ]
    if report.measured_sizes:
        facts.append(("Measured by size", sizes_words([(item.size_mm, item.share) for item in report.measured_sizes])))
    facts.append(("Supplied by the model", supplied_words(report.supplied_energy, report.measured_fraction)))
    facts.append(("Kind of scan", report.domain.removesuffix(".")))
    if report.reference is not None:
        facts.append(("Reference", f"{report.reference.name}; it can hold a result, never release it"))
    facts.append(("Synthetic slices", _synthetic(report.synthetic_slices)))
    return facts


def _details(report: Report) -> list[tuple[str, str]]:
    """What a technician asks: exact names, hashes and versions."""
    model = report.model
    details = [("Input file", report.input.name), ("Input sha256", report.input.sha256)]
    if model is None:
        details.append(("Model", "unknown: the candidate was made elsewhere"))
    else:
        options = [
            ("fidelity", model.fidelity),
            ("steps", model.steps),
            ("samples", model.samples),
            ("seed", model.seed),
        ]
        run = [model.method, *(f"{name} {number(value)}" for name, value in options if value is not None)]
        details += [
            ("Model", f"{model.bundle} {model.version}"),
            ("Method", ", ".join([*run, model.engine, model.precision])),
            ("Weights sha256", model.sha256),
        ]
    details += [
        ("Policy", report.gate.policy),
        ("Policy sha256", report.gate.policy_sha256),
        ("Reason codes", ", ".join(report.gate.reasons) or "none"),
        ("medsr", report.medsr_version),
        ("Report", report.schema_),
    ]
    if report.timings:
        seconds = ", ".join(f"{name.removesuffix('_s')} {number(value, 2)} s" for name, value in report.timings.items())
        details.append(("Time", seconds))
    return details


def _reference(restoration: Restoration) -> float | None:
    """The bright end of an MR scan, which contrasts are told in % of."""
    if restoration.measured.modality == "CT":
        return None
    value = restoration.intensity.get(_DIVISOR)
    if isinstance(value, (int, float)) and math.isfinite(value) and value > 0:
        return float(value)
    try:
        return percentile_of_positive(restoration.measured.values)
    except Refusal:
        return None


def _grid(shape: Sequence[int], spacing: Sequence[float]) -> str:
    return f"{' × '.join(map(str, shape))} voxels of {' × '.join(f'{size:.3g}' for size in spacing)} mm"


def _synthetic(slices: Sequence[int]) -> str:
    if not slices:
        return "none"
    return f"{len(slices)}: " + ", ".join(str(index + 1) for index in slices)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.095 else f"{number(100 * share, 2)} %"
