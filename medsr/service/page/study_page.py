"""The study page's words: measures, guarantee and details from the report, and what may be decided."""

from __future__ import annotations

import math

from medsr.jobs.keys import Principal
from medsr.jobs.nouns import Job
from medsr.report.document import Report
from medsr.report.words import (
    PROVENANCE_TITLES,
    TASK_TITLES,
    UNVERIFIED,
    number,
    operator_words,
    sizes_words,
    supplied_words,
)
from medsr.service.page.studies import Study

__all__ = ["details", "guarantee", "measures", "model_words", "no_pictures", "why_not"]

_NO_PICTURES = {
    "rejected": "Pictures of a rejected result are kept in its report only.",
    "blocked": "The gate could not judge this result, so it is not shown beside the scan. The report tells why.",
    "withdrawn": "This result was withdrawn and is not shown any more.",
    "purged": "The data of this job were purged. Hashes and audit stay.",
    "superseded": "A newer job took the place of this one.",
    "cancelled": "This job was cancelled.",
}


def measures(report: Report) -> list[tuple[str, str]]:
    """What was measured, what supplied, from which size on, and the noise."""
    found = [("Measured", report.measured_words)]
    sizes = [(item.size_mm, item.share) for item in report.measured_sizes]
    if sizes:
        found.append(("By size", sizes_words(sizes)))
    found.append(("Supplied by the model", supplied_words(report.supplied_energy, report.measured_fraction)))
    if report.synthetic_slices:
        found.append(("Synthetic slices", ", ".join(str(index + 1) for index in report.synthetic_slices)))
    kept = next((item for item in report.channels if item.name == "R9" and item.status != "not_assessed"), None)
    found.append(("Smallest lesion kept", kept.note if kept else "not probed in this scan"))
    return found


def guarantee(report: Report) -> str:
    """The sentence that the calibration record allows, or that there is none."""
    if report.calibration is not None:
        return report.calibration.guarantee
    return (
        f"{UNVERIFIED}: no calibration record covers this model, scan and task. "
        "How often a lesion is added or removed unseen is not known."
    )


def details(report: Report, job: Job) -> list[tuple[str, str]]:
    """What a technician asks."""
    unit = " HU" if report.input.modality == "CT" else ""
    sigma = math.nan if report.noise.sigma is None else report.noise.sigma
    found = [
        ("Task", TASK_TITLES[report.task]),
        ("Modality", f"{report.input.modality}, {PROVENANCE_TITLES[report.input.modality_provenance]}"),
        ("Input grid", _grid(report)),
        ("Noise", f"{number(sigma)}{unit}, {report.noise.model}, {PROVENANCE_TITLES[report.noise.provenance]}"),
        ("Operator", f"{operator_words(report.operator.kind)} ({PROVENANCE_TITLES[report.operator.provenance]})"),
        ("Policy", f"{report.gate.policy}, reasons: {', '.join(report.gate.reasons) or 'none'}"),
        ("Input", f"sha256:{job.input_sha256[:12]}"),
    ]
    if report.model is not None:
        model = report.model
        run = f"{model.method}, {model.engine}, {model.precision}, sha256:{model.sha256[:12]}"
        found.append(("Model", f"{model.bundle} {model.version}, {run}"))
    return found


def model_words(report: Report | None, job: Job) -> str:
    """The model that made the image."""
    if report is None:
        return job.pins.bundle or ""
    return f"{report.model.bundle}@{report.model.version}" if report.model else "model unknown"


def no_pictures(study: Study) -> str:
    """Why there are none."""
    return _NO_PICTURES.get(study.state, "There are no pictures of this job.")


def why_not(study: Study, reader: Principal) -> str:
    """Why nothing can be decided here."""
    if study.state in ("review", "released") and not reader.may("review"):
        return "Your key may not review."
    if study.live:
        return "There is nothing to decide before the gate has judged."
    return "Nothing is left to decide."


def _grid(report: Report) -> str:
    shape = " × ".join(str(size) for size in report.input.shape)
    return f"{shape} voxels of {' × '.join(f'{size:.3g}' for size in report.input.spacing)} mm"
