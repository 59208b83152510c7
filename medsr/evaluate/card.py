"""A bundle's card: what was measured of it, written from evaluation documents and from its own settings.

What training knows (recipe, seed, hours, data) stays as training wrote it. The card is not among the files of the
manifest: writing it anew changes no hash that anything is bound to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsr.errors import UsageError
from medsr.evaluate.bars import INPUTS, bars
from medsr.evaluate.compare import Comparison, by_subject, compare, ours
from medsr.evaluate.fitting import FIT
from medsr.evaluate.judge import Row
from medsr.evaluate.methods import BEST_NLM
from medsr.models.bundle import Bundle
from medsr.models.catalogue import card
from medsr.models.mixture import LARGEST_LOSS_DB
from medsr.models.sections import put_section
from medsr.resources import write_bytes

__all__ = ["Figures", "read_figures", "write_card"]

_GROUPS = (("all", {"seen", "unseen", "unknown"}), ("seen", {"seen"}), ("unseen", {"unseen"}))
_LIMITS = """\
Research software; not a medical device, not for diagnosis or treatment. Trained and measured on the scans named here:
other scanners, contrasts, kernels and anatomies are outside, and a scan beyond the domain in configs/metadata.json is
said to be so in its report. References hold noise of their own, so an error never reaches zero. A result can hold
invented or miss real structure. It is judged by medsr's gate before release and is not to be read without the
original."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The rows of evaluation documents that belong to a bundle's levels, and where they were printed."""

    rows: tuple[Row, ...]
    printed: tuple[str, ...]
    slices: int
    window: int | None


