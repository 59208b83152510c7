"""The documents of one result: report.json, report.html and the sidecar."""

from __future__ import annotations

from medsr.records import Judgement, Restoration, Verdict
from medsr.release.rendered import Rendered
from medsr.report.contents import report_of
from medsr.report.page import page
from medsr.report.sidecar import sidecar_bytes
from medsr.validation.policy import Policy

__all__ = ["render"]


def render(restoration: Restoration, judgement: Judgement, verdict: Verdict, *, policy: Policy) -> Rendered:
    """Write the documents of a judged result as bytes.

    The same arguments give the same bytes; nothing is read but them, and only the timings differ between two runs
    on the same scan. The documents carry the gate's word, never a reader's decision.
    """
    report = report_of(restoration, judgement, verdict, policy=policy)
    return Rendered(
        report_json=report.to_bytes(),
        report_html=page(restoration, judgement, verdict, report),
        sidecar=sidecar_bytes(restoration, report),
    )
