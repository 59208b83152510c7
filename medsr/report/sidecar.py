"""scan_restored.json: the BIDS-style sidecar of the restored image, with the gate's word and no reader's decision."""

from __future__ import annotations

import json

from medsr.records import Restoration
from medsr.report.document import Report
from medsr.report.words import DISCLAIMERS, TASK_TITLES

__all__ = ["sidecar_bytes"]


def sidecar_bytes(restoration: Restoration, report: Report) -> bytes:
    """The sidecar as UTF-8 JSON with sorted keys; BIDS names where BIDS has one.

    It never holds a key ``operator``: read with the image, such a key would declare the restored image degraded.
    """
    model = report.model
    made_by = "a model of unknown making" if model is None else f"{model.bundle} {model.version} ({model.method})"
    record = {
        "Description": f"{TASK_TITLES[report.task]} of {report.input.name} by {made_by}. {report.gate.sentence}.",
        "Sources": [report.input.name],
        "SourcesSha256": {report.input.name: report.input.sha256},
        "Modality": report.input.modality,
        "Units": "HU" if restoration.measured.modality == "CT" else "arbitrary",
        "SkullStripped": False,
        "SyntheticData": _synthetic_words(report),
        "SyntheticSlices": list(report.synthetic_slices),
        "Task": report.task,
        "Method": None if model is None else model.method,
        "Bundle": None if model is None else {"Name": model.bundle, "Version": model.version, "Sha256": model.sha256},
        "Gate": report.gate.word,
        "GateReasons": list(report.gate.reasons),
        "GateSentence": report.gate.sentence,
        "GatePolicy": {"Name": report.gate.policy, "Sha256": report.gate.policy_sha256},
        "Label": report.gate.label,
        "Disclaimer": " ".join(DISCLAIMERS),
        "GeneratedBy": [{"Name": "medsr", "Version": report.medsr_version}],
    }
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _synthetic_words(report: Report) -> str:
    if report.synthetic_slices:
        return "The slices listed in SyntheticSlices were not measured: a model made them."
    if report.task == "denoise":
        return "Every voxel was measured with noise and then changed by a model."
    return "Detail beyond the measured resolution was supplied by a model; report.json tells how much."
