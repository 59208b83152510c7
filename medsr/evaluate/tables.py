"""An evaluation as Markdown and JSON: means over subjects, worst slices, intervals, and what lost to what."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from medsr import __version__
from medsr.evaluate.bars import INPUTS, bars
from medsr.evaluate.compare import Comparison, by_subject, compare, ours
from medsr.evaluate.evaluate import Evaluation
from medsr.evaluate.judge import Row, row_record
from medsr.evaluate.levels import LEVELS, REAL_LOW_DOSE

__all__ = ["document", "markdown", "provenance_line"]

_GROUPS = (
    ("all scans in the domain", {"seen", "unseen", "unknown"}),
    ("seen scanners", {"seen"}),
    ("unseen scanners", {"unseen"}),
)
_HOW = """\
Every method is given the same degraded scan, its operator and the noise that was added, and two context slices on
either side of the judged ones; seeds are fixed by subject and level. MR: PSNR in the foreground, its peak the 99.9th
percentile q of the reference. CT dose: excess error, sqrt(error^2 - floor^2), the floor being what the reference's
own noise makes unavoidable if it is as large as estimated (0.00 is an error under that floor); else RMSE in the body.
x2 and x4 of MR are made from references whose interpolated frequencies were cut away. SSIM and HaarPSI on fixed
windows; gradient energy over that of the reference without its noise (1 is as sharp); bias in flat places; CPU
seconds a slice; peak memory of the process. Intervals: none below 6 subjects, where every difference is printed;
paired t from 6; bootstrap over subjects from 15. An asterisk marks a scan on which a bundle lost to its input. Peers
run at settings tuned on training scans (validation/evaluation/peers.toml)."""


def markdown(evaluation: Evaluation, *, command: str) -> str:
    """The whole evaluation as Markdown."""
    rows = [row for row in evaluation.rows if row.role == "domain"]
    lines = [f"# Evaluation on {evaluation.source}", "", provenance_line(command), ""]
    lines += [f"{evaluation.slices} middle slices of each scan are judged; the unit is the subject.", ""]
    if evaluation.window:
        lines += [f"Denoising within {evaluation.window} x {evaluation.window} px of the middle of the foreground.", ""]
    lines += [_HOW, "", *_summary(rows), *_bars(rows)]
    for level in _levels(rows):
        lines += [f"## {level}", "", *_level(rows, level)]
    apart = [row for row in evaluation.rows if row.role != "domain"]
    if apart:
        lines += ["## Apart", "", "Scans that do not count above: phantoms, scans out of the domain, real pairs.", ""]
        lines += [*_scan_table(apart), ""]
    if evaluation.repeats:
        lines += ["## Repeated scans, real noise", "", *_repeats(evaluation), ""]
    if evaluation.draws:
        lines += ["## Repeated draws on one anatomy", "", *_draws(evaluation), ""]
    lines += [f"Refused: {entry.name} ({entry.code})." for entry in evaluation.refused]
    lines += [f"{line[0].upper()}{line[1:]}." for line in evaluation.skipped]
    return "\n".join(lines).rstrip() + "\n"


def document(evaluation: Evaluation, *, command: str) -> dict[str, object]:
    """The whole evaluation as JSON values."""
    domain = [row for row in evaluation.rows if row.role == "domain"]
    comparisons = [
        {"group": group, **asdict(found), "mean": found.mean}
        for level in _levels(domain)
        for group, scanners in _GROUPS
        for found in _comparisons([row for row in domain if row.scanner in scanners], level)
    ]
    return {
        "schema": "medsr.evaluation/1",
        "printed": provenance_line(command),
        "source": evaluation.source,
        "slices": evaluation.slices,
        "window": evaluation.window,
        "rows": [row_record(row) for row in evaluation.rows],
        "comparisons": comparisons,
        "bars": [asdict(bar) for bar in bars(domain)],
        "repeats": [asdict(row) for row in evaluation.repeats],
        "draws": [asdict(row) for row in evaluation.draws],
        "refused": [asdict(entry) for entry in evaluation.refused],
        "skipped": evaluation.skipped,
    }


def provenance_line(command: str) -> str:
    """Date, machine and version, so that a figure can be traced."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Printed by `{command}`, medsr {__version__}, on {today}, {platform.machine()}, {_processor()}."


