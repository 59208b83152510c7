"""The evaluation as one picture: a panel a level, a dot a subject, a line through the means."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from medsr.evaluate.compare import by_subject
from medsr.evaluate.evaluate import Evaluation
from medsr.evaluate.levels import LEVELS

__all__ = ["figure_svg"]

_COLUMNS = 3
_PEER, _OURS, _INPUT = "#6b7280", "#b45309", "#111827"


def figure_svg(evaluation: Evaluation) -> bytes:
    """SVG of the scores of all scans in the domain; larger is better for MR, smaller for CT."""
    rows = [row for row in evaluation.rows if row.role == "domain"]
    levels = [level for level in LEVELS if any(row.level == level.name for row in rows)]
    lines = max(1, -(-len(levels) // _COLUMNS))
    figure = Figure(figsize=(4.6 * _COLUMNS, 3.2 * lines), layout="constrained")
    for index, level in enumerate(levels):
        axes = figure.add_subplot(lines, _COLUMNS, index + 1)
        chosen = [row for row in rows if row.level == level.name]
        methods = list(dict.fromkeys(row.method for row in chosen))
        bundles = {row.method for row in chosen if row.bundle}
        for place, method in enumerate(methods):
            scores = list(by_subject(chosen, level.name, method).values())
            colour = _OURS if method in bundles else _INPUT if method in ("input", "A+ y") else _PEER
            axes.plot(scores, [place] * len(scores), "o", color=colour, alpha=0.55, markersize=4, markeredgewidth=0)
            axes.plot([sum(scores) / len(scores)], [place], "|", color=colour, markersize=16, markeredgewidth=2.5)
        axes.set_yticks(range(len(methods)), methods, fontsize=8)
        axes.invert_yaxis()
        axes.grid(axis="x", color="#e5e7eb", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(level.name, fontsize=10, loc="left")
        better = "larger is better" if level.larger_is_better else "smaller is better"
        axes.set_xlabel(f"{level.metric} ({better})", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
