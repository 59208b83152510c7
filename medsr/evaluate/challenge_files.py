"""What `medsr challenge` does with files: run, and keep tables, goals and the worst pictures as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from medsr.errors import MedsrError, UsageError
from medsr.evaluate.challenge import ALL_ARMS, Challenge, ChallengePlan, challenge_folders, challenge_record
from medsr.evaluate.challenge_goals import goals_of, goals_table
from medsr.evaluate.challenge_tables import challenge_markdown
from medsr.models import catalogue
from medsr.models.bundle import Bundle
from medsr.resources import data_root, write_bytes
from medsr.validation.calibration_record import read_record

__all__ = ["ChallengeRequest", "challenge_files"]


@dataclass(frozen=True, slots=True)
class ChallengeRequest:
    """Bundles by name and folders, as the user gave them in one list; where to write; and the plan.

    evidence : a folder that gets <bundle>@<version>/; references : JSON of what published outputs showed.
    """

    given: tuple[str, ...]
    plan: ChallengePlan
    output: Path | None = None
    evidence: Path | None = None
    references: Path | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    command: str = "medsr challenge"


def challenge_files(request: ChallengeRequest, *, log: Callable[[str], None]) -> tuple[str, dict[str, object]]:
    """Challenge and write what is asked for; returns the Markdown and the JSON document.

    Raises
    ------
    UsageError : ``challenge.arm``, ``bundle.unknown``, ``evaluate.no_scans``.
    """
    unknown = sorted(set(request.plan.arms) - set(ALL_ARMS))
    if unknown:
        raise UsageError("challenge.arm", f"there is no arm {unknown[0][:40]!r} among {', '.join(ALL_ARMS)}")
    folders = tuple(Path(name) for name in request.given if Path(name).is_dir())
    bundles = [catalogue.named(name) for name in request.given if not Path(name).is_dir()]
    if not folders:
        raise UsageError("evaluate.no_scans", "no folder of scans is given")
    found = challenge_folders(
        folders, plan=request.plan, only=request.only, skip=request.skip, bundles=bundles, log=log
    )
    goals = goals_of(found, records=_promises(found), references=request.references)
    source = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
    text = challenge_markdown(found, source=source, command=request.command)
    text += "\n" + "\n".join(["", "## Goals", "", *goals_table(goals)]) + "\n"
    record = {**challenge_record(found, request.plan), "goals": [{**asdict(goal), "word": goal.word} for goal in goals]}
    if request.output is not None:
        _write(request.output, text, record)
    if request.evidence is not None:
        for label in found.bundles.values():
            name, version, _ = label.split(" ")
            folder = request.evidence / f"{name}@{version}"
            titles = found.album.write(folder)
            pictures = "\n".join(["", "## The worst", "", *[f"- {title}" for title in titles]]) if titles else ""
            _write(folder / "challenge.md", text + pictures + "\n", {**record, "worst": titles})
    return text, record


def _promises(found: Challenge) -> list[str]:
    """Sentences of the calibration records of the challenged bundles that carry a promise."""
    sentences = []
    for bundle in _challenged(found):
        for path in sorted((data_root("validation") / "calibration" / bundle.sha256[:12]).glob("*.json")):
            try:
                record = read_record(path)
            except MedsrError:
                continue
            if not record.refusal:
                sentences.append(record.sentence)
    return sentences


def _challenged(found: Challenge) -> list[Bundle]:
    names = {label.split(" ")[0] for label in found.bundles.values()}
    return [bundle for bundle in catalogue.installed() if bundle.name in names]


def _write(path: Path, text: str, record: dict[str, object]) -> None:
    write_bytes(path, text.encode())
    write_bytes(path.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
