"""What was tried for bars that are missed: each trial as the difference between two evaluations of one bundle.

A trial names a bundle, what was changed, and two documents of `medsr evaluate`: before and after. Its figures are
compared by subject on the scans that both hold, so nothing is typed.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medsr.errors import UsageError
from medsr.evaluate.bars import Bar, bars
from medsr.evaluate.compare import compare
from medsr.evaluate.judge import Row

__all__ = ["Trial", "kept", "read_rows", "read_trials", "tried"]

_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """What was changed about a bundle, and its rows before and after."""

    bundle: str
    what: str
    before: tuple[Row, ...]
    after: tuple[Row, ...]


def kept(path: Path) -> bytes:
    """The rows of the bundles in a document, as a small document to compare later ones with."""
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [entry for entry in record["rows"] if entry.get("bundle")]
    return (json.dumps({"printed": record["printed"], "rows": rows}, separators=(",", ":")) + "\n").encode()


def read_rows(path: Path) -> tuple[Row, ...]:
    """Rows of a document.

    Raises
    ------
    UsageError : ``models.figures``.
    """
    try:
        return tuple(Row(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("models.figures", f"{path.name} is no document of an evaluation") from error


def read_trials(path: Path, root: Path) -> list[Trial]:
    """The trials of a TOML file; its documents are named relative to `root`.

    Raises
    ------
    UsageError : ``models.figures``.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["trial"]
        named = [(e["what"], e["bundles"], root / e["before"], root / e["after"]) for e in entries]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError("models.figures", f"{path.name} is no list of trials") from error
    return [
        Trial(bundle, what, _of(read_rows(before), bundle), _of(read_rows(after), bundle))
        for what, bundles, before, after in named
        for bundle in bundles
    ]


def tried(documents: Mapping[str, Sequence[Row]], trials: Sequence[Trial]) -> str:
    """Markdown: every missed bar of the documents with what was tried for it."""
    lines = ["# What was tried for the bars that are missed", ""]
    for name, rows in documents.items():
        missed = [bar for bar in bars([row for row in rows if row.role == "domain"]) if bar.first and not bar.met]
        lines += [f"## {name}: {len(missed)} bars missed", ""]
        for bar in missed:
            found = [line for trial in trials if trial.bundle == bar.bundle and (line := _line(trial, bar)) is not None]
            lines += [f"**{bar.level}, {bar.bundle}: {bar.promise}.** Reached: {bar.figure}, n = {bar.subjects}.", ""]
            lines += found
            if len(found) < _ENOUGH:
                lines.append(f"- {_ENOUGH - len(found)} more to be tried.")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _of(rows: Sequence[Row], bundle: str) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.method == bundle and row.role == "domain")


def _line(trial: Trial, bar: Bar) -> str | None:
    """What a trial changed at the level of a bar; None where nothing was changed or compared."""
    before = [replace(row, method="before") for row in trial.before if row.level == bar.level]
    after = [replace(row, method="after") for row in trial.after if row.level == bar.level]
    if {row.bundle for row in before} == {row.bundle for row in after}:
        return None
    found = compare([*before, *after], bar.level, "after", "before")
    if found is None:
        return None
    unit = "dB" if bar.level.startswith("MR") else "HU"
    text = f"- {trial.what}: better by {found.mean:+.2f} {unit}"
    if found.low is not None and found.high is not None:
        text += f" (95 % interval {found.low:+.2f} to {found.high:+.2f})"
    else:
        text += " (" + ", ".join(f"{value:+.2f}" for value in found.differences) + ")"
    for name, field in (("gradient energy", "gradient"), ("Spearman", "spread_rank")):
        pair = [_mean([getattr(row, field) for row in rows]) for rows in (before, after)]
        if None not in pair:
            text += f", {name} {pair[0]:.2f} to {pair[1]:.2f}"
    return f"{text}, n = {len(found.differences)}."


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