def read_figures(bundle: Bundle, paths: Sequence[Path]) -> Figures:
    """Rows of every level at which this very bundle was evaluated, with those of its input, its peers and kin.

    Raises
    ------
    UsageError : ``models.figures``, if no document holds rows of the bundle as it stands today.
    """
    rows: list[Row] = []
    printed, slices, window = [], 1, None
    for path in paths:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found = [Row(**entry) for entry in record["rows"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError("models.figures", f"{path.name} is no document of an evaluation") from error
        mine = {(row.case, row.level) for row in found if row.bundle == bundle.sha256[:12]}
        if mine:
            rows += [row for row in found if (row.case, row.level) in mine]
            printed.append(str(record["printed"]))
            slices, window = int(record["slices"]), record["window"]
    if not rows:
        named = ", ".join(path.name for path in paths)
        raise UsageError("models.figures", f"{named} holds no row of {bundle.name} {bundle.sha256[:12]}")
    return Figures(tuple(rows), tuple(printed), slices, window)


def write_card(bundle: Bundle, figures: Figures, *, failures: str) -> Path:
    """Write the measured sections of the card; returns its path."""
    text = put_section(card(bundle), "Figures on held-out subjects", "")
    text = put_section(text, "Defaults", _defaults(bundle))
    text = put_section(text, "Figures", _figures(bundle, figures))
    text = put_section(text, "Failures", failures)
    text = put_section(text, "Limits", _LIMITS)
    path = bundle.folder / "docs" / "README.md"
    write_bytes(path, text.encode())
    return path


def _defaults(bundle: Bundle) -> str:
    """What was fitted on whole slices of held-out subjects; empty for a regressor."""
    fitted = bundle.settings.get(FIT)
    if bundle.regressor is None:
        return ""
    if not isinstance(fitted, list):
        return "Not fitted on whole slices: see `medsr models tune`."
    return _fidelity(bundle, fitted) if bundle.method == "gan" else _spread(fitted)


def _fidelity(bundle: Bundle, fitted: Sequence[Mapping[str, object]]) -> str:
    table = bundle.settings.get("fidelity")
    chosen = table if isinstance(table, dict) else {}
    lines = [
        f"Fidelity by level: the sharpest within {LARGEST_LOSS_DB:g} dB of the regressor on whole slices of held-out",
        "training subjects, by the measures of `medsr evaluate`. 1 is the regressor itself.",
        "",
    ]
    alone = [level for level, value in chosen.items() if value == 1]
    if alone:
        lines += [f"**Nothing sharper keeps within it, or comes nearer to the reference, at {', '.join(alone)}.**", ""]
    lines += ["| degradation | level | fidelity | loss | gradient energy / reference | default | n |", "|---" * 7 + "|"]
    lines += [
        f"| {item['degradation']} | {item['level']} | {item['fidelity']:g} | {item['loss_db']:+.2f} dB "
        f"| {item['gradient_energy']:.2f} | {'yes' if chosen.get(item['level']) == item['fidelity'] else ''} "
        f"| {item['subjects']} |"
        for item in fitted
    ]
    return "\n".join(lines)


def _spread(fitted: Sequence[Mapping[str, object]]) -> str:
    lines = [
        "Multiplier of the samples' deviation by level, fitted on whole slices of held-out training subjects so that",
        "spread over error is 1 in the mean over subjects. Spearman's correlation with the error by 8 x 8 patch stands",
        "beside that of the gradient of the regressor's image, which costs nothing; mean of 8 over the regressor.",
        "",
        "| degradation | multiplier | mean of 8 | spread / error (scans) | Spearman | gradient alone | n |",
        "|---" * 7 + "|",
    ]
    lines += [
        f"| {item['degradation']} | {item['multiplier']:.2f} | {item['gain_db']:+.2f} dB "
        f"| {item['ratio']:.2f} ({item['low']:.2f} to {item['high']:.2f}) | {item['rank']:.2f} "
        f"| {item['gradient_rank']:.2f} | {item['subjects']} |"
        for item in fitted
    ]
    return "\n".join(lines)


def _figures(bundle: Bundle, figures: Figures) -> str:
    """A table by level and group of scanners, then the bars, then where it was printed."""
    rows = [row for row in figures.rows if row.role == "domain"]
    lines = [
        "By subject, with 95 % intervals from 6 subjects on; below, the least favourable subject stands instead.",
        "Positive differences are in the bundle's favour. MR in dB (PSNR), CT in HU (error).",
        "",
        "| level | scanners | reached | over the input | best peer | over it | worst slice | SSIM | n |",
        "|---" * 9 + "|",
    ]
    for level in dict.fromkeys(row.level for row in rows):
        present = {row.scanner for row in rows if row.level == level}
        for title, scanners in _GROUPS:
            if title == "all" or (present & scanners and not present <= scanners):
                chosen = [row for row in rows if row.level == level and row.scanner in scanners]
                lines.append(_line(bundle, level, title, chosen))
    lines += ["", "| level | promised | reached | | n |", "|---" * 5 + "|"]
    lines += [
        f"| {bar.level} | {bar.promise} | {bar.figure} | {'met' if bar.met else 'MISSED'} | {bar.subjects} |"
        for bar in bars(rows)
        if bar.bundle == bundle.name
    ]
    return "\n".join([*lines, "", *figures.printed])


def _line(bundle: Bundle, level: str, title: str, rows: Sequence[Row]) -> str:
    name = bundle.name
    mine = [row for row in rows if row.method == name]
    worst = (min if level.startswith("MR") else max)(row.worst_slice for row in mine)
    base = next((other for other in INPUTS if any(row.method == other for row in rows)), None)
    peers = [
        compare(rows, level, name, other)
        for other in dict.fromkeys(row.method for row in rows)
        if other not in (*INPUTS, BEST_NLM, *ours(rows, level))
    ]
    best = min((found for found in peers if found is not None), key=lambda found: found.mean, default=None)
    cells = [
        level,
        title,
        f"{np.mean(list(by_subject(rows, level, name).values())):.2f}",
        _difference(compare(rows, level, name, base) if base else None),
        best.other if best else "",
        _difference(best),
        f"{worst:.2f}",
        f"{np.mean([row.ssim for row in mine]):.4f}",
        str(len({row.subject for row in mine})),
    ]
    return "| " + " | ".join(cells) + " |"


def _difference(found: Comparison | None) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.mean:+.2f} (least {found.smallest:+.2f})"
    return f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
