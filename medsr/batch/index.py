"""summary.tsv for tables and index.html for people: every scan of a run with its verdict."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from medsr.batch.item import Row
from medsr.batch.thumbnail import thumbnail_path
from medsr.report.words import DISCLAIMERS
from medsr.resources import write_bytes

__all__ = ["COLUMNS", "summary_tsv", "write_index"]

COLUMNS = (
    "name", "status", "word", "label", "reasons", "findings", "modality", "shape", "noise_sigma", "code", "fact",
    "output", "seconds", "cpu_seconds", "peak_mb", "attempts", "key",
)  # fmt: skip
_ORDER = ("failed", "blocked", "rejected", "review", "released", "withdrawn")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_index(output: Path, rows: Iterable[Row]) -> None:
    """Write both, whole or not at all."""
    ordered = sorted(rows, key=lambda row: row.name)
    write_bytes(output / "summary.tsv", summary_tsv(ordered))
    write_bytes(output / "index.html", _page(output, ordered))


def summary_tsv(rows: Iterable[Row]) -> bytes:
    """A row for each scan, UTF-8, tab separated; no cell can be taken for a formula by a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(COLUMNS)
    for row in rows:
        record = row.to_json()
        writer.writerow([_cell(record[name]) for name in COLUMNS])
    return stream.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, tuple | list):
        return " ".join(str(item) for item in value) or "n/a"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    text = " ".join(str(value).split()) or "n/a"
    return f"'{text}" if text.startswith(_FORMULA) else text


def _page(output: Path, rows: list[Row]) -> bytes:
    environment = Environment(
        loader=PackageLoader("medsr.batch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = Counter(row.word or "failed" for row in rows)
    entries = [
        _entry(output, row) for row in sorted(rows, key=lambda row: (_ORDER.index(row.word or "failed"), row.name))
    ]
    page = environment.get_template("index.html.j2").render(
        entries=entries,
        counts=[(word, counts[word]) for word in _ORDER if counts[word]],
        total=len(rows),
        disclaimers=DISCLAIMERS,
    )
    return page.encode()


def _entry(output: Path, row: Row) -> Mapping[str, object]:
    picture = thumbnail_path(row.name)
    failed = row.status == "failed"
    return {
        "name": row.name,
        "word": row.word or "failed",
        "label": row.label,
        "words": f"{row.fact} [{row.code}]" if failed else row.sentence,
        "remedy": row.remedy,
        "facts": " · ".join(_facts(row)),
        "report": "" if failed else quote(f"{row.output}/report.html"),
        "picture": quote(picture) if not failed and (output / picture).is_file() else "",
    }


def _facts(row: Row) -> list[str]:
    facts = []
    if row.modality:
        facts.append(f"{row.modality} {' × '.join(str(size) for size in row.shape)}")
    if row.noise_sigma is not None:
        facts.append(f"noise {row.noise_sigma:.3g}{' HU' if row.modality == 'CT' else ''}")
    if row.seconds:
        facts.append(f"{row.seconds:.1f} s")
    if row.attempts > 1:
        facts.append(f"{row.attempts} attempts")
    return facts
