"""The scans of a folder, with what is known of each beforehand: subject, role, whether its scanner was trained on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medsr.errors import MedsrError, UsageError
from medsr.io import read
from medsr.io.subjects import facts_of
from medsr.resources import data_root
from medsr.volume import Volume

__all__ = ["EvaluationScan", "Refused", "Role", "Seen", "read_folder"]

Role = Literal["domain", "outside", "phantom", "repeats", "low_dose"]
Seen = Literal["seen", "unseen", "unknown"]

_SEEN: dict[str, Seen] = {"yes": "seen", "no": "unseen"}


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationScan:
    """A scan and its part in the evaluation.

    role : ``domain`` counts in the tables; ``outside`` and ``phantom`` stand apart; ``repeats`` is judged by its
        repetitions; ``low_dose`` is the noisy one of a real pair, `partner` its full-dose twin and `dose` its share.
    seen : whether the scanner is among those of the training scans.
    """

    name: str
    subject: str
    role: Role
    seen: Seen
    volume: Volume
    partner: str = ""
    dose: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that medsr does not read, and the reason code."""

    name: str
    code: str


def read_folder(
    folder: Path, *, names: tuple[str, ...] = (), table: Path | None = None, alone: bool = True
) -> tuple[list[EvaluationScan], list[Refused]]:
    """Every NIfTI scan of `folder` that medsr reads, and the refused ones; nothing is left out unsaid.

    Parameters
    ----------
    names : restrict to scans whose name starts with one of these.
    table : roles by file name; validation/evaluation/scans.csv by default. ``files.csv`` beside the scans gives
        subjects, and may say ``scanner_in_train``.
    alone : False where other folders may hold the scans that are named.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, if nothing is left.
    """
    beside, roles = facts_of(folder), _roles(table or data_root("validation") / "evaluation" / "scans.csv")
    scans, refused = [], []
    for path in sorted(folder.glob("*.nii.gz")):
        name = path.name.removesuffix(".nii.gz")
        if names and not name.startswith(names):
            continue
        try:
            volume = read(path)
        except MedsrError as error:
            refused.append(Refused(path.name, error.code))
            continue
        scans.append(_scan(name, volume, beside.get(path.name, {}), roles.get(path.name, {})))
    if not scans and (alone or not names):
        raise UsageError("evaluate.no_scans", f"no readable .nii.gz scan in {folder.name}")
    return scans, refused


def _roles(table: Path) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def _scan(name: str, volume: Volume, facts: object, entry: dict[str, str]) -> EvaluationScan:
    row = dict(facts) if isinstance(facts, dict) else {}
    subject = row.get("subject") or row.get("patient") or name
    seen = _SEEN.get(entry.get("scanner_seen") or row.get("scanner_in_train") or "", "unknown")
    word, _, rest = entry.get("role", "domain").partition(":")
    note = entry.get("note", "")
    if word == "low_dose":
        partner, _, dose = rest.partition(":")
        return EvaluationScan(name, subject, "low_dose", seen, volume, partner, float(dose), note)
    known: dict[str, Role] = {"outside": "outside", "phantom": "phantom", "repeats": "repeats"}
    return EvaluationScan(name, subject, known.get(word, "domain"), seen, volume, note=note)