def _levels(rows: Sequence[Row]) -> list[str]:
    order = [level.name for level in LEVELS] + [REAL_LOW_DOSE]
    return sorted({row.level for row in rows}, key=order.index)


def _unit(level: str) -> str:
    known = {entry.name: entry.metric for entry in LEVELS}
    return known.get(level, "RMSE HU")


def _level(rows: Sequence[Row], level: str) -> list[str]:
    lines = []
    present = {row.scanner for row in rows if row.level == level}
    for title, scanners in _GROUPS:
        if title != _GROUPS[0][0] and (not present & scanners or present == scanners):
            continue
        chosen = [row for row in rows if row.level == level and row.scanner in scanners]
        if chosen:
            lines += [f"### {level}, {title}", "", *_method_table(chosen, level), ""]
            lines += [_sentence(found) for found in _comparisons(chosen, level)] + [""]
    chosen = [row for row in rows if row.level == level]
    return [*lines, f"### {level}, by scan", "", *_scan_table(chosen), ""]


def _method_table(rows: Sequence[Row], level: str) -> list[str]:
    bias, error = ("flat bias %", "RMSE %") if level.startswith("MR") else ("flat bias HU", "RMSE HU")
    lines = [
        f"| method | {_unit(level)} | worst | {error} | SSIM | HaarPSI | gradient | {bias} | CPU s | MB | n | at |",
        "|---" * 12 + "|",
    ]
    for method in dict.fromkeys(row.method for row in rows):
        chosen = [row for row in rows if row.method == method]
        worst = (min if level.startswith("MR") else max)(row.worst_slice for row in chosen)
        settings = {row.setting for row in chosen}
        cells = [
            method,
            f"{np.mean(list(by_subject(rows, level, method).values())):.2f}",
            f"{worst:.2f}",
            f"{np.mean([row.error for row in chosen]):.2f}",
            f"{np.mean([row.ssim for row in chosen]):.4f}",
            f"{np.mean([row.haarpsi for row in chosen]):.3f}",
            _mean([row.gradient for row in chosen], ".2f"),
            f"{np.mean([row.bias for row in chosen]):+.2f}",
            f"{np.mean([row.cpu_s_per_slice for row in chosen]):.2f}",
            _mean([row.peak_mb for row in chosen], ".0f"),
            str(len({row.subject for row in chosen})),
            settings.pop() if len(settings) == 1 else "by scan",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines + _spread_lines(rows)


def _spread_lines(rows: Sequence[Row]) -> list[str]:
    """What the samples' spread says of the error, for methods that draw samples."""
    lines = []
    for method in dict.fromkeys(row.method for row in rows if row.spread_ratio is not None):
        chosen = [row for row in rows if row.method == method]
        ratio, rank, gradient = (
            _mean([getattr(row, name) for row in chosen], ".2f")
            for name in ("spread_ratio", "spread_rank", "gradient_rank")
        )
        text = f"{method}: spread over error {ratio}; Spearman with the error by 8 px patch: spread {rank}"
        lines += ["", f"{text}, gradient {gradient}."]
    return lines


def _scan_table(rows: Sequence[Row]) -> list[str]:
    """Scores by scan, methods across; an asterisk where a bundle is worse than the input."""
    methods = list(dict.fromkeys(row.method for row in rows))
    lines = ["| scan | scanner | level | " + " | ".join(methods) + " |", "|---" * (len(methods) + 3) + "|"]
    for case, level in dict.fromkeys((row.case, row.level) for row in rows):
        found = {row.method: row for row in rows if (row.case, row.level) == (case, level)}
        first = next(iter(found.values()))
        base = next((found[name].score for name in INPUTS if name in found), None)
        cells = []
        for method in methods:
            row = found.get(method)
            lost = row is not None and row.bundle and base is not None and not _better(level, row.score, base)
            cells.append("" if row is None else f"{row.score:.2f}{'*' if lost else ''}")
        lines.append(f"| {case} | {first.scanner} | {level} | " + " | ".join(cells) + " |")
    return lines


def _better(level: str, score: float, other: float) -> bool:
    return score > other if level.startswith("MR") else score < other


def _comparisons(rows: Sequence[Row], level: str) -> list[Comparison]:
    mine = ours(rows, level)
    others = [name for name in dict.fromkeys(row.method for row in rows if row.level == level) if name not in mine]
    found = [compare(rows, level, name, other) for name in mine for other in others]
    return [entry for entry in found if entry is not None]


def _sentence(found: Comparison) -> str:
    word = "better" if found.mean > 0 else "WORSE"
    text = f"- {found.ours} {word} than {found.other} by {abs(found.mean):.2f}"
    if found.low is not None and found.high is not None:
        text += f" (95 % interval {found.low:+.2f} to {found.high:+.2f})"
    else:
        text += " (" + ", ".join(f"{value:+.2f}" for value in found.differences) + ")"
    return f"{text}, least {found.smallest:+.2f}, n = {len(found.differences)}"


def _summary(rows: Sequence[Row]) -> list[str]:
    """One line a level: does it beat its input on every scan, and the best peer in the mean."""
    lines = ["| level | bundle | better than its input | best peer in the mean | difference | n |", "|---" * 6 + "|"]
    for level in _levels(rows):
        for name in ours(rows, level):
            chosen = [row for row in rows if row.level == level]
            pairs = [
                (mine.case, _better(level, mine.score, base.score))
                for mine in chosen
                for base in chosen
                if mine.method == name and base.case == mine.case and base.method in INPUTS
            ]
            losers = [case for case, better in pairs if not better]
            words = f"{len(pairs) - len(losers)} of {len(pairs)} scans" + (
                f", not {', '.join(losers)}" if losers else ""
            )
            peers = [found for found in _comparisons(chosen, level) if found.ours == name and found.other not in INPUTS]
            if not peers:
                lines.append(f"| {level} | {name} | {words} | | | |")
                continue
            least = min(peers, key=lambda found: found.mean)
            lines.append(
                f"| {level} | {name} | {words} | {least.other} | {least.mean:+.2f} | {len(least.differences)} |"
            )
    return [*lines, ""]


def _bars(rows: Sequence[Row]) -> list[str]:
    found = bars(rows)
    lines = []
    for title, chosen in (
        ("Bars of this version", [bar for bar in found if bar.first]),
        ("Aims beyond them", [bar for bar in found if not bar.first]),
    ):
        if chosen:
            met = sum(bar.met for bar in chosen)
            lines += [f"## {title}: {met} of {len(chosen)} met", ""]
            lines += ["| level | bundle | promised | reached | | n |", "|---" * 6 + "|"]
            lines += [
                f"| {bar.level} | {bar.bundle} | {bar.promise} | {bar.figure} | {'met' if bar.met else 'MISSED'} "
                f"| {bar.subjects} |"
                for bar in chosen
            ]
            lines.append("")
    return lines


def _repeats(evaluation: Evaluation) -> list[str]:
    lines = [
        "Error against the noise-free scan, estimated from independent repetitions without simulation; every method",
        "knows one repetition alone and estimates its noise from it.",
        "",
        "| scan | method | error, % of q | gain over the input, dB | ordered pairs |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.group} | {row.method} | {row.error:.2f} | {row.gain:+.2f} | {row.pairs} |"
        for row in evaluation.repeats
    ]
    return lines


def _draws(evaluation: Evaluation) -> list[str]:
    sizes = list(evaluation.draws[0].kept)
    lines = [
        "Middle slice; noise left and its mean frequency relative to the input's; contrast kept of discs of d' 8 that",
        "were inserted before the noise, with minus without, same noise.",
        "",
        "| scan | level | method | draws | noise left | frequency | flat bias | "
        + "".join(f"kept, {size} | " for size in sizes),
        "|---" * (7 + len(sizes)) + "|",
    ]
    for row in evaluation.draws:
        kept = " | ".join(f"{row.kept[size]:.2f}" for size in sizes)
        start = f"| {row.case} | {row.level} | {row.method} | {row.draws} | {row.noise_left:.2f} | {row.frequency:.2f} "
        lines.append(f"{start}| {row.bias:+.2f} | {kept} |")
    return lines


def _mean(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return format(float(np.mean(known)), form) if known else ""


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"
