"""What a run has finished: one file a deed, named by its key, and a line a row in run.jsonl for people.

The files decide; a deed is done only while the outputs it lists still hash to what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medsr.batch.item import Row
from medsr.errors import MedsrError
from medsr.release import state_of
from medsr.release.publication import HELD, REPORTS
from medsr.release.record import file_sha256
from medsr.resources import write_bytes

__all__ = ["Ledger"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The finished deeds of an output folder."""

    output: Path

    def finished(self, key: str) -> Row | None:
        """The row of a deed whose outputs are all there, whole; None otherwise.

        A reader may have decided since: the row then has the word that stands, and what moved is found where it is.
        """
        row = self._row(self._path(key))
        if row is None or row.status != "done" or not row.files:
            return None
        folder = self.output / row.output
        try:
            state = state_of(folder)
        except MedsrError:
            return None
        files = _moved(row.files, row.word, state)
        whole = all(_hash(folder / name) == value for name, value in files.items())
        if not whole:
            return None
        decided = row if state == row.word else replace(row, sentence=f"A reader decided; the gate: {row.sentence}")
        return replace(decided, word=state, files=files)

    def write(self, row: Row) -> None:
        """Make a row durable."""
        write_bytes(self._path(row.key), json.dumps(row.to_json(), ensure_ascii=False).encode() + b"\n")

    def rows(self) -> Iterator[Row]:
        """Every row that was written, in no order."""
        for path in sorted((self.output / ".medsr" / "rows").glob("*.json")):
            row = self._row(path)
            if row is not None:
                yield row

    def _path(self, key: str) -> Path:
        return self.output / ".medsr" / "rows" / f"{key}.json"

    def _row(self, path: Path) -> Row | None:
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict):
            return None
        try:
            return Row.from_json(record)
        except MedsrError:
            return None


def _moved(files: Mapping[str, str], word: str, state: str) -> dict[str, str]:
    """Files by the place that a reader's decision moved them to; refused ones are gone."""
    if state == word:
        return dict(files)
    reports = {name: value for name, value in files.items() if name in REPORTS}
    results = {name.removeprefix(f"{HELD}/"): value for name, value in files.items() if name not in REPORTS}
    if state == "released":
        return {**reports, **results}
    return {
        **reports,
        **({f"withdrawn/{name}": value for name, value in results.items()} if state == "withdrawn" else {}),
    }


def _hash(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
