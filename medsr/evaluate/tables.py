"""Tables of an evaluation: mean over subjects with its interval, worst slice, differences to the best peer."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from medsr import __version__
from medsr.evaluate.evaluate import Row

__all__ = ["Comparison", "compare", "interval", "markdown", "provenance_line"]

_SMALLEST_T_SAMPLE = 6
_SMALLEST_BOOTSTRAP_SAMPLE = 15
_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our method against another on one level: paired differences by subject, positive where ours is better."""

    level: str
    ours: str
    other: str
    subjects: int
    mean: float
    low: float | None
    high: float | None
    smallest: float


def by_subject(rows: Iterable[Row], level: str, method: str) -> dict[str, float]:
    """Mean score of each subject; two visits of a subject are one."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row.level == level and row.method == method:
            scores.setdefault(row.subject, []).append(row.score)
    return {subject: float(np.mean(values)) for subject, values in scores.items()}


def interval(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of a mean: none below 6 subjects, paired t from 6, bootstrap over subjects from 15."""
    values = np.asarray(differences, float)
    if len(values) < _SMALLEST_T_SAMPLE:
        return None, None
    if len(values) < _SMALLEST_BOOTSTRAP_SAMPLE:
        half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean() - half), float(values.mean() + half)
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(_DRAWS, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def compare(rows: Sequence[Row], level: str, ours: str, other: str) -> Comparison:
    """Paired comparison on one level."""
    mine, theirs = by_subject(rows, level, ours), by_subject(rows, level, other)
    sign = 1.0 if level.startswith("MR") else -1.0
    differences = [sign * (mine[subject] - theirs[subject]) for subject in mine if subject in theirs]
    low, high = interval(differences)
    return Comparison(level, ours, other, len(differences), float(np.mean(differences)), low, high, min(differences))


def markdown(rows: Sequence[Row], *, source: str) -> str:
    """The whole evaluation as Markdown."""
    lines = [f"# Evaluation on {source}", "", provenance_line(), ""]
    levels = list(dict.fromkeys(row.level for row in rows))
    for level in levels:
        lines += [f"## {level}", "", *_level_table(rows, level), "", *_comparisons(rows, level), ""]
    return "\n".join(lines)


def provenance_line() -> str:
    """Date, machine and version, so that a figure can be traced."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Printed by `medsr evaluate` {__version__} on {today}, {platform.machine()}, {_processor()}."


def _level_table(rows: Sequence[Row], level: str) -> list[str]:
    unit = "PSNR dB" if level.startswith("MR") else "excess RMSE HU" if "dose" in level else "RMSE HU"
    head = f"| method | {unit} | worst slice | SSIM | gradient energy | bias | CPU s a slice | n |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for method in dict.fromkeys(row.method for row in rows if row.level == level):
        chosen = [row for row in rows if row.level == level and row.method == method]
        worst = min(row.worst_slice for row in chosen) if level.startswith("MR") else max(r.worst_slice for r in chosen)
        mean = np.mean(list(by_subject(rows, level, method).values()))
        cells = [
            method,
            f"{mean:.2f}",
            f"{worst:.2f}",
            f"{np.mean([r.ssim for r in chosen]):.4f}",
            f"{np.mean([r.gradient for r in chosen]):.2f}",
            f"{np.mean([r.bias for r in chosen]):+.2f}",
            f"{np.mean([r.cpu_s_per_slice for r in chosen]):.2f}",
            str(len({r.subject for r in chosen})),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _comparisons(rows: Sequence[Row], level: str) -> list[str]:
    methods = list(dict.fromkeys(row.method for row in rows if row.level == level))
    ours, lines = methods[-1], []
    for other in methods[:-1]:
        result = compare(rows, level, ours, other)
        span = "" if result.low is None else f" (95 % interval {result.low:+.2f} to {result.high:+.2f})"
        lines.append(
            f"- {ours} better than {other} by {result.mean:+.2f}{span}, least {result.smallest:+.2f}, "
            f"n = {result.subjects} subjects"
        )
    return lines


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123
        for line in stream:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown processor"
