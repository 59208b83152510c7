"""What a derived DICOM series says of its making: the gate's word, never a reader's decision."""

from __future__ import annotations

from medsr import __version__
from medsr.io.write import DerivedFacts
from medsr.records import Judgement, Restoration, Verdict

__all__ = ["derived_facts"]


def derived_facts(restoration: Restoration, judgement: Judgement, verdict: Verdict) -> DerivedFacts:
    """The texts of a derived series; no time, host or job, so that the same result gives the same bytes."""
    model = restoration.model
    bundle = f"{model.bundle}@{model.version}" if model else ""
    operator = restoration.operator
    word = f"{verdict.word} ({verdict.label})" if verdict.label else verdict.word
    parts = [
        f"medsr {__version__}: {restoration.task}",
        f"bundle {bundle}, sha256 {model.sha256[:12]}, method {model.method}" if model else "made elsewhere",
        f"operator {operator.linear.kind}, {operator.provenance}",
        f"gate: {word}, policy {verdict.policy} {verdict.policy_sha256[:12]}",
        f"measured fraction {judgement.measured_fraction:.4g}",
        "Research software, not a medical device",
    ]
    return DerivedFacts(
        task=restoration.task,
        description="; ".join(parts),
        version=__version__,
        bundle=bundle,
        weights_sha256=model.sha256 if model else "",
        label=verdict.label,
        configuration=_configuration(restoration),
        synthetic_slices=restoration.synthetic_slices,
    )


def _configuration(restoration: Restoration) -> dict[str, str]:
    model, fine, coarse = restoration.model, restoration.geometry.shape, restoration.measured.geometry.shape
    found = {"task": restoration.task, "scale": "x".join(f"{a / b:.6g}" for a, b in zip(fine, coarse, strict=True))}
    if model is not None:
        for name in ("method", "fidelity", "steps", "samples", "seed", "engine", "precision"):
            value = getattr(model, name)
            if value is not None:
                found[name] = str(value)
    return found
