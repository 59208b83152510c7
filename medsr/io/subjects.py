"""Which scans are of the same person: the table beside a folder of scans."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

__all__ = ["facts_of", "subjects_of"]


def facts_of(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """File name to its row of the ``files.csv`` beside the scans; empty where there is none."""
    table = folder / "files.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {row["file"]: row for row in rows if row.get("file")}


def subjects_of(folder: Path) -> dict[str, str]:
    """File name to subject, from the ``files.csv`` beside the scans (columns file and subject or patient)."""
    return {name: row.get("subject") or row.get("patient") or name for name, row in facts_of(folder).items()}
