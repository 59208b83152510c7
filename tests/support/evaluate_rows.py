"""Rows of an evaluation, made by hand."""

from __future__ import annotations

from medsr.evaluate.judge import Row


def row(case: str, subject: str, method: str, score: float, *, level: str = "MR denoise 3 %", bundle: str = "") -> Row:
    """A row whose other figures do not matter."""
    return Row(
        case=case,
        subject=subject,
        role="domain",
        scanner="seen",
        level=level,
        method=method,
        score=score,
        worst_slice=score - 1,
        error=1.0,
        ssim=0.9,
        haarpsi=0.8,
        gradient=1.0,
        bias=0.0,
        cpu_s_per_slice=0.1,
        peak_mb=None,
        bundle=bundle,
    )
